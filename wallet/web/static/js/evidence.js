/**
 * A receipt verified in the browser: what wallet/log/evidence.py does, in the same order and with the same codes.
 *
 * It asks nobody: what it needs is the file and the log's keys. The hashes and signatures are WebCrypto's.
 */

const HASH_BYTES = 32;
const SALT_BYTES = 16;
const BYTES_MAX = 8 * 1024 * 1024;
const NOTE_CHARS_MAX = 131_072;
const SIGNATURES_MAX = 16;
const DEPTH_MAX = 8;
const SLACK_MS = 60_000;
const SIZE_MAX = 2n ** 63n - 1n;
const EMPTY_ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const TAG = "wallet-v1";
const COMPONENTS = ["@method", "@target-uri", "content-type", "content-digest", "idempotency-key"];
const HEADER = ["v", "aud", "created", "expires", "id", "kind", "signer"];
const PARAMS = '"@signature-params": ';
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;

/** A claim that does not hold. */
class Refuted extends Error {
  constructor(code, detail = "") {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
  }
}

/** This browser cannot check something: no verdict either way. */
export class Unable extends Error {}

const refute = (code, detail) => { throw new Refuted(code, detail); };

/** Turn any fault of reading into the claim that it refutes. */
function reading(code, read) {
  try {
    return read();
  } catch (fault) {
    if (fault instanceof Refuted || fault instanceof Unable) throw fault;
    return refute(code, fault.message);
  }
}

/**
 * Verify a receipt, an acknowledgement or a refusal.
 *
 * @param {Uint8Array} raw the file's bytes
 * @param {string} keys every key of the log, a line each, oldest first
 * @param {(code: string, about: string) => void} holds told of each claim that holds, in order
 * @returns {Promise<{kind: string, proved: boolean, code: string, detail: string, done?: {amount: string, at: string}}>}
 *   `code` is empty when nothing is false; `done` is how many đồng the order moved, and when
 * @throws {Unable} this browser has no Ed25519, or the keys are none
 */
export async function verify(raw, keys, holds = () => {}) {
  if (!globalThis.crypto?.subtle) throw new Unable("no WebCrypto");
  const log = await logKeys(keys);
  let kind = "";
  try {
    const receipt = readReceipt(raw);
    kind = receipt.kind;
    holds("receipt_unreadable", kind);
    const { order, jwk, key } = await checkOrder(receipt, log, holds);
    const done = await checkEvents(receipt, order, holds);
    if (kind === "receipt") {
      await checkEnrolment(receipt, order, jwk, key, holds);
      await checkLog(receipt, log, holds);
    } else {
      await checkStatement(receipt, order, log, done, holds);
    }
    return { kind, proved: kind === "receipt", code: "", detail: "", done };
  } catch (fault) {
    if (!(fault instanceof Refuted)) throw fault;
    return { kind, proved: false, code: fault.code, detail: fault.detail };
  }
}

// ---- reading --------------------------------------------------------------------------------------------------------

const bytes = (text) => new TextEncoder().encode(text);
const hex = (value) => [...value].map((one) => one.toString(16).padStart(2, "0")).join("");

function b64(value) {
  let letters = "";
  for (const one of value) letters += String.fromCharCode(one);
  return btoa(letters);
}

/** Base64 in its one spelling. */
function unb64(text) {
  const value = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  if (b64(value) !== text) throw new TypeError("not base64 as it is spelled");
  return value;
}

