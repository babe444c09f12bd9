/**
 * The counter: key an amount or tap what is sold, show its code, be told what came.
 *
 * The rule of this page: the success sign and its sound come of a payment that the service told, while this page would have
 * heard of anything else too. In every other state it says CHƯA XÁC NHẬN.
 *
 * Views: "keypad" · "code" · "result"; over all of them, when nothing is known, #unconfirmed.
 */

import { whyNot } from "/static/js/capability.js";
import { find } from "/static/js/keys.js";
import { order as makeOrder, send, setClockFromPage } from "/static/js/sign.js";
import { $, $$, data, dong, make, say, show } from "/static/js/ui.js";
import { tiles } from "./goods.js";
import { follow } from "./live.js";
import { voice } from "./voice.js";

const counter = data("counter-data");
const words = (name, values = {}) => counter.texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");

/** So many digits can be keyed: a thousand times more than any stall sells for. */
const DIGITS_MAX = 12;
/** An order is sent this often, the same bytes each time, before the cashier is asked to try again. */
const SENDS_MAX = 3;
/** Results that are put away by themselves would hide what was not seen; this one stays until somebody is done with it. */
const TIME = new Intl.DateTimeFormat("vi-VN", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Ho_Chi_Minh" });

let keyed = "";
let way = "keys"; // or "goods": how the amount comes about
let asking = false;
let view = "";
let state = "";
let current = null; // the invoice whose code is shown: {id, amount, ends}
let shown = null; // the taking whose result is shown
let listed = counter.listed; // the newest list that the service gave
let waiting = []; // takings told while the page was not sure of the present: shown once it is

document.documentElement.classList.add("js");

// ---- views ----------------------------------------------------------------------------------------------------------

const isSure = () => state === "live" || state === "polling";

function enter(name) {
  view = name;
  document.body.dataset.view = name;
  for (const section of $$("[data-view-of]")) show(section, section.dataset.viewOf === name);
}

function home() {
  shown = null;
  if (current) return enter("code");
  enter("keypad");
}

// ---- keypad ---------------------------------------------------------------------------------------------------------

function key(stroke) {
  if (stroke === "back") keyed = keyed.slice(0, -1);
  else if (stroke === "clear") keyed = "";
  else if ((keyed + stroke).length <= DIGITS_MAX) keyed = (keyed + stroke).replace(/^0+/, "");
  amount();
  show($("#problem"), false);
}

/** What will be asked for, as decimal digits; "" for nothing. */
const asked = () => (way === "keys" ? keyed : String(goods.sum() || ""));

function amount() {
  say($("#amount"), dong(asked() || "0"));
  $("#ask").disabled = asking || !asked();
}

/** Key or tap: each keeps what it has while the other is shown. */
async function go(to) {
  way = to;
  document.body.dataset.way = to;
  sessionStorage.setItem(`way-${counter.point}`, to);
  for (const one of $$(".way")) one.setAttribute("aria-pressed", String(one.dataset.way === to));
  show($("#pad"), to === "keys");
  show($("#goods"), to === "goods");
  show($("#problem"), false);
  amount();
  if (to === "goods") await goods.refresh();
}

function problem(told) {
  say($("#problem-title"), told);
  show($("#problem"));
}

/** Sign and send an order; the same bytes again while no reply comes. */
async function signed(kind, path, fields) {
  const signer = await find(counter.holder);
  if (!signer || signer.state !== "active") return { status: 0, body: null };
  const order = makeOrder({ aud: counter.aud, holder: counter.holder, kind, path, fields });
  for (let turn = 1; ; turn += 1) {
    try {
      const reply = await send(order, signer);
      if (reply.status < 500 || turn === SENDS_MAX) return { ...reply, id: order.id };
    } catch (fault) {
      if (turn === SENDS_MAX) return { status: 0, body: null, id: order.id };
    }
  }
}

/** Sign for what is keyed or picked now; a status of null: it was not, and why is said already. */
async function issue() {
  if (way === "goods" && !(await goods.refresh())) return { status: null };
  const items = way === "goods" ? { items: goods.items() } : {};
  return signed("invoice", "/v1/invoices", { point: counter.point, amount: asked(), memo: "", ...items });
}

async function ask() {
  if (asking || !asked()) return;
  asking = true;
  $("#ask").disabled = true;
  const { status, body } = await issue();
  asking = false;
  amount();
  if (status !== 201) {
    if (status !== null) problem(body?.title ?? words("unsent"));
    return;
  }
  goods?.clear();
  key("clear");
  ask_for(body);
}

/** Show the code of an invoice that was just issued. */
function ask_for({ invoice, amount, made_at, expires_at }) {
  keep({ id: invoice, amount, ends: Date.parse(expires_at) - Date.parse(made_at) });
  shown = null;
  show_code();
}

// ---- the code -------------------------------------------------------------------------------------------------------

/** The invoice that is waited for outlives a reload of this page. */
function keep(invoice) {
  current = invoice && { ...invoice, begun: performance.now() };
  const place = `counter-${counter.point}`;
  if (invoice) sessionStorage.setItem(place, JSON.stringify(invoice));
  else sessionStorage.removeItem(place);
}

function show_code() {
  say($("#code-amount"), dong(current.amount));
  $("#code-image").src = `${counter.here}/ma/${current.id}.svg`;
  say($("#code-state"), words("waiting"));
  delete document.body.dataset.expired;
  enter("code");
}

function watch_expiry() {
  if (view !== "code" || !current || performance.now() - current.begun < current.ends) return;
  document.body.dataset.expired = "1";
  say($("#code-state"), words("expired"));
}

async function drop() {
  const { id } = current;
  keep(null);
  home();
  await signed("invoice_cancel", `/v1/invoices/${id}/cancel`, { invoice: id });
}

// ---- takings --------------------------------------------------------------------------------------------------------

function row(taking) {
  const said = taking.resolved && taking.said !== "exact" ? taking.resolved : taking.said;
  return make("li", { className: "taking", "data-said": said, "data-entry": taking.entry },
    make("span", { className: "taking-at num", words: TIME.format(new Date(taking.at)) }),
    make("strong", { className: "taking-sum num", words: dong(taking.amount) }),
    make("span", { className: "taking-said", words: words(said) }),
    make("span", { className: "taking-tally code", words: taking.tally }));
}

function list(answer) {
  listed = answer;
  $("#takings").replaceChildren(...answer.takings.map(row));
  show($("#no-takings"), !answer.takings.length);
  if (shown) offer_invoices();
  if (!answer.total) return;
  say($("#total-sum"), dong(answer.total.amount));
  say($("#total-count"), words("today", { count: String(answer.total.count) }));
}

function add(taking) {
  if ($(`[data-entry="${taking.entry}"]`)) return;
  $("#takings").prepend(row(taking));
  while ($("#takings").children.length > 20) $("#takings").lastElementChild.remove();
  show($("#no-takings"), false);
}

// ---- results --------------------------------------------------------------------------------------------------------

function paid(taking, { missed }) {
  add(taking);
  live.poll(); // the total and what still waits, which a stream does not tell
  const isOurs = current?.id === taking.invoice;
  if (missed && !isOurs) return; // it came while nobody stood here: the list has it
  if (isSure()) result(taking);
  else waiting.push(taking);
}

function result(taking, { isSaid = true } = {}) {
  if (current && current.id === taking.invoice) keep(null);
  shown = taking;
  const values = { amount: dong(taking.amount), difference: dong(taking.difference), asked: dong(taking.asked ?? "0") };
  document.body.dataset.said = taking.said;
  say($("#result-word"), words(taking.said));
  say($("#result-amount"), values.amount);
  say($("#result-more"), words(taking.late ? "late_more" : `${taking.said}_more`, values));
  say($("#result-tally"), taking.tally);
  offer();
  enter("result");
  $("#done").focus({ preventScroll: true });
  if (!isSaid) return;
  say($("#told"), `${words(taking.said)}. ${taking.words}. ${words("code", { tally: [...taking.tally].join(" ") })}.`);
  speech.say(taking.clips);
  document.body.dataset.spoken = String(Number(document.body.dataset.spoken ?? 0) + 1);
}

/** What can be done with one tap about a payment that is not what was asked for. */
function offer() {
  show($("#result-problem"), false);
  show($("#rest"), shown.said === "under");
  show($("#accept"), shown.said === "under");
  show($("#excess"), shown.said === "over");
  show($("#excess-ask"), shown.said === "over");
  if ($("#excess-ask")) $("#excess-ask").href = `${counter.sales}/hoan/${shown.entry}`;
  offer_invoices();
}

/** What a payment that answers nothing may be meant for; the list of it comes a moment after the payment. */
function offer_invoices() {
  const open = shown.said === "received" ? listed.waiting : [];
  $("#pick-from").replaceChildren(...open.map(({ invoice, amount, at }) => {
    const told = `${dong(amount)} · ${TIME.format(new Date(at))}`;
    const button = make("button", { className: "btn num", type: "button", words: told });
    button.addEventListener("click", () => attach(invoice));
    return button;
  }));
  show($("#pick"), open.length > 0);
}

/** Sign what was tapped about the payment that is shown; its answer, or null after saying why not. */
async function settle(kind, path, fields) {
  const taking = shown;
  for (const button of $$("#next button")) button.disabled = true;
  const { status, body } = await signed(kind, path, fields);
  for (const button of $$("#next button")) button.disabled = false;
  if (shown !== taking) return null; // somebody went on meanwhile
  if (status === 200 || status === 201) return body;
  say($("#result-problem"), body?.title ?? words("unsent"));
  show($("#result-problem"));
  return null;
}

async function ask_rest() {
  const made = await settle("payment_rest", "/v1/payment-rests", { payment: shown.entry });
  if (made) ask_for(made);
}

/** Let a payment be that came short. */
async function accept() {
  if (!(await settle("payment_accept", "/v1/payment-acceptances", { payment: shown.entry }))) return;
  say($("#result-more"), words("accepted_more", { amount: dong(shown.amount), difference: dong(shown.difference) }));
  show($("#rest"), false);
  show($("#accept"), false);
  live.poll(); // the list says so too
  $("#done").focus({ preventScroll: true });
}

async function give_back() {
  const lines = [{ line: "1", amount: shown.difference }];
  const done = await settle("refund", "/v1/refunds", { entry: shown.entry, lines, reason: words("excess") });
  if (!done) return;
  say($("#result-more"), words("excess_done", { difference: dong(shown.difference) }));
  show($("#excess"), false);
}

async function attach(invoice) {
  const { entry } = shown;
  if (!(await settle("payment_attach", "/v1/payment-matches", { payment: entry, invoice }))) return;
  await live.poll();
  const now = listed.takings.find((taking) => taking.entry === entry);
  if (now && isSure()) result(now, { isSaid: false });
}

// ---- whether we would have heard ---------------------------------------------------------------------------------------

function turn(name) {
  state = name;
  document.body.dataset.state = name;
  say($("#state-words"), words(name));
  show($("#unconfirmed"), !isSure());
  show($("#unconfirmed-signed-out"), name === "signed_out");
  show($("#unconfirmed-wait"), name !== "signed_out");
  if (!isSure()) {
    if (shown) home(); // it is listed; a sign that stays could be taken for the next customer's
    return;
  }
  const held = waiting;
  waiting = [];
  held.forEach(result);
}

// ---- what else a counter needs -------------------------------------------------------------------------------------------

let lock = null;

/** Keep the screen awake, where the browser can; it lets go whenever the page is hidden. */
async function stay_awake() {
  if (document.visibilityState !== "visible" || !navigator.wakeLock || (lock && !lock.released)) return;
  try {
    lock = await navigator.wakeLock.request("screen");
  } catch {
    // Saving power, or not allowed: the screen then dims as it always did.
  }
}

const speech = voice(counter.clips, (on) => {
  document.body.dataset.sound = on ? "on" : "off";
  say($("#sound-words"), words(on ? "sound_on" : "sound_off"));
});

const goods = $("#goods") && tiles(counter, {
  words,
  picked: amount,
  problem: (told) => (told ? problem(told) : show($("#problem"), false)),
});
for (const one of $$(".way")) one.addEventListener("click", () => go(one.dataset.way));
for (const one of $$("[data-key]")) one.addEventListener("click", () => key(one.dataset.key));
$("#ask").addEventListener("click", ask);
$("#drop").addEventListener("click", drop);
$("#done").addEventListener("click", home);
$("#rest").addEventListener("click", ask_rest);
$("#accept").addEventListener("click", accept);
$("#excess")?.addEventListener("click", give_back);
$("#again").addEventListener("click", () => speech.again());
$("#sound").addEventListener("click", () => speech.unlock());

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (view === "result" && /^[0-9]$/.test(event.key)) home(); // the next customer's amount
  if (view !== "keypad") {
    if (event.key === "Escape" && view === "result") home();
    return;
  }
  if (way === "goods") return; // its tiles are buttons, and its field takes letters
  if (/^[0-9]$/.test(event.key)) key(event.key);
  else if (event.key === "Backspace") key("back");
  else if (event.key === "Escape") key("clear");
  else if (event.key === "Enter" && !event.target.closest("a, summary, #sound, .way")) ask(); // also from a digit that was clicked
  else return;
  event.preventDefault();
});

// Sound may only begin after a touch: the first one anywhere will do.
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => { speech.unlock(); stay_awake(); }, { once: true });
}
document.addEventListener("visibilitychange", stay_awake);
setInterval(watch_expiry, 1_000);

setClockFromPage();
list(counter.listed);
const kept = JSON.parse(sessionStorage.getItem(`counter-${counter.point}`) ?? "null");
if (kept && !counter.listed.takings.some(({ invoice }) => invoice === kept.id)) {
  keep(kept);
  show_code();
} else {
  keep(null);
  enter("keypad");
}
key("clear");
if (goods && sessionStorage.getItem(`way-${counter.point}`) === "goods") go("goods");
whyNot(counter.aud).then(async (reason) => {
  const own = reason ? null : await find(counter.holder);
  show($("#no-key"), own?.state !== "active");
});
const live = follow(counter, { paid, listed: list, state: turn }, counter.listed.takings.map(({ entry }) => entry));
stay_awake();
