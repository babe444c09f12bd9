/**
 * Devices: give this browser a key, approve and revoke others, sign out and forget.
 *
 * Elements: #device-none, #device-pending, #device-ready, #device-unable (one shown); #device-fault for refusals;
 * each key row carries data-key and data-state; dialogs #approve-dialog and #revoke-dialog.
 */

import { whyNot } from "./capability.js";
import { find, forget, make, save } from "./keys.js";
import { alone } from "./outcome.js";
import { ask, now, order as makeOrder, send, setClockFromPage } from "./sign.js";
import { pendingOf } from "./store.js";
import { $, $$, data, refusalTexts, say, show, text } from "./ui.js";

const enrol = data("enrol-data");
const holder = enrol.holder;
const PANELS = ["none", "pending", "ready", "unable"];
/** How often a waiting device looks whether it was approved, in milliseconds. */
const LOOK_MS = 4_000;
/** Attempts before we say that the network is the matter. */
const TRIES = 5;

function stage(name) {
  for (const panel of PANELS) show($(`#device-${panel}`), panel === name);
  document.body.dataset.device = name;
}

function fault({ title, safe, next }) {
  say($("#device-fault-title"), title);
  say($("#device-fault-safe"), safe);
  say($("#device-fault-next"), next);
  show($("#device-fault"));
  $("#device-fault-title").focus();
}

/** Send an order about keys until it is answered; the same bytes each time. Null when the network gave up. */
async function deliver(order, key) {
  for (let turn = 0; turn < TRIES; turn += 1) {
    if (turn) await new Promise((resolve) => setTimeout(resolve, turn * 1500));
    const reply = await send(order, key).catch(() => null);
    if (reply && reply.status < 500) return reply;
    const seen = await ask(order).catch(() => null);
    if (seen?.status === 200) return { status: Number(seen.body.status), body: seen.body.answer };
  }
  return null;
}

const offline = () => ({ title: text("no_reply_title"), safe: text("no_reply_safe"), next: text("no_reply_next") });
const refused = (reply) => refusalTexts({ state: "refused", ...reply });
const row = (kid) => $(`[data-key="${CSS.escape(kid)}"]`);

async function enrolHere(event) {
  event?.preventDefault();
  const button = $("#enrol-button");
  button.disabled = true;
  show($("#device-fault"), false);
  say($("#enrol-stage"), text("enrolling"));
  await alone(holder, async () => {
    let key = await find(holder);
    if (!key || key.state === "revoked") key = await make(holder);
    // A reply lost before: the same order again, while it is good.
    if (!key.enrol || now() > key.enrol.expires) {
      key.enrol = makeOrder({
        aud: enrol.aud, holder, kind: "key_enrol", path: "/v1/keys",
        fields: { label: $("#f-label").value.trim() || text("this_browser"), code: enrol.code ?? $("#f-code")?.value.trim() ?? "", key: key.jwk, device: "browser" },
      });
      await save(key);
    }
    const reply = await deliver(key.enrol, key);
    if (reply?.status === 201) {
      const { enrol: _, ...kept } = key;
      await save({ ...kept, state: reply.body.state === "active" ? "active" : "pending" });
      return location.reload();
    }
    if (reply) await forget(holder);
    fault(reply ? refused(reply) : offline());
  }).catch((error) => { console.error(error); fault({ title: text("unable_storage_title"), safe: "", next: text("unable_storage_next") }); });
  say($("#enrol-stage"), "");
  button.disabled = false;
}

/** Wait for another device to approve this one: the page itself says so in its list. */
function watch(key) {
  const look = async () => {
    if (document.visibilityState === "visible") {
      const page = await fetch("/thiet-bi", { cache: "no-store" }).then((reply) => reply.text()).catch(() => "");
      const state = page.match(new RegExp(`data-key="${key.kid}"\\s+data-state="(\\w+)"`))?.[1];
      if (state && state !== "pending") return location.reload();
    }
    setTimeout(look, LOOK_MS);
  };
  setTimeout(look, LOOK_MS);
}

