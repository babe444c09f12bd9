/**
 * The code that a citizen shows at a till: drawn here, signed here with its cap, shown while it lives.
 *
 * It is not kept before it is sent, unlike a payment: an order whose reply is lost has shown nobody its code, so nobody can
 * charge it, and its half minute is over before anybody could ask. A new code is a new signature, and only a press makes one.
 */

import { whyNot } from "/static/js/capability.js";
import { find } from "/static/js/keys.js";
import { now, order as makeOrder, send, setClockFromPage } from "/static/js/sign.js";
import { $, data, dong, refusalTexts, say, show, text } from "/static/js/ui.js";

/** Between two questions whether the till has charged, in milliseconds. */
const ASK_MS = 1_200;
/** A Damm check digit finds every single wrong digit and every swap of two neighbours (see wallet/payees.py). */
const DAMM = ["0317598642", "7092154863", "4206871359", "1750983426", "6123045978", "3674209581", "5869720134", "8945362017",
  "9438617205", "2581436790"];

const page = data("present-data");
const form = $("#present-form");
const button = $("#present-button");
let turn = 0;

function draw() {
  let digits = "";
  while (digits.length < 11) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < 250) digits += byte % 10; // the last six values would make some digits likelier
  }
  return digits + [...digits].reduce((row, digit) => DAMM[row][digit], 0);
}

function told(words) {
  say($("#present-words"), words);
  show($("#present-told"), Boolean(words));
}

function refused({ title, safe, next }, device = false) {
  say($("#present-title"), title);
  say($("#present-safe"), safe);
  say($("#present-next"), next);
  show($("#present-device"), device);
  show($("#present-refused"));
}

function unable(reason) {
  refused({
    title: text(`unable_${reason}_title`), safe: text("refused_safe"), next: text(`unable_${reason}_next`, { origin: page.aud }),
  }, reason === "key");
}

/** Show the code until it is charged or its time is over. */
async function present(order, { code, cap, ends }) {
  const mine = (turn += 1);
  say($("#present-cap"), dong(cap));
  say($("#present-digits"), code.replace(/(\d{4})(?=\d)/g, "$1 "));
  $("#present-qr").src = `/ma-thanh-toan/${order.id}.svg`;
  document.body.dataset.present = "shown";
  show(form, false);
  show($("#present-code"));
  $("#code-h").focus();
  const bar = $("#present-bar");
  const tick = setInterval(() => {
    const left = Math.max(0, ends - Date.now());
    bar.firstElementChild.style.transform = `scaleX(${left / (page.life_s * 1000)})`;
    bar.toggleAttribute("data-late", left < 8_000);
    say($("#present-left"), page.words.left.replace("{seconds}", Math.ceil(left / 1000)));
  }, 250);
  const hide = (words) => {
    clearInterval(tick);
    show($("#present-code"), false);
    $("#present-qr").removeAttribute("src");
    say($("#present-digits"), "");
    document.body.dataset.present = "over";
    show(form);
    told(words);
  };
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, ASK_MS); });
    if (mine !== turn) return clearInterval(tick);
    const seen = await state(order);
    if (seen?.state === "charged") {
      clearInterval(tick);
      return location.replace(`/xac-nhan/${order.id}`);
    }
    if (seen?.state === "replaced") return hide(page.words.replaced);
    // A charge may be on its way as the time ends: the last word is asked for after it.
    if (Date.now() > ends + ASK_MS && (seen || Date.now() > ends + 20_000)) return hide(page.words.over);
    if (Date.now() > ends) show($("#present-code"), false);
  }
}

async function state(order) {
  try {
    const reply = await fetch(`/v1/mandates/${order.id}`, { cache: "no-store", headers: { Accept: "application/json" } });
    return reply.ok ? await reply.json() : null;
  } catch {
    return null;
  }
}

async function sign() {
  button.disabled = true;
  show($("#present-refused"), false);
  told(page.words.signing);
  try {
    const cap = new FormData(form).get("cap");
    const key = await find(page.signer);
    const code = draw();
    const lapses = now() + page.life_s;
    const order = makeOrder({
      aud: page.aud, holder: page.signer, kind: "mandate", path: "/v1/mandates",
      fields: { payer: page.payer, cap, code, lapses_at: String(lapses) },
    });
    const sent = Date.now();
    const reply = await send(order, key).catch(() => null);
    told("");
    if (!reply || reply.status >= 500) return told(page.words.no_reply);
    if (reply.status !== 201) return refused(refusalTexts({ state: "refused", ...reply }), reply.status === 401);
    return await present(order, { code, cap, ends: sent + page.life_s * 1000 });
  } finally {
    button.disabled = false;
  }
}

async function start() {
  setClockFromPage();
  const reason = await whyNot(page.aud);
  if (reason) return unable(reason);
  const key = await find(page.signer);
  if (!key || key.state === "made") return unable("key");
  if (key.state === "pending") return unable("approval");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sign();
  });
  button.disabled = false;
  return undefined;
}

addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
start();