function unb64url(text) {
  if (!/^[\w-]{43}$/.test(text)) throw new TypeError("not 32 bytes in base64url");
  return unb64(`${text.replaceAll("-", "+").replaceAll("_", "/")}=`);
}

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of parts) { whole.set(one, at); at += one.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

/** JSON whose scalars are all strings and whose names stand there once: it can be read in one way only. */
function strings(source) {
  let at = 0;
  const space = () => { while (" \n\r\t".includes(source[at] ?? "x")) at += 1; };
  const take = (letter) => { if (source[at] !== letter) throw new TypeError(`${letter} expected`); at += 1; };
  const string = () => {
    const found = /"(?:[^"\\\u0000-\u001f]|\\.)*"/y;
    found.lastIndex = at;
    const [literal] = found.exec(source) ?? [];
    if (!literal) throw new TypeError("not a string");
    at += literal.length;
    const value = JSON.parse(literal);
    if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)) throw new TypeError("half a character");
    return value;
  };
  const several = (close, member) => {
    at += 1;
    space();
    if (source[at] === close) { at += 1; return; }
    for (;;) {
      member();
      space();
      if (source[at] === close) { at += 1; return; }
      take(",");
      space();
    }
  };
  const value = (depth) => {
    space();
    if (source[at] === '"') return string();
    if (!depth) throw new TypeError("too deep");
    if (source[at] === "[") {
      const list = [];
      several("]", () => list.push(value(depth - 1)));
      return list;
    }
    if (source[at] !== "{") throw new TypeError("not a string");
    const object = Object.create(null);
    several("}", () => {
      const name = string();
      if (name in object) throw new TypeError("a name stands there twice");
      space();
      take(":");
      object[name] = value(depth - 1);
    });
    return object;
  };
  const whole = value(DEPTH_MAX);
  space();
  if (at !== source.length || !isObject(whole)) throw new TypeError("no object");
  return whole;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value) => { if (typeof value !== "string") throw new TypeError("a text is missing"); return value; };
const list = (value) => { if (!Array.isArray(value)) throw new TypeError("a list is missing"); return value; };

function members(object, ...names) {
  if (!isObject(object) || Object.keys(object).sort().join() !== names.sort().join()) throw new TypeError("other members");
}

function readReceipt(raw) {
  return reading("receipt_unreadable", () => {
    if (raw.length > BYTES_MAX) throw new TypeError("too long");
    const said = strings(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw));
    const own = { receipt: ["enrolment", "events", "checkpoint"], acknowledgement: ["events", "statement"], refusal: ["statement"] };
    if (said.v !== "1" || !Object.hasOwn(own, text(said.kind))) throw new TypeError("another version or kind");
    members(said, "v", "kind", "order", ...own[said.kind]);
    members(said.order, "bytes", "salt", "signature_base", "signature", "key");
    const sealed = said.kind === "receipt";
    if (!isObject(said.order.key)) throw new TypeError("no key");
    Object.values(said.order.key).forEach(text);
    const salt = unb64(text(said.order.salt));
    if (salt.length !== SALT_BYTES) throw new TypeError("the salt is of another length");
    return {
      kind: said.kind,
      content: text(said.order.bytes),
      salt,
      base: text(said.order.signature_base),
      signature: unb64(text(said.order.signature)),
      jwk: said.order.key,
      events: readLeaves(said.events ?? [], sealed),
      enrolment: readLeaves(said.enrolment ?? [], true),
      note: text(sealed ? said.checkpoint : said.statement),
    };
  });
}

function readLeaves(some, sealed) {
  return list(some).map((one) => {
    members(one, ...(sealed ? ["bytes", "index", "proof"] : ["bytes"]));
    if (!sealed) return { text: text(one.bytes) };
    if (!/^(0|[1-9]\d{0,18})$/.test(text(one.index))) throw new TypeError("an index is a whole number");
    return { text: text(one.bytes), index: BigInt(one.index), proof: list(one.proof).map((beside) => unb64(text(beside))) };
  });
}

// ---- the order and its signature ------------------------------------------------------------------------------------

