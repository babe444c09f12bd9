/**
 * The confirm sheets: make the order, keep it, sign it, send it, and follow it until its outcome is known.
 *
 * A bill can be paid once because it is a bill. A transfer has nothing of the kind, so its sheet comes with the order's
 * id: whatever becomes of tabs, reloads and the way back, that id moves money once.
 *
 * Elements: #pay-ready (with #pay-button), #pay-checking, #pay-refused, #pay-unable; exactly one is shown.
 */

import { whyNot } from "./capability.js";
import { find } from "./keys.js";
import { alone, settle } from "./outcome.js";
import { order as makeOrder, setClockFromPage } from "./sign.js";
import { pendingOf, put } from "./store.js";
import { $, data, refusalTexts, say, show, text, textOf } from "./ui.js";

const sign = data("sign-data");
const holder = sign.signer;
/** An order of which the page itself says where it goes and what it says. */
const pageOrder = () => ({
  id: sign.order,
  path: sign.path,
  fields: sign.fields,
  extra: { bills: [], total: sign.total },
  isOurs: ({ id }) => id === sign.order,
});
const SHEETS = {
  bill_payment: () => ({
    path: "/v1/bill-payments",
    fields: { payer: sign.payer, bills: sign.bills.map(({ bill, version, amount }) => (
      { bill: String(bill), version: String(version), amount: String(amount) })) },
    extra: {
      bills: sign.bills.map(({ bill }) => bill),
      total: String(sign.bills.reduce((sum, { amount }) => sum + BigInt(amount), 0n)),
    },
    isOurs: ({ bills }) => bills.some((id) => sign.bills.some(({ bill }) => bill === id)),
  }),
  transfer: () => ({
    id: sign.order,
    path: "/v1/transfers",
    fields: { payer: sign.payer, payee: sign.payee, amount: sign.amount, memo: sign.memo },
    extra: { bills: [], total: sign.amount },
    isOurs: ({ id }) => id === sign.order,
  }),
  invoice_payment: pageOrder,
  point_payment: pageOrder,
  charge: pageOrder,
  refund: pageOrder,
  card_topup: pageOrder,
  card_payment: pageOrder,
};
const { isOurs, ...own } = SHEETS[sign.kind]();
const button = $("#pay-button");
const PANELS = ["ready", "checking", "refused", "unable"];

function stage(name, { focus = true } = {}) {
  for (const panel of PANELS) show($(`#pay-${panel}`), panel === name);
  document.body.dataset.pay = name;
  if (!focus) return;
  $(`#pay-${name} h2`)?.focus({ preventScroll: true });
  $(`#pay-${name}`)?.scrollIntoView({ block: "center" });
}

function unable(reason) {
  say($("#pay-unable-title"), text(`unable_${reason}_title`));
  say($("#pay-unable-next"), textOf(sign.kind, `unable_${reason}_next`, { origin: sign.aud }));
  const link = $("#pay-unable-link");
  show(link, reason === "key");
  link.href = `/thiet-bi?next=${encodeURIComponent(location.pathname + location.search)}`;
  stage("unable", { focus: false });
}

function told(name) {
  const sending = name === "signing" || name === "sending";
  say($("#pay-checking-title"), textOf(sign.kind, sending ? "sending_title" : "checking_title"));
  say($("#pay-stage"), text(`stage_${name}`));
}

/** Follow `order` to its end, here. Call inside `alone`. */
async function follow(order) {
  const outcome = await settle(order, told);
  if (outcome.state === "gone") return location.reload();
  if (outcome.state === "done") {
    return location.replace(sign.confirm_url + encodeURIComponent(order.id));
  }
  if (outcome.state === "signedOut") {
    say($("#pay-stage"), text("signed_out"));
    return show($("#pay-sign-in"));
  }
  // The same sheet was signed elsewhere before: what came of that is what came of this sheet.
  if (sign.order && outcome.body?.code === "order_id_reused") return location.replace(sign.confirm_url + sign.order);
  const { title, safe, next } = refusalTexts(outcome, sign.kind);
  say($("#pay-refused-title"), title);
  say($("#pay-refused-safe"), safe);
  say($("#pay-refused-next"), next);
  show($("#pay-refused-devices"), outcome.status === 401);
  stage("refused");
}

/** An order of this sheet, or one that touches a bill of it, that has no known outcome. */
async function unfinished() {
  return (await pendingOf(holder)).find(isOurs);
}

async function pay() {
  button.disabled = true;
  stage("checking");
  told("signing");
  try {
    await alone(holder, async () => {
      // Another tab may have begun the same while we waited for our turn.
      let order = await unfinished();
      if (!order) {
        order = makeOrder({ aud: sign.aud, holder, kind: sign.kind, ...own });
        await put("pending", order);
      }
      await follow(order);
    });
  } catch (fault) {
    // Nothing is sent before it is kept, so a fault up to there has paid nothing; after it, the next page resolves it.
    console.error(fault);
    if (await unfinished().catch(() => null)) return location.reload();
    unable("storage");
  }
}

async function start() {
  setClockFromPage();
  const reason = await whyNot(sign.aud);
  if (reason) return unable(reason);
  const order = await unfinished();
  if (order) {
    stage("checking", { focus: false });
    told("checking");
    return alone(holder, () => follow(order));
  }
  const key = await find(holder);
  if (!key || key.state === "made") return unable("key");
  if (key.state === "pending") return unable("approval");
  button.addEventListener("click", pay);
  button.disabled = false;
  stage("ready", { focus: false });
}

// A page brought back by the Back button shows the moment it was left: start over.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
start();
