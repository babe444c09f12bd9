/** Home: the sum of the bills that are ticked, kept beside the one button. */

import { $, $$, dong, say, show, text } from "./ui.js";

export function start() {
  const form = $("#choose");
  if (!form) return;
  const button = $("#choose-button");
  const count = () => {
    const picked = $$('input[name="b"]:checked', form);
    const sum = picked.reduce((total, box) => total + BigInt(box.dataset.amount), 0n);
    say($("#choose-sum"), dong(sum));
    say($("#choose-count"), text("chosen", { count: picked.length }));
    show($("#choose-total"), picked.length > 0);
    $("#choose-bar").toggleAttribute("data-on", picked.length > 0);
    button.disabled = picked.length === 0;
  };
  form.addEventListener("change", count);
  addEventListener("pageshow", count);
  count();
}
