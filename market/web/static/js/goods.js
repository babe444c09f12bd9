/**
 * What the stall sells, as tiles: a tap adds one, and the minus beneath takes one away.
 *
 * Names, units and prices are the catalog's and are asked for each time the tiles are opened, so that a page that stays open
 * all day asks for today's prices. What was picked and costs something else since, or has gone, is said and not signed.
 */

import { $, dong, make, say, show } from "/static/js/ui.js";

/** With more tiles than this, there is a field to look for one by its letters. */
const FIND_FROM = 12;
const COUNT_MAX = 999;

/** Letters as people type them in a hurry: "mè xửng" is found by "me xung". */
const fold = (words) => words.normalize("NFD").replace(/\p{M}/gu, "").replace(/đ/gi, "d").toLowerCase();
const NAMES = new Intl.Collator("vi");

/**
 * @param {object} where `here`: the counter's address; `items_max`: how many lines an invoice may have
 * @param {object} told `words(name, values)`; `picked(sum)`: the new sum, as a bigint; `problem(words)`: "" when there is none
 */
export function tiles(where, { words, picked, problem }) {
  let goods = new Map(); // product → {product, name, unit, price, sold_out}
  const counts = new Map();
  const shown = new Map(); // product → its tile's parts
  let etag = "";

  const sum = () => [...counts].reduce((all, [id, count]) => all + BigInt(goods.get(id).price) * BigInt(count), 0n);

  /** The lines as an invoice has them, in the order in which they were picked. */
  function items() {
    return [...counts].map(([id, count]) => {
      const { product, name, unit, price } = goods.get(id);
      return { product, name, unit, price, count: String(count), amount: String(BigInt(price) * BigInt(count)) };
    });
  }

  function count(id, by) {
    const now = Math.min(Math.max((counts.get(id) ?? 0) + by, 0), COUNT_MAX);
    if (now && !counts.has(id) && counts.size === where.items_max) {
      problem(words("items_many", { max: String(where.items_max) }));
      return;
    }
    if (now) counts.set(id, now);
    else counts.delete(id);
    problem("");
    draw(id);
    tell();
  }

  function tell() {
    say($("#picked"), [...counts].map(([id, many]) => `${many} × ${goods.get(id).name}`).join(" · "));
    $("#unpick").disabled = !counts.size;
    picked(sum());
  }

  function draw(id) {
    const { tile, add, many, fewer } = shown.get(id);
    const now = counts.get(id) ?? 0;
    tile.dataset.count = String(now);
    say(many, now ? `× ${now}` : "");
    if (!now && document.activeElement === fewer) add.focus();
    show(fewer, now > 0);
  }

  function tile({ product, name, unit, price, sold_out }) {
    const many = make("span", { className: "tile-many num" });
    const add = make("button", { className: "tile-add", type: "button" },
      make("span", { className: "tile-name", words: name, lang: "vi" }),
      make("span", { className: "tile-price" },
        make("span", { className: "num", words: dong(price) }), make("span", { className: "soft", words: ` / ${unit}`, lang: "vi" })),
      many);
    const fewer = make("button", { className: "tile-fewer", type: "button", "aria-label": words("fewer", { name }) }, make("span", { words: "−" }));
    add.addEventListener("click", () => count(product, 1));
    fewer.addEventListener("click", () => count(product, -1));
    if (sold_out) {
      add.disabled = true;
      add.append(make("span", { className: "tile-out", words: words("sold_out") }));
    }
    const parts = { tile: make("li", { className: "tile", "data-product": product }, add, fewer), add, many, fewer };
    shown.set(product, parts);
    draw(product);
    return parts.tile;
  }

  function list(found) {
    const before = goods;
    goods = new Map(found.map((one) => [one.product, one]));
    let changed = false;
    for (const id of [...counts.keys()]) {
      const now = goods.get(id);
      if (now && !now.sold_out && now.price === before.get(id).price && now.unit === before.get(id).unit) continue;
      changed = true;
      if (!now || now.sold_out) counts.delete(id);
    }
    const order = [...found].sort((a, b) => a.sold_out - b.sold_out || NAMES.compare(a.name, b.name));
    shown.clear();
    $("#tiles").replaceChildren(...order.map(tile));
    show($("#goods-find"), found.length > FIND_FROM);
    show($("#goods-more"), found.length >= Number($("#goods").dataset.max));
    find();
    tell();
    if (changed) problem(words("changed"));
    return !changed;
  }

  function find() {
    const wanted = fold($("#goods-words").value).split(/\s+/);
    let any = false;
    for (const [id, { tile: one }] of shown) {
      const name = fold(goods.get(id).name);
      show(one, wanted.every((word) => name.includes(word)));
      any ||= !one.hidden;
    }
    show($("#goods-none"), !any);
  }

  /** Ask for today's goods; false when they could not be had, or when what was picked is not as it was. */
  async function refresh() {
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const reply = await fetch(`${where.here}/hang`, { headers, cache: "no-store", redirect: "error" });
      if (reply.status === 304) return true;
      if (!reply.ok) throw new Error(String(reply.status));
      const { goods: found } = await reply.json();
      etag = reply.headers.get("ETag") ?? "";
      return list(found);
    } catch {
      problem(words("no_goods"));
      return false;
    }
  }

  function clear() {
    const ids = [...counts.keys()];
    counts.clear();
    for (const id of ids) draw(id);
    tell();
  }

  $("#goods-words").addEventListener("input", find);
  $("#unpick").addEventListener("click", () => {
    clear();
    problem("");
    $("#tiles button:not(:disabled)")?.focus();
  });
  return { items, sum, refresh, clear };
}
