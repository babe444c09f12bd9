/** Every page: says that scripts run, tells when the network is gone, prints, and resolves what is pending. */

import { $, $$, data, dong, say, show, text } from "./ui.js";

document.documentElement.classList.add("js");

function network() {
  const banner = $("#offline");
  show(banner, navigator.onLine === false);
}
addEventListener("online", network);
addEventListener("offline", network);
network();

for (const button of $$("[data-print]")) button.addEventListener("click", () => print());

for (const button of $$("[data-copy]")) {
  const words = $("span", button);
  const usual = words.textContent;
  show(button, Boolean(navigator.clipboard));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    say(words, button.dataset.copied);
    setTimeout(() => say(words, usual), 2_500);
  });
}

// An amount is read back while it is typed, so that a nought too many is seen.
for (const field of $$("[data-echo]")) {
  const tell = () => {
    const typed = field.value.trim();
    const read = /^[1-9]\d{0,15}$/.test(typed) || /^[1-9]\d{0,2}([., \u00a0])\d{3}(\1\d{3})*$/.test(typed);
    say($(`#${field.dataset.echo}`), read ? dong(typed.replace(/\D/g, "")) : "");
  };
  field.addEventListener("input", tell);
  addEventListener("pageshow", tell);
  tell();
}

// A form sent twice by an impatient thumb is sent once.
for (const form of $$('form[method="post"]')) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
}
addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) delete form.dataset.sent; });

// A menu closes when one looks elsewhere.
for (const menu of $$("details.menu")) {
  addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) { menu.open = false; $("summary", menu).focus(); }
  });
}

// Where the tabs are more than a phone is wide, the one in use is in sight.
const tabs = $(".desk .tabs ul");
const current = tabs && $("[aria-current]", tabs);
if (current) tabs.scrollLeft = current.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;

async function citizen(holder) {
  (await import("./choose.js")).start();
  const { whyNot } = await import("./capability.js");
  const reason = await whyNot(document.body.dataset.aud);
  const call = $("#device-call");
  if (reason) {
    if (call) {
      say($("#device-call-title"), text(`unable_${reason}_title`));
      say($("#device-call-next"), text(`unable_${reason}_next`, { origin: document.body.dataset.aud }));
      show($("#device-call-link"), false);
      show(call);
    }
    return;
  }
  if (call) {
    const { find } = await import("./keys.js");
    const key = await find(holder);
    if (key?.state === "pending") {
      say($("#device-call-title"), text("unable_approval_title"));
      say($("#device-call-next"), text("unable_approval_next"));
    }
    show(call, !(key?.state === "active") || call.dataset.none === "1");
  }
  // The confirm sheet follows its own order; everywhere else the banner does.
  if (!data("sign-data")) {
    const { resolvePending } = await import("./pending.js");
    await resolvePending(holder);
  }
}

const { holder, role } = document.body.dataset;
if (role === "citizen" && holder) citizen(holder).catch((fault) => console.error(fault));
