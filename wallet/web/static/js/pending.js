/**
 * On every page of a signed-in citizen: orders whose outcome is unknown are resolved first.
 *
 * A banner says so, the bills they touch cannot be paid again meanwhile, and the outcome takes its place.
 */

import { alone, settle } from "./outcome.js";
import { setClockFromPage } from "./sign.js";
import { pendingOf } from "./store.js";
import { $, $$, dong, make, refusalTexts, say, show, text, textOf } from "./ui.js";

const CONFIRMATION = "/xac-nhan/";
/** Where an order by card is followed: its outcome says only that it was ordered. */
const BY_CARD = "/the/lenh/";

const pageOf = ({ id, kind }) => (kind.startsWith("card_") ? BY_CARD : CONFIRMATION) + id;

/** Mark every element of a bill as being checked (or free it again). */
export function holdBills(bills, on) {
  for (const id of bills) {
    for (const element of $$(`[data-bill="${CSS.escape(id)}"]`)) {
      element.toggleAttribute("data-checking", on);
      for (const box of $$('input[type="checkbox"]', element)) {
        if (on) box.checked = false;
        box.disabled = on;
        box.dispatchEvent(new Event("change", { bubbles: true }));
      }
      for (const way of $$("[data-pay]", element)) show(way, !on);
      for (const word of $$("[data-checking-note]", element)) show(word, on);
    }
  }
}

/** Resolve what is pending for `holder`. The pay page does its own: see pay.js. */
export async function resolvePending(holder) {
  const orders = await pendingOf(holder);
  if (!orders.length) return;
  setClockFromPage();
  const banner = $("#pending");
  for (const order of orders) holdBills(order.bills, true);
  showChecking(banner, orders);
  await alone(holder, async () => {
    for (const order of orders) {
      const outcome = await settle(order, (stage) => say($("#pending-detail"), text(`stage_${stage === "sending" ? "checking" : stage}`)));
      if (outcome.state === "signedOut") return showSignIn(banner);
      if (outcome.state === "gone") {
        holdBills(order.bills, false);
        show(banner, false);
      } else if (outcome.state === "done") {
        if (location.pathname === "/thanh-toan") return location.replace(pageOf(order));
        // On its own confirmation the page itself says so.
        if (location.pathname === pageOf(order)) show(banner, false);
        else showDone(banner, order);
      } else {
        holdBills(order.bills, false);
        showRefused(banner, outcome, order.kind);
      }
    }
  });
}

function panel(banner, kind, ...children) {
  banner.className = `note note-${kind}`;
  banner.replaceChildren(make("div", {}, ...children));
  show(banner);
}

function showChecking(banner, orders) {
  const total = orders.reduce((sum, order) => sum + BigInt(order.total), 0n);
  const kind = orders.every((order) => order.kind === orders[0].kind) ? orders[0].kind : "";
  panel(banner, "warn",
    make("p", { className: "note-title", words: textOf(kind, "checking_title") }),
    make("p", { words: textOf(kind, "checking_sum", { sum: dong(total) }) }),
    make("p", { id: "pending-detail", words: text("stage_checking") }));
}

function showDone(banner, order) {
  panel(banner, "ok",
    make("p", { className: "note-title", words: textOf(order.kind, "done_title", { sum: dong(order.total) }) }),
    ...(order.kind === "charge" ? [] // whose confirmation is the customer's
      : [make("a", { href: pageOf(order), words: textOf(order.kind, "done_link") })]));
}

function showRefused(banner, outcome, kind) {
  const { title, safe, next } = refusalTexts(outcome, kind);
  panel(banner, "bad",
    make("p", { className: "note-title", words: title }), make("p", { words: safe }), make("p", { words: next }));
}

function showSignIn(banner) {
  panel(banner, "warn",
    make("p", { className: "note-title", words: text("checking_title") }),
    make("p", { words: text("signed_out") }),
    make("a", { href: "/dang-nhap", words: text("sign_in") }));
}