async function checkOrder(receipt, log, holds) {
  const order = reading("order_unreadable", () => {
    const said = strings(receipt.content);
    if (HEADER.some((name) => typeof said[name] !== "string") || said.v !== "1") throw new TypeError("not an order of version 1");
    if (!["created", "expires"].every((name) => /^[1-9]\d{0,10}$/.test(said[name]))) throw new TypeError("without its times");
    return said;
  });
  holds("order_unreadable", `${order.kind} ${order.id}`);
  const key = await readKey(receipt.jwk);
  holds("key_unreadable", `${key.alg} ${key.id}`);
  const said = readBase(receipt.base);
  holds("signature_base_unreadable", "");
  if (said.tag !== TAG) refute("signature_purpose_differs", said.tag);
  if (said.keyid !== key.id || said.alg !== key.alg) refute("signature_key_differs", said.keyid);
  const digest = `sha-256=:${b64(await sha256(bytes(receipt.content)))}:`;
  if (said["content-digest"] !== digest) refute("signature_body_differs", digest);
  if (said["idempotency-key"] !== `"${order.id}"`) refute("signature_order_differs", said["idempotency-key"]);
  const host = /^https?:\/\/((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?)$/.exec(order.aud)?.[1];
  if (!said["@target-uri"].startsWith(`${order.aud}/`) || !host) refute("signature_audience_differs", said["@target-uri"]);
  for (const name of ["purpose", "key", "body", "order", "audience"]) holds(`signature_${name}_differs`, "");
  if (!(await key.verifies(receipt.signature, bytes(receipt.base)))) refute("signature_invalid", key.id);
  holds("signature_invalid", order.signer);
  if (host !== log.origin.split("/")[0]) refute("log_of_other_service", `${order.aud}, ${log.origin}`);
  holds("log_of_other_service", order.aud);
  return { order, jwk: receipt.jwk, key };
}

async function readKey(jwk) {
  const names = Object.keys(jwk).sort().join();
  const id = async () => b64(await sha256(bytes(spelled(jwk)))).replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
  try {
    if (jwk.crv === "Ed25519") {
      const point = unb64url(jwk.x);
      if (names !== "crv,kty,x" || jwk.kty !== "OKP" || !isStrong(point)) throw new TypeError("a weak key");
      return { alg: "ed25519", id: await id(), verifies: (signature, message) => ed25519(point, signature, message) };
    }
    if (names !== "crv,kty,x,y" || jwk.kty !== "EC" || jwk.crv !== "P-256") throw new TypeError("not a key that we take");
    unb64url(jwk.x);
    unb64url(jwk.y);
    const curve = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey("jwk", { ...jwk }, curve, false, ["verify"]);
    const verifies = (signature, message) => crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, message);
    return { alg: "ecdsa-p256-sha256", id: await id(), verifies };
  } catch (fault) {
    if (fault instanceof Unable) throw fault;
    return refute("key_unreadable", fault.message);
  }
}

/** A JWK as RFC 7638 hashes it. */
const spelled = (jwk) => `{${Object.keys(jwk).sort().map((name) => `"${name}":${JSON.stringify(jwk[name])}`).join(",")}}`;

function readBase(base) {
  return reading("signature_base_unreadable", () => {
    const lines = base.split("\n");
    const last = lines.pop();
    const string = '"[ !#-\\[\\]-~]*"';
    const stated = new RegExp(`^\\(([^()]*)\\)((?:;(?:created|expires)=[1-9]\\d{0,14}|;(?:keyid|alg|tag|nonce)=${string})*)$`)
      .exec(last.slice(PARAMS.length));
    // eslint-disable-next-line no-control-regex
    if (!/^[\u0000-\u007f]*$/.test(base) || !last.startsWith(PARAMS) || !stated) throw new TypeError("no parameters of ours");
    const values = new Map(lines.filter((line) => line.includes(": ")).map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }));
    const pairs = [...stated[2].matchAll(new RegExp(`;([a-z]+)=(${string}|\\d+)`, "g"))];
    const parameters = new Map(pairs.map(([, name, value]) => [name, value.replace(/^"|"$/g, "")]));
    if ([...values.keys()].join(" ") !== stated[1] || values.size < lines.length || parameters.size < pairs.length) {
      throw new TypeError("the lines are not those that the parameters name");
    }
    if ([...values.keys()].sort().join() !== COMPONENTS.map((name) => `"${name}"`).sort().join()) throw new TypeError("not covered");
    if (!["keyid", "alg", "tag", "created", "expires"].every((name) => parameters.has(name))) throw new TypeError("not stated");
    const said = Object.fromEntries([...values].map(([name, value]) => [name.slice(1, -1), value]));
    return { ...said, keyid: parameters.get("keyid"), alg: parameters.get("alg"), tag: parameters.get("tag") };
  });
}

