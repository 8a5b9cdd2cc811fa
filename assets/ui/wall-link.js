// What stands behind a link: which results the wall shows, which of their tiles, and seen from where.

export const EXAMPLE = "example"; // the recorded result that a first visit sees
const ENTRY = /^(?:[0-9a-f]{44}|example)(?:\.[A-Za-z0-9_-]{1,64})*$/;
const MOST_ENTRIES = 12; // of ui/wall_data.py

/** @typedef {{ id: string, keys: string[] | null }} Entry one result; of its tiles these, or all */

/**
 * @param {unknown} spec `<id>[.<key>...]`, comma-joined
 * @returns {{ entries: Entry[], refused: boolean }} and whether there was more than could be understood
 */
export function parseSpec(spec) {
  const parts = String(spec ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  let refused = parts.length > MOST_ENTRIES;
  for (const part of parts.slice(0, MOST_ENTRIES)) {
    if (!ENTRY.test(part)) {
      refused = true;
      continue;
    }
    const [id, ...keys] = part.split(".");
    const known = entries.get(id);
    if (!known) entries.set(id, { id, keys: keys.length ? keys : null });
    else if (known.keys && keys.length) known.keys = [...new Set([...known.keys, ...keys])];
    else known.keys = null;
  }
  return { entries: [...entries.values()], refused };
}

/** @param {Entry[]} entries @returns {string} */
export function formatSpec(entries) {
  return entries.map(({ id, keys }) => [id, ...(keys ?? [])].join(".")).join(",");
}

/** @returns {{ spec: string, view: { azimuth_deg: number, elevation_deg: number } | null }} what the address says */
export function readLink() {
  const asked = new URLSearchParams(window.location.search);
  return { spec: asked.get("r") ?? "", view: readView(asked.get("az"), asked.get("el")) };
}

/**
 * @param {string | null | undefined} az
 * @param {string | null | undefined} el
 * @returns {{ azimuth_deg: number, elevation_deg: number } | null} nothing, where they are no angles
 */
export function readView(az, el) {
  if (!az && !el) return null;
  const [azimuth, elevation] = [Number(az || 0), Number(el || 0)];
  if (!(Math.abs(azimuth) <= 360 && Math.abs(elevation) <= 90)) return null;
  return { azimuth_deg: azimuth, elevation_deg: elevation };
}

/**
 * Keeps the address of the page in step, also where the page lives in a frame (on a Space, the outer address).
 * @param {string} spec
 * @param {boolean} returns whether the browser's Back leads to what was shown before
 */
export function writeLink(spec, returns) {
  const page = new URL(window.location.href);
  const others = [...page.searchParams].filter(([name]) => name !== "r" && name !== "az" && name !== "el");
  page.search = query([...(spec ? [["r", spec]] : []), ...others]);
  if (page.href === window.location.href) return;
  if (returns) window.history.pushState(null, "", page);
  else window.history.replaceState(window.history.state, "", page);
  tellFrame();
}

/** The browser has gone back or forward: the address outside follows. @returns {string} what the address names now */
export function returned() {
  tellFrame();
  return readLink().spec;
}

function tellFrame() {
  const { search, hash } = window.location;
  if (window.parent !== window) window.parent.postMessage({ queryString: search, hash }, "*");
}

/**
 * @param {string} spec
 * @param {{ azimuth_deg: number, elevation_deg: number }} [view] of one moment
 * @returns {string} the whole address
 */
export function pageLink(spec, view) {
  return new URL(query([...(spec ? [["r", spec]] : []), ...moment(view)]) || ".", root()).href;
}

/** @param {string} spec @param {{ azimuth_deg: number, elevation_deg: number }} [view] */
export function embedCode(spec, view) {
  const address = new URL(`embed/${spec || EXAMPLE}${query(moment(view))}`, root()).href;
  return `<iframe src="${address.replaceAll("&", "&amp;")}" width="720" height="640" style="border:0" allow="clipboard-write" title="Turnaround"></iframe>`;
}

/** @param {"sheet.png" | "sheet.pdf" | "wall.zip"} file of all that hangs there @param {string} spec */
export function wallFile(file, spec) {
  return new URL(`${file}?r=${spec || EXAMPLE}&download`, root()).href;
}

/**
 * The whole address of a file of a result: only ever below `r/` of this very server.
 * @param {unknown} address as a description states it
 * @returns {string | null}
 */
export function ours(address) {
  if (typeof address !== "string" || !address.startsWith("r/") || /[\\\s]|\.\.|%2e/i.test(address)) return null;
  const whole = new URL(address, root());
  return whole.href.startsWith(new URL("r/", root()).href) ? whole.href : null;
}

/** @param {string} id @param {string} file */
export function resultFile(id, file) {
  return new URL(`r/${id}/${file}`, root()).href;
}

function root() {
  return new URL(".", document.baseURI);
}

function moment(view) {
  if (!view) return [];
  const tenth = (degrees) => String(Math.round(degrees * 10) / 10 + 0);
  return [
    ["az", tenth(view.azimuth_deg)],
    ["el", tenth(view.elevation_deg)],
  ];
}

/** Readable: a comma between results stays a comma. */
function query(pairs) {
  const text = new URLSearchParams(pairs).toString().replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}
