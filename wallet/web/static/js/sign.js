/**
 * Signed requests (RFC 9421 over RFC 8785 bytes): make an order, sign its headers, send it once.
 *
 * The body of an order never changes after `order()`; every send signs the headers anew.
 * Nothing here decides whether to send again: see outcome.js.
 */

import { canonical } from "./canonical.js";
import { base64, signBytes } from "./keys.js";

/** How long an order made by a page stays good, in seconds. */
const ORDER_LIFE_S = 900;
/** How long one signature stays good, in seconds: the most that the service accepts. */
const SIGNATURE_LIFE_S = 300;
/** After this long without an answer the outcome counts as unknown, in milliseconds. */
const TIMEOUT_MS = 15_000;
const COVERED = ["@method", "@target-uri", "content-type", "content-digest", "idempotency-key"];

const utf8 = new TextEncoder();
/** Milliseconds to add to this machine's clock to get the service's. */
let clockOffsetMs = 0;

/** Take the service's time as read off the page, counted from when the page arrived. */
export function setClockFromPage() {
  const said = Date.parse(document.querySelector('meta[name="server-time"]')?.content ?? "");
  const arrived = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
  if (!Number.isNaN(said)) clockOffsetMs = said - arrived;
}

function setClockFromReply(reply) {
  const said = Date.parse(reply.headers.get("Date") ?? "");
  if (!Number.isNaN(said)) clockOffsetMs = said - Date.now();
}

/** The service's time, in whole seconds. */
export function now() {
  return Math.floor((Date.now() + clockOffsetMs) / 1000);
}

/** A new order, ready to be kept and then sent: its bytes are final. A page may have given it its `id` already. */
export function order({ aud, holder, kind, id = crypto.randomUUID(), method = "POST", path, fields, extra = {} }) {
  const created = now();
  const expires = created + ORDER_LIFE_S;
  const body = canonical({
    ...fields, v: "1", aud, created: String(created), expires: String(expires), id, kind, signer: holder,
  });
  return { ...extra, holder, id, kind, aud, method, path, body, expires, attempts: 0 };
}

/** The headers that sign `order` with `key`, as of now. Exported for the tests. */
export async function signedHeaders(order, key) {
  const digest = base64(await crypto.subtle.digest("SHA-256", utf8.encode(order.body)));
  const values = {
    "@method": order.method,
    "@target-uri": order.aud + order.path,
    "content-type": "application/json",
    "content-digest": `sha-256=:${digest}:`,
    "idempotency-key": `"${order.id}"`,
  };
  const created = now();
  const covered = COVERED.map((name) => `"${name}"`).join(" ");
  const params = `(${covered});created=${created};expires=${created + SIGNATURE_LIFE_S}`
    + `;keyid="${key.kid}";alg="ecdsa-p256-sha256";tag="wallet-v1"`;
  const base = [...COVERED.map((name) => `"${name}": ${values[name]}`), `"@signature-params": ${params}`].join("\n");
  const signature = base64(await signBytes(key, utf8.encode(base)));
  return {
    Accept: "application/json, application/problem+json",
    "Content-Type": values["content-type"],
    "Content-Digest": values["content-digest"],
    "Idempotency-Key": values["idempotency-key"],
    "Signature-Input": `sig1=${params}`,
    Signature: `sig1=:${signature}:`,
  };
}

/** One request with a deadline that also covers reading the body. Rejects when the reply is lost. */
async function request(path, options) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
  try {
    const reply = await fetch(path, { ...options, cache: "no-store", redirect: "error", signal: stop.signal });
    const text = await reply.text();
    let body = null;
    try {
      body = text ? JSON.parse(text) : null;
    } catch {
      // Not one of ours: something between us and the service answered. A success in that shape proves nothing.
      if (reply.ok) throw new Error("unreadable reply");
    }
    return { status: reply.status, body, reply };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Send the order's bytes once, headers signed now.
 *
 * @returns {Promise<{status: number, body: any, retryAfterS: number}>}
 * @throws when no readable reply came: the order may or may not have been carried out
 */
export async function send(order, key) {
  const once = async () => request(order.path, {
    method: order.method, headers: await signedHeaders(order, key), body: utf8.encode(order.body),
  });
  let answer = await once();
  if (answer.status === 401 && answer.body?.code === "signature_window") {
    // This machine's clock is wrong and the service said what time it is. The refusal stored nothing.
    setClockFromReply(answer.reply);
    answer = await once();
  }
  return { status: answer.status, body: answer.body, retryAfterS: Number(answer.reply.headers.get("Retry-After")) || 0 };
}

/** Ask for the stored outcome of an order. Rejects when no readable reply came. */
export async function ask(order) {
  const answer = await request(`/v1/orders/${encodeURIComponent(order.id)}`, {
    headers: { Accept: "application/json, application/problem+json" }, credentials: "same-origin",
  });
  return { status: answer.status, body: answer.body };
}
