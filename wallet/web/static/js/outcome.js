/**
 * Bring an order that was kept to a known outcome, without ever making a second one.
 *
 * The rule: an order that was sent at least once is asked for before it is sent again, and what is sent again
 * is the same bytes. Only one tab of this browser works on a holder's orders at a time (Web Locks).
 */

import { find } from "./keys.js";
import { ask, now, send } from "./sign.js";
import { get, put, remove } from "./store.js";

/** Outcomes that the service stores and repeats; other refusals were given before it looked at the order. */
const STORED_REFUSALS = new Set([402, 403, 404, 409, 412]);
/** Waits between attempts, in seconds; the last one repeats. */
const WAITS_S = [1, 2, 4, 8, 15, 30];
/** Clocks may differ by this much before "its time has passed" is certain, in seconds. */
const SKEW_S = 120;
/** A reply that takes longer than this is called slow, in milliseconds. */
const SLOW_MS = 5_000;
const LAPSED = Object.freeze({ state: "lapsed", status: 0, body: null });

/** One tab at a time for everything that sends or asks on behalf of `holder`. */
export function alone(holder, work) {
  return navigator.locks.request(`wallet-orders-${holder}`, work);
}

/**
 * Work on `order` (kept in `pending`) until its outcome is known; call it inside `alone`.
 *
 * @param {object} order as made by sign.order and put in the store
 * @param {(stage: "sending" | "checking" | "slow" | "offline") => void} say told as things move
 * @returns {Promise<{state: "done" | "refused" | "lapsed", body: any, status: number} | {state: "signedOut" | "absent" | "gone"}>}
 *   "lapsed": it never arrived and its time has passed, so nothing was or will be paid. Where another tab has brought
 *   it to its end meanwhile, the outcome is what the service stored; "absent" and "gone" then mean nothing was paid
 *   or nobody can be asked.
 */
export async function settle(order, say = () => {}) {
  const kept = await get("pending", [order.holder, order.id]);
  if (!kept) return (await told(order)) ?? { state: "gone" };
  order = kept;
  const finish = async (outcome) => {
    await remove("pending", [order.holder, order.id]);
    return outcome;
  };
  for (let turn = 0; ; turn += 1) {
    if (turn > 0) {
      say(navigator.onLine === false ? "offline" : turn > 3 ? "slow" : "checking");
      await pause(WAITS_S[Math.min(turn - 1, WAITS_S.length - 1)]);
    }
    if (order.attempts > 0) {
      if (turn === 0) say("checking");
      const known = await told(order);
      if (known?.state === "signedOut") return known;
      if (known && known.state !== "absent") return finish(known);
      if (!known) continue;
    } else {
      say("sending");
    }
    const past = now() > order.expires + SKEW_S;
    const key = await find(order.holder);
    if (!key) {
      if (past || order.attempts === 0) return finish(LAPSED);
      continue;
    }
    // Counted before it leaves: if this page dies now, the next one must ask first.
    order = { ...order, attempts: order.attempts + 1 };
    await put("pending", order);
    const slow = setTimeout(() => say("slow"), SLOW_MS);
    const reply = await send(order, key).catch(() => null);
    clearTimeout(slow);
    if (!isAnswer(reply)) {
      if (reply?.retryAfterS) await pause(Math.min(reply.retryAfterS, 30));
      continue;
    }
    if (reply.status < 300) return finish({ state: "done", ...reply });
    // An order that comes too late is refused once and for all (409), so sending it then makes its outcome certain.
    // A refusal given before the order was looked at settles this copy only; an earlier copy may still be under way.
    if (STORED_REFUSALS.has(reply.status) || order.attempts === 1) return finish({ state: "refused", ...reply });
    if (past) return finish(LAPSED);
  }
}

/** What the service has stored of `order`: an outcome, "absent" (never arrived), "signedOut", or null (no clear word). */
async function told(order) {
  const seen = await ask(order).catch(() => null);
  if (seen?.status === 401) return { state: "signedOut" };
  if (seen?.status === 404 && seen.body?.code === "order_not_found") return { state: "absent" };
  if (seen?.status !== 200) return null;
  const { state, status, code, answer } = seen.body ?? {};
  if (state === "done") return { state, status: Number(status), body: answer };
  if (state === "refused") return { state, status: Number(status), body: { code, ...answer } };
  return null;
}

/** Whether the service itself decided: what proxies and gateways say, and what says "later", decides nothing. */
function isAnswer(reply) {
  if (!reply || reply.status >= 500 || reply.status === 408 || reply.status === 429) return false;
  if (reply.status < 300) return reply.body !== null && typeof reply.body === "object";
  return reply.status >= 400 && typeof reply.body?.code === "string";
}

/** Wait, but no longer than until the network or the person comes back. */
function pause(seconds) {
  const spread = 0.8 + Math.random() * 0.4;
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000 * spread);
    addEventListener("online", done);
  });
}
