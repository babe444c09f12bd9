/**
 * A page that waits for a card: counts down to when it is given up, and looks again until the outcome is known.
 *
 * Elements: [data-until] is given the time left; the page is loaded anew while its state is not final.
 */

import { now, setClockFromPage } from "./sign.js";
import { $$, say, text } from "./ui.js";

/** Waits between looks, in milliseconds: soon at first, then no more often than a person would. */
const LOOK_MS = 3_000;

setClockFromPage();

function count() {
  for (const element of $$("[data-until]")) {
    const left = Math.max(0, Math.floor(Date.parse(element.dataset.until) / 1000) - now());
    const spelled = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    say(element, ` (${text("time_left", { left: spelled })})`);
  }
}

count();
setInterval(count, 1_000);
setInterval(() => { if (!document.hidden && navigator.onLine !== false) location.reload(); }, LOOK_MS);
