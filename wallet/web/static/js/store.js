/**
 * What this browser keeps: one key per holder, and the orders whose outcome is not known yet.
 *
 * keys     {holder, kid, pair: CryptoKeyPair, jwk, state: "made" | "pending" | "active", enrol?: a pending order}
 * pending  {holder, id, kind, aud, path, method, body, bills, total, expires, attempts}, saved before the first byte is
 *          sent; `bills` are those that it pays, none for a transfer
 */

const NAME = "wallet";
const VERSION = 1;
let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("keys", { keyPath: "holder" });
      request.result.createObjectStore("pending", { keyPath: ["holder", "id"] });
    };
    request.onsuccess = () => {
      // Another tab may need to upgrade or delete the database: let go, open again when asked.
      request.result.onversionchange = () => { request.result.close(); opening = null; };
      resolve(request.result);
    };
    request.onerror = () => { opening = null; reject(request.error); };
    request.onblocked = () => reject(new Error("the store is in use by an older page"));
  });
  return opening;
}

/** Run one request in its own transaction; a write is durable ("strict") before this resolves. */
async function run(store, mode, ask) {
  const db = await open();
  return new Promise((resolve, reject) => {
    const unit = db.transaction(store, mode, { durability: "strict" });
    const request = ask(unit.objectStore(store));
    unit.oncomplete = () => resolve(request.result);
    unit.onerror = unit.onabort = () => reject(unit.error ?? new Error("the store refused"));
  });
}

export const get = (store, key) => run(store, "readonly", (s) => s.get(key));
export const put = (store, value) => run(store, "readwrite", (s) => s.put(value));
export const remove = (store, key) => run(store, "readwrite", (s) => s.delete(key));

/** The holder's orders whose outcome is still unknown, in the order of their ids. */
export async function pendingOf(holder) {
  const range = IDBKeyRange.bound([holder], [holder, []]);
  return run("pending", "readonly", (s) => s.getAll(range));
}

/** Open the store and nothing else: rejects where the browser refuses (private windows, full disk). */
export async function probe() {
  await open();
}
