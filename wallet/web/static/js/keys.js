/** The holder's key in this browser: P-256, made here, never extractable, one per holder. */

import { get, put, remove } from "./store.js";

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const utf8 = new TextEncoder();

export function base64(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

export function base64url(bytes) {
  return base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** RFC 7638: SHA-256 over the required members in lexical order. */
export async function thumbprint({ crv, kty, x, y }) {
  const members = JSON.stringify({ crv, kty, x, y });
  return base64url(await crypto.subtle.digest("SHA-256", utf8.encode(members)));
}

/** Make a pair for `holder` and keep it; replaces one that was never enrolled. */
export async function make(holder) {
  const pair = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const jwk = { crv, kty, x, y };
  const key = { holder, kid: await thumbprint(jwk), pair, jwk, state: "made" };
  await put("keys", key);
  return key;
}

/** The key of `holder` here, or undefined. */
export const find = (holder) => get("keys", holder);

export const save = (key) => put("keys", key);

export const forget = (holder) => remove("keys", holder);

/** Raw 64 bytes r‖s, as RFC 9421 wants them for ecdsa-p256-sha256. */
export async function signBytes(key, bytes) {
  return crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.pair.privateKey, bytes);
}