// ---- the events -----------------------------------------------------------------------------------------------------

async function checkEvents(receipt, order, holds) {
  if (receipt.kind === "refusal") return null;
  const events = receipt.events.map((leaf) => readEvent(leaf.text));
  holds("event_unreadable", events.map((event) => event.type).join(", "));
  const digest = hex(await sha256(receipt.salt, bytes(receipt.content)));
  if (!events.length || events.some((event) => event.data.order?.digest !== digest)) refute("event_order_differs", digest);
  holds("event_order_differs", digest);
  for (const event of events) {
    if (event.actor !== order.signer || event.data.order.kind !== order.kind) refute("event_signer_differs", event.actor);
  }
  holds("event_signer_differs", order.signer);
  for (const { at } of events) {
    const ms = instant(at);
    if (ms < order.created * 1_000 - SLACK_MS || ms > order.expires * 1_000 + SLACK_MS) refute("event_outside_window", at);
  }
  holds("event_outside_window", events[0].at);
  if (!asOrdered(order, events)) refute("entry_not_as_ordered", order.kind);
  const moved = movedBy(events);
  holds("entry_not_as_ordered", `${order.kind}, ${moved} VND`);
  return { amount: String(moved), at: events.map((one) => one.at).sort()[0] };
}

function readEvent(source) {
  return reading("event_unreadable", () => {
    const event = strings(source);
    if (!["v", "id", "type", "at", "subject", "actor"].every((name) => typeof event[name] === "string")) throw new TypeError("no event");
    if (event.v !== "1" || !isObject(event.data)) throw new TypeError("not an event of version 1");
    if (event.data.order !== undefined && !isObject(event.data.order)) throw new TypeError("it names no order as events do");
    instant(event.at);
    return event;
  });
}

function instant(at) {
  const ms = INSTANT.test(at) ? Date.parse(`${at.slice(0, 23)}Z`) : NaN;
  if (Number.isNaN(ms) || at.startsWith("0000") || new Date(ms).toISOString().slice(0, 19) !== at.slice(0, 19)) throw new TypeError("no instant");
  return ms;
}

function paidMerchant(order, [event]) {
  const { kind, settles } = event.data.entry;
  const named = "invoice" in order ? settles === order.invoice : event.subject === order.point;
  return kind === "merchant_payment" && named && !undoes(event) && same(moves(event), [[order.payer, order.payee, order.amount]]);
}

/** Each kind of order that moves money has a judge here; an order of any other kind may not have moved any. */
const JUDGES = {
  transfer: (order, [event]) => {
    const { kind } = event.data.entry;
    return kind === "transfer" && !undoes(event) && same(moves(event), [[order.payer, order.payee, order.amount]]);
  },
  bill_payment: (order, events) => same(
    events.map((event) => settled(order.payer, event)).sort(),
    list(order.bills).map((one) => `${text(one.bill)} ${text(one.version)} ${dong(one.amount)}`).sort(),
  ),
  invoice_payment: paidMerchant,
  point_payment: paidMerchant,
  refund: (order, [event]) => event.data.entry.refunds === order.entry
    && same(moves(event).map(([, , amount]) => amount), list(order.lines).map((one) => text(one.amount))),
  reverse: (order, [event]) => event.data.entry.reverses === order.entry,
  hold: (order, [event]) => !("entry" in event.data)
    && same([event.data.account, event.data.payee, event.data.amount], [order.payer, order.payee, order.amount]),
  hold_capture: (order, [event]) => moves(event).length === 1
    && same([event.subject, event.data.final, moves(event)[0][2]], [order.hold, order.final, order.amount]),
  hold_void: (order, [event]) => !("entry" in event.data) && event.subject === order.hold,
};

