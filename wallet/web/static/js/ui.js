/** Small hands for the pages: texts, data and elements. Only textContent is ever written. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** The JSON of a data island, or null. */
export function data(id) {
  const island = document.getElementById(id);
  return island ? JSON.parse(island.textContent) : null;
}

let words = null;

/** A text of the page's language; `{name}` is filled from `values`. */
export function text(name, values = {}) {
  words ??= data("texts") ?? {};
  return (words[name] ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** A text as it is said of one kind of order ("transfer"), or else of any. */
export function textOf(kind, name, values = {}) {
  return text(`${kind}_${name}`, values) || text(name, values);
}

export function show(element, on = true) {
  if (element) element.hidden = !on;
}

export function say(element, words) {
  if (element && element.textContent !== words) element.textContent = words;
}

/** 1250000n or "1250000" -> "1.250.000 ₫" */
export function dong(amount) {
  return `${String(amount).replace(/\B(?=(\d{3})+$)/g, ".")}\u00a0₫`;
}

/** An element with a class, text and attributes. */
export function make(tag, { className = "", words = "", ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (words) element.textContent = words;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** What a refusal says, in the person's language: what happened, is my money safe, what next. */
export function refusalTexts(outcome, kind = "") {
  const body = outcome.body ?? {};
  if (outcome.state === "lapsed" || outcome.state === "absent") {
    return { title: textOf(kind, "lapsed_title"), safe: text("lapsed_safe"), next: textOf(kind, "lapsed_next") };
  }
  return {
    title: body.title || body.detail || text("refused_title"),
    safe: body.safe || text("refused_safe"),
    next: body.next || text("refused_next"),
  };
}
