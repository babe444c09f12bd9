/** Says sentences that are lists of clips. One after the other, never two at a time; nothing before the person has touched the page. */

/** Between two sentences, in seconds. */
const PAUSE_S = 0.4;

/**
 * @param {Record<string, string>} addresses of the clips by name
 * @param {(on: boolean) => void} changed told when sound becomes possible, and when it ceases to be
 */
export function voice(addresses, changed) {
  const Context = window.AudioContext ?? window.webkitAudioContext;
  const clips = new Map();
  let context = null;
  let turn = Promise.resolve();
  let last = null;

  const isOn = () => context?.state === "running";

  function clip(name) {
    if (!clips.has(name)) {
      const loaded = fetch(addresses[name])
        .then((reply) => (reply.ok ? reply.arrayBuffer() : Promise.reject(new Error(`no clip ${name}`))))
        .then((bytes) => context.decodeAudioData(bytes));
      loaded.catch(() => clips.delete(name)); // it is asked for again when it is said again
      clips.set(name, loaded);
    }
    return clips.get(name);
  }

  async function unlock() {
    if (!Context) return;
    if (!context) {
      context = new Context();
      context.addEventListener("statechange", () => changed(isOn()));
    }
    await context.resume();
    changed(isOn());
    // One by one, so that loading them hinders nothing else.
    for (const name of Object.keys(addresses)) await clip(name).catch(() => null);
  }

  async function play(names) {
    const sounds = await Promise.all(names.map(clip));
    let at = context.currentTime + 0.02;
    for (const sound of sounds) {
      const source = new AudioBufferSourceNode(context, { buffer: sound });
      source.connect(context.destination);
      source.start(at);
      at += sound.duration;
    }
    await new Promise((done) => { setTimeout(done, (at - context.currentTime + PAUSE_S) * 1000); });
  }

  function say(names) {
    last = names;
    if (!isOn()) return false;
    turn = turn.then(() => play(names)).catch((fault) => console.error(fault));
    return true;
  }

  return { unlock, say, again: () => (last ? say(last) : false), isOn };
}
