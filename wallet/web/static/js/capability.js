/** Whether this page can sign, and if not, the one reason that the person can do something about. */

import { probe } from "./store.js";

/** @param {string} aud the service's public origin @returns {Promise<null | "insecure" | "origin" | "crypto" | "storage">} */
export async function whyNot(aud) {
  if (!window.isSecureContext) return "insecure";
  if (aud && location.origin !== aud) return "origin";
  if (!crypto?.subtle || !crypto.randomUUID || !navigator.locks) return "crypto";
  if (!window.indexedDB) return "storage";
  try {
    await probe();
  } catch {
    return "storage";
  }
  return null;
}
