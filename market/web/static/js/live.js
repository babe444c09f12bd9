/**
 * Hears what is paid at one point, and knows at every moment whether it would have heard.
 *
 * A stream tells payments and beats; a beat says that nothing up to here is missing. Without beats the page asks the service
 * itself every few seconds. With neither, nothing is known: "unconfirmed". No clock of anybody's is compared with another's:
 * only how long ago this page heard.
 *
 * States: "live" · "polling" · "unconfirmed" · "signed_out"
 */

/** Without a beat for this long the stream is not trusted, in milliseconds. Beats come every two seconds. */
const BEAT_MS_MAX = 5_000;
/** Without any word for this long nothing is known. */
const STALE_MS = 7_000;
const POLL_EVERY_MS = 2_500;
const POLL_MS_MAX = 5_000;
const TICK_MS = 500;
/** Waits before a stream is opened again; the last one repeats. */
const AGAIN_MS = [500, 1_000, 2_000, 5_000, 10_000];

/**
 * @param {object} where `stream`: its first address, with a ticket; `after`: the last leaf that the page knows of;
 *   `here`: the counter's own address, which gives tickets and lists takings
 * @param {object} told `paid(taking, {missed})`: each payment once, `missed` when it came while nobody was listening;
 *   `listed(answer)`: each fresh list; `state(name)`
 * @param {Iterable<string>} known entries that the page shows already
 */
export function follow(where, told, known = []) {
  const seen = new Set(known);
  let { stream: address, after } = where;
  let source = null;
  let beatAt = 0;
  let wordAt = 0;
  let tickAt = Date.now();
  let polledAt = 0;
  let polling = false;
  let etag = "";
  let failures = 0;
  let state = "";
  let ended = false;

  function enter(name) {
    if (state === name || ended) return;
    state = name;
    ended = name === "signed_out";
    if (ended) close();
    told.state(name);
  }

  function pay(taking, missed) {
    if (seen.has(taking.entry)) return;
    seen.add(taking.entry);
    told.paid(taking, { missed });
  }

  // ---- the stream ----

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    close();
    let isCaughtUp = false;
    const opened = new EventSource(after ? `${address}&after=${after}` : address);
    source = opened;
    opened.addEventListener("beat", (event) => {
      if (source !== opened) return;
      after = event.lastEventId || after;
      beatAt = wordAt = performance.now();
      isCaughtUp = true;
      failures = 0;
      enter("live");
    });
    opened.addEventListener("paid", (event) => {
      if (source !== opened) return;
      after = event.lastEventId || after;
      pay(JSON.parse(event.data), !isCaughtUp);
    });
    opened.addEventListener("error", () => {
      if (source !== opened) return;
      close();
      setTimeout(reopen, AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)] * (0.8 + Math.random() * 0.4));
      failures += 1;
    });
  }

  /** A ticket is good for a minute, so each further stream asks for its own. */
  async function reopen() {
    if (source || ended) return;
    try {
      const reply = await ask(`${where.here}/phieu`, { method: "POST" });
      if (reply) {
        address = (await reply.json()).stream;
        return open();
      }
    } catch {
      // No network: tried again below.
    }
    failures += 1;
    if (!ended) setTimeout(reopen, AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)]);
  }

  // ---- without the stream ----

  /** A reply that the service itself gave, or null. */
  async function ask(path, options = {}) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), POLL_MS_MAX);
    try {
      const reply = await fetch(path, { ...options, cache: "no-store", redirect: "manual", signal: stop.signal });
      if (reply.type === "opaqueredirect" || reply.status === 401) enter("signed_out");
      return reply.ok || reply.status === 304 ? reply : null;
    } finally {
      clearTimeout(timer);
    }
  }

  async function poll() {
    if (polling || ended) return;
    polling = true;
    const begun = performance.now();
    const gap = begun - wordAt;
    polledAt = begun;
    try {
      const reply = await ask(`${where.here}/thu`, etag ? { headers: { "If-None-Match": etag } } : {});
      if (!reply) return;
      const answer = reply.status === 304 ? null : await reply.json();
      const missed = wordAt === 0 || gap > STALE_MS;
      wordAt = begun; // what came after it was asked is not in the answer
      judge();
      if (!answer) return;
      etag = reply.headers.get("ETag") ?? "";
      for (const taking of [...answer.takings].reverse()) pay(taking, missed);
      told.listed(answer);
    } catch {
      // No answer is no word; the next tick judges.
    } finally {
      polling = false;
    }
  }

  function judge() {
    const now = performance.now();
    if (navigator.onLine === false || wordAt === 0 || now - wordAt > STALE_MS) enter("unconfirmed");
    else if (now - beatAt > BEAT_MS_MAX) enter("polling");
    else enter("live");
  }

  setInterval(() => {
    if (ended) return;
    // A machine that slept knows nothing of the time between, whatever its counters say.
    const slept = Math.abs(Date.now() - tickAt - TICK_MS) > STALE_MS;
    tickAt = Date.now();
    if (slept) {
      beatAt = wordAt = 0;
      close();
      reopen();
    }
    const now = performance.now();
    const deaf = beatAt === 0 ? now > BEAT_MS_MAX : now - beatAt > BEAT_MS_MAX;
    if ((deaf || slept) && now - polledAt > POLL_EVERY_MS) poll();
    if (wordAt !== 0 || slept || now > STALE_MS) judge();
  }, TICK_MS);

  addEventListener("offline", () => {
    beatAt = wordAt = 0;
    close();
    enter("unconfirmed");
  });
  addEventListener("online", () => {
    failures = 0;
    poll();
    reopen();
  });
  open();
  return { poll };
}
