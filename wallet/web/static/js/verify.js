/** The page that verifies a receipt: a file chosen or dropped, checked here and nowhere else, told line by line. */

import { Unable, verify } from "./evidence.js";
import { $, data, dong, make, say, show } from "./ui.js";

const { keys, claims, verdicts, proof, texts } = data("check-data");
const drop = $("#drop");
const file = $("#file");
const verdict = $("#verdict");
const list = $("#checked");
let chosen = null;
let round = 0;

$("#keys").value = keys;

const text = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");

/** 22/11/2026 10:05, as every page writes an instant: in the city's time. */
function local(at) {
  const two = { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit" };
  return new Date(at).toLocaleString("en-GB", { timeZone: "Asia/Ho_Chi_Minh", year: "numeric", ...two }).replace(",", "");
}

function line(code, about, good) {
  const words = make("span", {}, make("span", { words: claims[code] ?? code }), about ? make("span", { className: "code small soft", words: about }) : "");
  return make("li", { className: good ? "good" : "false" }, words);
}

function tell(shape, title, detail) {
  verdict.className = `note ${shape}`;
  say($("#verdict-title"), title);
  say($("#verdict-detail"), detail);
  show(verdict);
}

function unable(fault) {
  if (fault.message.startsWith("no log keys")) {
    $("#keys-more").open = true;
    return tell("note-warn", text("unable_keys"), "");
  }
  return tell("note-warn", text("unable_crypto"), "");
}

async function check() {
  if (!chosen) return;
  const mine = ++round;
  const told = [];
  let outcome = null;
  let fault = null;
  try {
    const raw = new Uint8Array(await chosen.arrayBuffer());
    outcome = await verify(raw, $("#keys").value, (code, about) => told.push(line(code, about, true)));
  } catch (caught) {
    fault = caught;
  }
  if (mine !== round) return; // another file was chosen meanwhile
  say($("#file-name"), chosen.name);
  if (outcome?.code) told.push(line(outcome.code, outcome.detail, false));
  list.replaceChildren(...told);
  say($("#checked-count"), text("count", { count: told.length - (outcome?.code ? 1 : 0) }));
  show($("#checked-more"), told.length > 0);
  document.body.dataset.verified = fault ? "unable" : outcome.code || outcome.kind;
  if (fault instanceof Unable) return unable(fault);
  if (fault) return tell("note-warn", text("unread"), "");
  if (outcome.code) {
    $("#checked-more").open = true;
    return tell("note-bad", text("false", { claim: claims[outcome.code] }), text("code", { code: outcome.code }));
  }
  const { done } = outcome;
  const sum = done ? text("done", { sum: dong(done.amount), at: local(done.at) }) : "";
  return tell(outcome.kind === proof ? "note-ok" : "note-warn", verdicts[outcome.kind], sum);
}

function take(files) {
  chosen = files[0] ?? chosen;
  check();
}

file.addEventListener("change", () => take(file.files));
$("#keys").addEventListener("change", check);
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});
// A file that misses the target would be opened in the page's place.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
document.body.dataset.check = "ready";
