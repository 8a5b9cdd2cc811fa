// What stands beneath a tile: licence, time and seed at a glance; citation and all that made it, folded.

import { duration, made } from "./wall-dom.js";
import { said, say, translated } from "./words.js";

/** @param {any} tile @param {any} result @returns {HTMLElement} */
export function about(tile, result) {
  const glance = [
    translated(tile.licence ?? ""),
    typeof tile.seconds === "number" && say("wall.took", { time: duration(tile.seconds, true) }),
    Number.isInteger(tile.seed) && say("wall.seed", { seed: tile.seed }),
  ];
  return made("div", { className: "tile-about" }, [
    made("p", { className: "tile-glance", textContent: glance.filter(Boolean).join(" · ") }),
    ...texts(tile.notes).map((note) => made("p", { className: "tile-remark", textContent: translated(note) })),
    made("details", {}, [made("summary", { textContent: say("wall.about") }), ...folded(tile, result)]),
  ]);
}

function folded(tile, result) {
  const rows = [
    ["wall.camera", said(tile.summary)],
    ["wall.licence", translated(tile.licence ?? "")],
    ["wall.paper", tile.paper],
    ["wall.code", tile.code],
    ["wall.made", date(result.created_utc)],
    ["wall.seed_is", tile.seed],
    ["wall.options", pairs(tile.options, " = ")],
    ["wall.elevation", degrees(result.subject?.elevation_deg)],
    ["wall.remover", said(result.subject?.remover)],
    ["wall.weights", pairs(tile.weights, " @ ")],
    ["wall.device", tile.device],
    ["wall.versions", pairs(tile.versions, " ")],
  ];
  const listed = rows
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([key, value]) => [made("dt", { textContent: say(key) }), made("dd", {}, [linked(String(value))])]);
  return [
    made("dl", {}, listed),
    tile.citation && made("p", { className: "tile-cite", textContent: say("wall.citation") }),
    // Reached by the keyboard, since it may have to be scrolled.
    tile.citation &&
      made("pre", { tabIndex: 0, role: "region", "aria-label": say("wall.citation"), textContent: tile.citation }),
  ].filter(Boolean);
}

/** Addresses of papers and code may be followed: those of the web alone. */
function linked(value) {
  if (!/^https:\/\/[^\s]+$/.test(value)) return value;
  return made("a", { href: value, textContent: value, target: "_blank", rel: "noopener noreferrer" });
}

function pairs(table, between) {
  if (!table || typeof table !== "object") return "";
  return Object.entries(table)
    .map(([name, value]) => `${name}${between}${value}`)
    .join(", ");
}

function texts(notes) {
  return Array.isArray(notes) ? [...new Set(notes.map(String))] : [];
}

function degrees(value) {
  return typeof value === "number" ? `${Number(value.toFixed(1))}°` : "";
}

/** @param {unknown} utc */
export function date(utc) {
  const when = new Date(String(utc ?? ""));
  return Number.isNaN(when.getTime())
    ? ""
    : when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
