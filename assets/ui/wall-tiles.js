// Questions about the tiles of a wall together: which are alike, which leads, which view comes next.

import { turnBetween, wrapAzimuth } from "./camera.js";
import { date } from "./wall-about.js";
import { angles } from "./wall-dom.js";
import { ours } from "./wall-link.js";
import { say } from "./words.js";

/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {import("./wall-stage.js").Stage} Stage */
/** @typedef {import("./wall-camera.js").View} View */

const LARGEST_SEED = 2 ** 31 - 1;
const LEVEL_DEG = 5; // elevations as alike as this are one
const FREE_STEP_DEG = 5; // a key press, where any view can be had
const BLIND_STEP_DEG = 15; // and where there is but one

/** What tells a tile from the others of its method. @param {Tile} tile @param {Tile[]} tiles @returns {string} */
export function differences(tile, tiles) {
  const alike = tiles.filter((other) => other.key === tile.key && other.stage); // of others it is not known yet
  if (alike.length < 2 || !tile.stage) return "";
  const differs = (read) => new Set(alike.map((other) => JSON.stringify(read(other) ?? null))).size > 1;
  const others = alike.filter((other) => other !== tile).map((other) => other.stage);
  const { seed } = tile.tile;
  const options = tile.tile.options ?? {};
  const parts = [
    // The shortest first: where there is little room, the end is not seen
    ...(differs((other) => other.tile.seed) && Number.isInteger(seed) ? [say("wall.seed", { seed })] : []),
    ...cameraDifferences(tile.stage, others),
    ...Object.keys(options)
      .filter((name) => differs((other) => other.tile.options?.[name]))
      .map((name) => `${name} ${options[name]}`),
  ];
  return parts.length ? parts.join(", ") : date(tile.result.created_utc);
}

/**
 * So much of a tile's cameras as it takes to tell it from the others.
 * @param {Stage} stage
 * @param {Stage[]} others
 * @returns {string[]}
 */
function cameraDifferences(stage, others) {
  const parts = [];
  for (const [i, [, text]] of cameraFacts(stage).entries()) {
    const value = (other) => String(cameraFacts(other)[i]?.[0]);
    const alike = others.filter((other) => value(other) === value(stage));
    if (alike.length < others.length) parts.push(text);
    others = alike;
  }
  return parts;
}

/** What is compared of its cameras, and what is said of it. @param {Stage} stage @returns {[unknown, string][]} */
function cameraFacts({ views }) {
  if (!views.length) return [];
  const [az, el, far] = [span(views, "azimuth_deg", "°"), span(views, "elevation_deg", "°"), span(views, "distance", "×")];
  const distance = [far, `${say("camera.distance")} ${far}`];
  if (views.length === 1) return [[`${az} ${el}`, angles(views[0])], distance];
  return [
    [views.length, `${say("camera.count")} ${views.length}`],
    [el, `${say("wall.elevation_at")} ${el}`],
    distance,
    [az, `${say("wall.azimuth")} ${az}`],
  ];
}

function span(views, field, unit) {
  const digits = unit === "°" ? 0 : 2;
  const values = views.map((view) => Number(view[field].toFixed(digits)));
  return [...new Set([Math.min(...values), Math.max(...values)])].map((value) => value + unit).join(" – ");
}

/** A seed that no tile of this method has yet. @param {Tile} tile @param {Tile[]} tiles @returns {number} */
export function nextSeed(tile, tiles) {
  const seeds = tiles.filter(({ key }) => key === tile.key).map((other) => other.tile.seed ?? 0);
  const seed = Math.max(...seeds) + 1;
  return seed > LARGEST_SEED ? 0 : seed;
}

/** The tile that playing follows: of those that show pictures, the one with the most. @param {Stage[]} stages */
export function lead(stages) {
  const pictured = stages.filter((stage) => !stage.free && stage.views.length > 1);
  return pictured.reduce((most, stage) => (stage.views.length > (most?.views.length ?? 0) ? stage : most), undefined);
}

/** @param {Stage[]} stages @returns {boolean} */
export function severalElevations(stages) {
  const heights = stages.flatMap((stage) => (stage.free ? [] : stage.views.map((view) => view.elevation_deg)));
  return Math.max(...heights) - Math.min(...heights) > LEVEL_DEG;
}

/**
 * Where the camera comes to rest: where a picture was made, so that what is read off is what is seen.
 * @param {Stage | undefined} stage
 * @param {View} view
 * @returns {View | null} null: it stays where it is
 */
export function restingView(stage, view) {
  if (!stage || stage.free || !stage.halfStep) return null;
  const found = stage.shown(view);
  return found && turnBetween(found.view, view) <= stage.halfStep + 1 ? found.view : null;
}

/**
 * The azimuth of the next view to one side.
 * @param {Stage | undefined} stage
 * @param {1 | -1} side
 * @param {View} view
 * @returns {number}
 */
export function stepFrom(stage, side, view) {
  if (!stage || stage.free) return view.azimuth_deg + side * FREE_STEP_DEG;
  if (stage.views.length < 2) return view.azimuth_deg + side * BLIND_STEP_DEG;
  const from = stage.shown(view)?.view.azimuth_deg ?? view.azimuth_deg;
  const away = stage.views
    .map((other) => wrapAzimuth((other.azimuth_deg - from) * side))
    .map((degrees) => (degrees < 0.5 ? degrees + 360 : degrees));
  return from + side * Math.min(...away);
}

/** What can be wiped between: tiles, and the photos they were made from. @param {Tile[]} tiles */
export function wipeSources(tiles) {
  const shown = tiles.filter((tile) => tile.stage);
  const results = new Set(shown.map((tile) => tile.result));
  const photos = [...results].flatMap((result) => {
    const url = ours(result.subject?.url);
    const view = { azimuth_deg: 0, elevation_deg: result.subject?.elevation_deg ?? 0 };
    const title = results.size > 1 ? `${say("wall.photo")}, ${date(result.created_utc)}` : say("wall.photo");
    return url ? [{ value: `photo ${result.id}`, title, photo: { url, view } }] : [];
  });
  return [...shown.map((tile) => ({ value: tile.name, title: tile.title, stage: tile.stage })), ...photos];
}
