/** A confirmation that is not known yet: ask now and then, and show it when it is. */

import { ask } from "./sign.js";
import { $ } from "./ui.js";

const LOOK_MS = 3_000;
const waiting = $("[data-order-unknown]");

async function look() {
  const seen = await ask({ id: waiting.dataset.orderUnknown }).catch(() => null);
  if (seen?.status === 200) location.reload();
  else setTimeout(look, LOOK_MS);
}

if (waiting) setTimeout(look, LOOK_MS);
