/**
 * A till takes what a customer's one-time code allows: amount and code, signed here, kept before it is sent, and followed
 * until its outcome is known. Only the service's own word shows the success sign.
 *
 * scan.js reads the code and submits #scan-form; this page takes that instead of the browser.
 */

import { whyNot } from "/static/js/capability.js";
import { find } from "/static/js/keys.js";
import { alone, settle } from "/static/js/outcome.js";
import { order as makeOrder, setClockFromPage } from "/static/js/sign.js";
import { pendingOf, put } from "/static/js/store.js";
import { $, data, dong, refusalTexts, say, show, text, textOf } from "/static/js/ui.js";

const page = data("sign-data");
const form = $("#scan-form");
const button = $("#charge-button");
const PANELS = ["ask", "wait", "done"];

function stage(name) {
  for (const panel of PANELS) show($(`#charge-${panel}`), panel === name);
  document.body.dataset.charge = name;
}

function refused({ title, safe, next }, device = false) {
  say($("#charge-title"), title);
  say($("#charge-safe"), safe);
  say($("#charge-next"), next);
  show($("#charge-device"), device);
  show($("#charge-refused"));
  stage("ask");
  show($("#scan-again"));
}

function unable(reason) {
  button.disabled = true;
  refused({
    title: text(`unable_${reason}_title`), safe: "", next: textOf("charge", `unable_${reason}_next`, { origin: page.aud }),
  }, reason === "key");
}

/** Follow an order to its end; call inside `alone`. */
async function follow(order) {
  stage("wait");
  const outcome = await settle(order, (name) => {
    say($("#charge-stage"), page.words[name] ?? page.words[name === "slow" ? "checking" : "sending"]);
  });
  if (outcome.state === "gone") return stage("ask");
  if (outcome.state === "signedOut") return location.assign(`/dang-nhap?next=${encodeURIComponent(location.pathname)}`);
  form.elements.text.value = ""; // whatever came of it, this code is behind us
  if (outcome.state !== "done") {
    // What was refused for its amount can be taken by the same code.
    if (outcome.body?.code === "mandate_exceeded") form.elements.text.value = order.code;
    return refused(refusalTexts(outcome, "charge"), outcome.status === 401);
  }
  form.reset();
  say($("#charge-sum"), dong(order.total));
  stage("done");
  return $("#charge-done-h").focus();
}

const unfinished = async () => (await pendingOf(page.signer)).find(({ kind, point }) => kind === "charge" && point === page.point);

async function charge() {
  const amount = form.elements["so-tien"].value.replace(/\D/g, "").replace(/^0+/, "");
  const code = form.elements.text.value.replace(/^TRANGTIEN:/i, "").replace(/[\s.\u00a0-]/g, "");
  form.elements.text.value = code;
  say($("#charge-wrong"), !amount ? page.words.no_amount : /^\d{12}$/.test(code) ? "" : page.words.no_code);
  if (!amount || !/^\d{12}$/.test(code)) {
    show($("#scan-again"));
    return (amount ? form.elements.text : form.elements["so-tien"]).focus();
  }
  show($("#charge-refused"), false);
  button.disabled = true;
  try {
    await alone(page.signer, async () => {
      let order = await unfinished();
      if (!order) {
        order = makeOrder({
          aud: page.aud, holder: page.signer, kind: "charge", path: "/v1/charges",
          fields: { point: page.point, amount, code, invoice: "" },
          extra: { bills: [], total: amount, point: page.point, code },
        });
        await put("pending", order);
      }
      await follow(order);
    });
  } finally {
    button.disabled = false;
  }
  return undefined;
}

async function start() {
  setClockFromPage();
  stage("ask");
  const reason = await whyNot(page.aud);
  if (reason) return unable(reason);
  const key = await find(page.signer);
  if (!key || key.state === "made") return unable("key");
  if (key.state === "pending") return unable("approval");
  if (await unfinished()) await alone(page.signer, async () => follow(await unfinished()));
  button.disabled = false;
  return undefined;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  charge();
});
const field = form.elements["so-tien"];
field.addEventListener("input", () => {
  const digits = field.value.replace(/\D/g, "").replace(/^0+/, "").slice(0, 12);
  field.value = digits.replace(/\B(?=(\d{3})+$)/g, ".");
});
$("#charge-more").addEventListener("click", () => { location.reload(); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
start();