function question(name, fill, work) {
  const dialog = $(`#${name}-dialog`);
  fill(dialog);
  const yes = $("[data-yes]", dialog);
  yes.disabled = false;
  yes.onclick = async () => {
    yes.disabled = true;
    await work();
    dialog.close();
  };
  dialog.showModal();
}

async function act(kind, method, path, kid) {
  const key = await find(holder);
  const order = makeOrder({ aud: enrol.aud, holder, kind, method, path, fields: { key: kid } });
  const reply = await deliver(order, key);
  if (reply && reply.status < 300) return true;
  fault(reply ? refused(reply) : offline());
  return false;
}

const approve = (kid) => act("key_approve", "POST", `/v1/keys/${encodeURIComponent(kid)}/approvals`, kid);
const revoke = (kid) => act("key_revoke", "DELETE", `/v1/keys/${encodeURIComponent(kid)}`, kid);

function offerActions(key) {
  for (const button of $$("[data-approve]")) {
    show(button);
    button.addEventListener("click", () => question("approve", (dialog) => {
      say($("[data-device]", dialog), button.dataset.label);
      say($("[data-code]", dialog), button.dataset.code);
    }, async () => { if (await approve(button.dataset.approve)) location.reload(); }));
  }
  for (const button of $$("[data-revoke]")) {
    if (button.dataset.revoke === key.kid) continue;
    show(button);
    button.addEventListener("click", () => question("revoke", (dialog) => {
      say($("[data-device]", dialog), button.dataset.label);
    }, async () => { if (await revoke(button.dataset.revoke)) location.reload(); }));
  }
}

/** Revoke the key, forget it, sign out: for a phone that others use too. */
async function leave() {
  const button = $("#forget-button");
  button.disabled = true;
  if ((await pendingOf(holder)).length) {
    fault({ title: text("forget_pending_title"), safe: text("refused_checking_safe"), next: text("forget_pending_next") });
    button.disabled = false;
    return;
  }
  const key = await find(holder);
  const state = key && row(key.kid)?.dataset.state;
  if (key && state === "active" && !(await revoke(key.kid))) {
    button.disabled = false;
    return;
  }
  await forget(holder);
  $("#forget-form").submit();
}

/** A plain name for this browser, for the person to recognise later. */
function guessLabel() {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : /Safari\//.test(agent) ? "Safari" : "";
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iPhone/iPad" : /Windows/.test(agent) ? "Windows" : /Mac/.test(agent) ? "Mac" : /Linux/.test(agent) ? "Linux" : "";
  return [browser, system].filter(Boolean).join(" · ");
}

async function start() {
  setClockFromPage();
  const reason = await whyNot(enrol.aud);
  if (reason) {
    say($("#device-unable-title"), text(`unable_${reason}_title`));
    say($("#device-unable-next"), text(`unable_${reason}_next`, { origin: enrol.aud }));
    return stage("unable");
  }
  for (const button of $$("[data-no]")) button.addEventListener("click", () => button.closest("dialog").close());
  $("#forget-button")?.addEventListener("click", leave);

  let key = await find(holder);
  const state = key && row(key.kid)?.dataset.state;
  if (key && (state === "revoked" || (!state && key.state !== "made"))) {
    await forget(holder);
    key = undefined;
  }
  if (key && state && state !== key.state) {
    const { enrol: _, ...kept } = key;
    key = { ...kept, state };
    await save(key);
  }
  if (key && state) show($("[data-here]", row(key.kid)));

  const next = new URLSearchParams(location.search).get("next") ?? "";
  if (/^\/(thanh-toan|chuyen-tien\/xac-nhan)\?/.test(next)) {
    for (const link of $$("[data-next]")) { link.href = next; show(link); }
  }
  if (key && state === "active") {
    stage("ready");
    offerActions(key);
  } else if (key && state === "pending") {
    say($("#device-check-code"), row(key.kid).dataset.code);
    stage("pending");
    watch(key);
  } else {
    const field = $("#f-label");
    if (field && !field.value) field.value = guessLabel();
    $("#enrol-form")?.addEventListener("submit", enrolHere);
    if ($("#enrol-button")) $("#enrol-button").disabled = false;
    stage("none");
  }
}

start();
