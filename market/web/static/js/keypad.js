/** A keypad under the field of an amount: the phone's own keyboard would cover what one is about to do. */

import { $, $$ } from "/static/js/ui.js";

const field = $("[data-keypad]");
const DIGITS_MAX = 12;

// With these keys there is no need for the phone's; a keyboard that is plugged in types as ever.
if (matchMedia("(pointer: coarse)").matches) field.inputMode = "none";

function press(key) {
  const typed = field.value.replace(/\D/g, "");
  const digits = (key === "back" ? typed.slice(0, -1) : typed + key).replace(/^0+/, "");
  if (digits.length > DIGITS_MAX) return;
  field.value = digits.replace(/\B(?=(\d{3})+$)/g, ".");
  field.dispatchEvent(new Event("input"));
}

for (const key of $$("#keypad [data-key]")) key.addEventListener("click", () => press(key.dataset.key));