function asOrdered(order, events) {
  try {
    movedBy(events);
    const judge = Object.hasOwn(JUDGES, order.kind) ? JUDGES[order.kind] : null;
    if (!judge) return events.every((event) => !("entry" in event.data));
    return (order.kind === "bill_payment" || events.length === 1) && Boolean(judge(order, events));
  } catch {
    return false;
  }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const moves = (event) => list(event.data.entry.postings).map((one) => [text(one.debit), text(one.credit), text(one.amount)]);
const undoes = ({ data }) => text(data.entry.reverses) !== "" || text(data.entry.refunds) !== "";

/** How many đồng the events moved; throws on an amount that is none. */
function movedBy(events) {
  const all = events.filter(({ data }) => "entry" in data).flatMap(moves);
  return all.reduce((sum, [, , amount]) => sum + dong(amount), 0n);
}

function settled(payer, event) {
  const { entry, version } = event.data;
  if (entry.kind !== "bill_payment" || undoes(event) || moves(event).some(([debit]) => debit !== payer)) throw new TypeError("not theirs");
  return `${text(entry.settles)} ${text(version)} ${moves(event).reduce((sum, [, , amount]) => sum + dong(amount), 0n)}`;
}

function dong(amount) {
  if (!/^[1-9]\d{0,15}$/.test(amount)) throw new TypeError("no amount");
  return BigInt(amount);
}

async function checkEnrolment(receipt, order, jwk, key, holds) {
  const own = order.kind === "key_enrol" && !receipt.enrolment.length;
  let state = "";
  for (const event of (own ? receipt.events : receipt.enrolment).map((leaf) => readEvent(leaf.text))) {
    const { data, type } = event;
    if (event.subject !== key.id) refute("key_not_enrolled", `${type} is about another key`);
    if (type === "key.enrolled" && !state && isObject(data.jwk) && spelled(data.jwk) === spelled(jwk) && data.holder === order.signer) {
      state = String(data.state);
    } else if (type === "key.approved" && state === "pending") {
      state = "active";
    } else {
      refute("key_not_enrolled", `${type} does not say so`);
    }
  }
  if (state !== "active" && !(own && state)) refute("key_not_enrolled", state);
  holds("key_not_enrolled", order.signer);
}

// ---- the log --------------------------------------------------------------------------------------------------------

async function checkLog(receipt, log, holds) {
  const checkpoint = await checkCheckpoint(receipt.note, log, holds);
  for (const leaf of [...receipt.enrolment, ...receipt.events]) {
    const fault = await notIncluded(leaf, checkpoint);
    if (fault) refute("leaf_not_in_log", fault);
    holds("leaf_not_in_log", `${leaf.index} < ${checkpoint.size}`);
  }
  if (receipt.enrolment.some((key) => receipt.events.some((event) => key.index >= event.index))) refute("key_enrolled_later");
  holds("key_enrolled_later", "");
}

async function checkCheckpoint(raw, log, holds) {
  const { note, checkpoint } = reading("checkpoint_unreadable", () => {
    const note = parseNote(raw);
    return { note, checkpoint: parseCheckpoint(note.text) };
  });
  holds("checkpoint_unreadable", `${checkpoint.origin}, ${checkpoint.size}`);
  if (checkpoint.origin !== log.origin) refute("checkpoint_of_other_log", checkpoint.origin);
  holds("checkpoint_of_other_log", checkpoint.origin);
  const signed = await signedBy(note, log.keys, "checkpoint");
  const expected = log.keys.find((one) => one.last === null || checkpoint.size <= one.last.size);
  if (!signed.includes(expected)) refute("checkpoint_key_not_in_force", expected.spelled);
  if (expected.last?.size === checkpoint.size && expected.last.root !== checkpoint.root) refute("checkpoint_root_differs");
  holds("checkpoint_not_signed", `${expected.name}+${expected.id}`);
  for (const code of ["signature_invalid", "key_not_in_force", "root_differs"]) holds(`checkpoint_${code}`, "");
  return checkpoint;
}

/** The log's keys that have signed a note. */
async function signedBy(note, keys, what) {
  const signed = [];
  for (const one of note.signatures) {
    const key = keys.find(({ name, id }) => name === one.name && id === one.id);
    if (!key) continue;
    if (!(await ed25519(key.public, one.signature, bytes(note.text)))) refute(`${what}_signature_invalid`, `${one.name}+${one.id}`);
    if (!signed.includes(key)) signed.push(key);
  }
  return signed.length ? signed : refute(`${what}_not_signed`, "no known key has signed");
}

function parseNote(raw) {
  if (bytes(raw).length > NOTE_CHARS_MAX) throw new TypeError("the note is too long");
  const blank = raw.lastIndexOf("\n\n");
  const lines = raw.slice(blank + 2);
  // eslint-disable-next-line no-control-regex
  if (blank < 0 || !lines.endsWith("\n") || /[\u0000-\u0009\u000b-\u001f]/.test(raw)) throw new TypeError("no note");
  const signatures = lines.slice(0, -1).split("\n").map((line) => {
    const [, name, value] = /^— ((?:[^\s\u0085+]|\ufeff)+) ([A-Za-z0-9+/]+=*)$/.exec(line) ?? [];
    if (!name) throw new TypeError("no signature");
    const whole = unb64(value);
    if (whole.length <= 4) throw new TypeError("no signature");
    return { name, id: hex(whole.slice(0, 4)), signature: whole.slice(4) };
  });
  if (signatures.length > SIGNATURES_MAX) throw new TypeError("too many signatures");
  return { text: raw.slice(0, blank + 1), signatures };
}

function parseCheckpoint(source) {
  const lines = source.split("\n");
  if (lines.pop() !== "" || lines.length < 3 || lines.some((line) => !line)) throw new TypeError("no checkpoint");
  const [origin, size, root] = lines;
  if (!/^(0|[1-9]\d{0,18})$/.test(size) || BigInt(size) > SIZE_MAX || unb64(root).length !== HASH_BYTES) throw new TypeError("no checkpoint");
  if (size === "0" && root !== EMPTY_ROOT) throw new TypeError("the empty tree has another root");
  return { origin, size: BigInt(size), root };
}

/** RFC 9162 section 2.1.3.2. Returns what is wrong, or nothing. */
async function notIncluded(leaf, { size, root }) {
  if (leaf.index >= size) return `there is no leaf ${leaf.index} in a tree of ${size}`;
  let [at, last] = [leaf.index, size - 1n];
  let hash = await sha256(Uint8Array.of(0), bytes(leaf.text));
  for (const beside of leaf.proof) {
    if (beside.length !== HASH_BYTES || last === 0n) return "the inclusion proof is too long";
    if (at & 1n || at === last) {
      hash = await sha256(Uint8Array.of(1), beside, hash);
      while (at && !(at & 1n)) [at, last] = [at >> 1n, last >> 1n];
    } else {
      hash = await sha256(Uint8Array.of(1), hash, beside);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  if (last) return "the inclusion proof is too short";
  return b64(hash) === root ? "" : "the inclusion proof leads to another root";
}

// ---- the operator's word --------------------------------------------------------------------------------------------

async function checkStatement(receipt, order, log, done, holds) {
  const { note, said } = reading("statement_unreadable", () => {
    const note = parseNote(receipt.note);
    return { note, said: parseStatement(note.text) };
  });
  holds("statement_unreadable", said.kind);
  const signed = await signedBy(note, log.keys, "statement");
  holds("statement_not_signed", `${signed[0].name}+${signed[0].id}`);
  holds("statement_signature_invalid", "");
  const leaves = [];
  for (const leaf of receipt.events) leaves.push(b64(await sha256(Uint8Array.of(0), bytes(leaf.text))));
  const digest = hex(await sha256(receipt.salt, bytes(receipt.content)));
  const about = [log.origin, receipt.kind, order.signer, order.id, digest, leaves];
  if (!same([said.origin, said.kind, said.signer, said.order, said.digest, said.leaves], about)) refute("statement_of_other_order");
  if (said.by && micros(said.by) > micros(done.at) + PROMISED) refute("statement_of_other_order", said.by);
  holds("statement_of_other_order", `${said.about} ${said.at}${said.by ? ` → ${said.by}` : ""}`);
}

const PROMISED = 10_000_000n; // microseconds within which the log promises to have what happened

const micros = (instant) => BigInt(Date.parse(`${instant.slice(0, 19)}Z`)) * 1000n + BigInt(instant.slice(20, 26));

function parseStatement(source) {
  const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
  const at = INSTANT.source.slice(1, -1);
  const form = `^(?<kind>acknowledgement|refusal)/v1\n(?<origin>[^\n]+)\nsigner (?<signer>${uuid})\norder (?<order>${uuid})\n`
    + `digest (?<digest>[0-9a-f]{64})\nabout (?<about>[a-z0-9_]+)\nat (?<at>${at})\n(?:by (?<by>${at})\n)?`
    + "(?<leaves>(?:leaf [A-Za-z0-9+/]{43}=\n)*)$";
  const { leaves: lines, ...said } = new RegExp(form).exec(source)?.groups ?? {};
  if (lines === undefined) throw new TypeError("not an acknowledgement or a refusal");
  const leaves = lines.split("\n").filter(Boolean).map((line) => b64(unb64(line.slice(5))));
  const promises = leaves.length > 0;
  if (promises !== (said.kind === "acknowledgement") || promises !== Boolean(said.by)) throw new TypeError("another promise");
  return { ...said, leaves };
}

// ---- Ed25519 --------------------------------------------------------------------------------------------------------

const FIELD = 2n ** 255n - 19n;
const SMALL_ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const SMALL_ORDER = [0n, 1n, FIELD - 1n, SMALL_ORDER_8, FIELD - SMALL_ORDER_8];

/** Whether 32 bytes are a point that is not of small order: under such a key, signatures can be made that fit any message. */
function isStrong(point) {
  const y = BigInt(`0x${hex(point.toReversed())}`) & (2n ** 255n - 1n);
  return point.length === HASH_BYTES && y < FIELD && !SMALL_ORDER.includes(y);
}

async function ed25519(point, signature, message) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", point, { name: "Ed25519" }, false, ["verify"]);
  } catch (fault) {
    if (fault.name === "NotSupportedError") throw new Unable("no Ed25519");
    return false;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
}

// ---- the log's keys -------------------------------------------------------------------------------------------------

/** Read `VKEY` or `VKEY until SIZE ROOT`, a line for each key that the log has had, oldest first. */
async function logKeys(source) {
  try {
    const keys = await Promise.all(source.trim().split(/\r?\n/).map(logKey));
    const origin = keys.at(-1).name;
    const sizes = keys.map((one) => one.last?.size ?? null);
    const inOrder = sizes.every((size, at) => (size === null) === (at === sizes.length - 1) && (at === 0 || size === null || size > sizes[at - 1]));
    if (!inOrder || keys.some(({ name }) => name !== origin)) throw new TypeError("the keys do not follow each other");
    return { keys, origin };
  } catch (fault) {
    throw new Unable(`no log keys: ${fault.message}`);
  }
}

async function logKey(line) {
  const [spelled, ...retired] = line.split(" ");
  const [, name, id, value] = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(spelled) ?? [];
  const encoded = unb64(value);
  const own = hex((await sha256(bytes(`${name}\n`), encoded)).slice(0, 4));
  if (encoded[0] !== 1 || !isStrong(encoded.slice(1)) || own !== id) throw new TypeError("not a log's key");
  if (retired.length && (retired.length !== 3 || retired[0] !== "until")) throw new TypeError("VKEY, or VKEY until SIZE ROOT");
  const last = retired.length ? parseCheckpoint(`${name}\n${retired[1]}\n${retired[2]}\n`) : null;
  return { name, id, spelled, public: encoded.slice(1), last };
}
