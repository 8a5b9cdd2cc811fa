// What the draggable camera's small scene holds, as plain lines, surfaces and labels in the world of camera.js. Two
// painters show it alike: pad_three.js in WebGL, and pad_flat.js until that is there, or for good where it is not.

import {
  along,
  DISTANCE_RANGE,
  DRAWN,
  FOV_DEG,
  KINDS,
  path,
  spiralElevation,
  worldFromCamera,
  wrapAzimuth,
} from "./camera.js";

/** @typedef {[number, number, number]} Point */
/**
 * @typedef {object} PadValue
 * @property {number} azimuth
 * @property {number} elevation
 * @property {number} distance
 * @property {"one view" | "orbit" | "spiral" | "swing" | "drawn"} kind
 * @property {number} count
 * @property {[number, number, number][]} way that is drawn: azimuths, elevations and distances
 * @property {number} photo_elevation
 * @property {string | null} picture
 */

const REACH = 1.25; // the sphere's radius at distance 1: nearer than in truth, so that the subject stays large
const LABELS_AT = REACH + 0.22;
const GLYPH = 0.32; // length of the camera's frustum
const LENS = Math.tan((FOV_DEG / 2) * (Math.PI / 180)) * 1.3; // drawn a little wider than it is, to be seen
const DOT = 0.034;
const DENSEST = 0.25; // of the way from dot to dot that half a dot may take
const DASH = 0.05;
const SMOOTH = 120; // cameras that a path is drawn through

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Lines (css px wide) and surfaces, in the order of painting; `color` names a property --pad-... of pad.css. */
export const STYLES = {
  ground: { color: "ground" },
  shade: { color: "shade" },
  ring: { color: "line", width: 1.2 },
  sight: { color: "soft", width: 1.1 },
  track: { color: "path", width: 1.6 },
  dots: { color: "path" },
  photo: { color: "photo", width: 1.2, ghost: true },
  body: { color: "accent", width: 2, ghost: true },
  lens: { color: "accent", opacity: 0.22 },
};

/** Where the scene is looked at from; steep enough that the ring is seen as one, and not from a preset's place. */
export const OBSERVER = { azimuth_deg: -28, elevation_deg: 25, fov_deg: 24 };
const MARGIN = 0.2; // round the cameras and labels, in world units
const LABEL_SIDE = 0.26; // half of what a label takes from side to side

/**
 * The value with everything in range, whoever set it.
 * @param {any} given
 * @returns {PadValue}
 */
export function checkedValue(given) {
  const number = (name, otherwise, low, high) => {
    const value = given?.[name];
    return typeof value === "number" && Number.isFinite(value) ? clamp(value, low, high) : otherwise;
  };
  const kind = [...KINDS, DRAWN].includes(given?.kind) ? given.kind : "one view";
  const way = Array.isArray(given?.way) && given.way.every(isStop) ? given.way : [];
  const end = kind === DRAWN && way[way.length - 1]; // where the camera stands, whatever else is said
  return {
    azimuth: wrapAzimuth(end ? end[0] : number("azimuth", 0, -360, 360)),
    elevation: end ? end[1] : number("elevation", 0, -90, 90),
    distance: end ? end[2] : number("distance", 1, ...DISTANCE_RANGE),
    kind,
    count: Math.round(number("count", 21, 1, 360)),
    way,
    photo_elevation: number("photo_elevation", 0, -90, 90),
    picture: typeof given?.picture === "string" ? given.picture : null,
  };
}

function isStop(stop) {
  const [low, high] = DISTANCE_RANGE;
  const [azimuth, elevation, distance] = Array.isArray(stop) ? stop : [];
  return Number.isFinite(azimuth) && Math.abs(elevation) <= 90 && low <= distance && distance <= high;
}

/**
 * The cameras of a value, or of a path as finely as `count` says.
 * @param {PadValue} value
 * @param {number} [count]
 */
export function viewsOf(value, count = value.count) {
  const { kind, way, azimuth, elevation, distance } = value;
  if (kind !== DRAWN) return path(kind, count, { azimuth_deg: wrapAzimuth(azimuth), elevation_deg: elevation, distance });
  const stops = way.map(([azimuth_deg, elevation_deg, distance]) => ({ azimuth_deg, elevation_deg, distance }));
  return along(stops, count);
}

/**
 * The chosen camera: on its path, where there is one.
 * @param {PadValue} value
 */
export function chosenView({ azimuth, elevation, distance, kind }) {
  const height = kind === "spiral" ? spiralElevation(elevation, azimuth) : elevation;
  return { azimuth_deg: azimuth, elevation_deg: height, distance };
}

/** Far cameras are drawn nearer than they are, near ones farther, so that all of the range is in view. */
const radius = (distance) => REACH * Math.sqrt(distance);

/** @returns {Point} */
function on(view, factor = 1) {
  const pose = worldFromCamera({ ...view, distance: 1 }, radius(view.distance) * factor);
  return [pose[0][3], pose[1][3], pose[2][3]];
}

/**
 * @param {PadValue} value
 * @param {{ width: number, height: number }} subject in world units
 * @param {number} aspect of the canvas
 */
export function padScene(value, subject, aspect) {
  const view = chosenView(value);
  const floor = -Math.max(subject.height / 2, 0.12);
  const eye = on(view);
  const photo = { azimuth_deg: 0, elevation_deg: value.photo_elevation, distance: 1 };
  const smooth = value.kind === "one view" ? [] : viewsOf(value, SMOOTH).map((other) => on(other));
  const labels = ["front", "right", "back", "left"].map((name, i) => ({
    text: `pad.${name}`,
    at: around(90 * i, LABELS_AT, floor),
    color: "text",
  }));
  const atLeast = [...labels.map(({ at }) => at), [0, subject.height + floor, 0]];
  const observer = observing(atLeast, [eye, on(photo), ...smooth], aspect);
  const lines = { ring: [], sight: [], track: [], photo: [], body: [] };
  const surfaces = { ground: [], shade: [], dots: [], lens: [] };

  // The floor: a disc with a ring, ticks every 15 degrees, and the subject's shadow
  surfaces.ground.push(circle(REACH, REACH, floor, 96));
  surfaces.shade.push(circle(subject.width * 0.46, subject.width * 0.17, floor + 0.002, 48));
  lines.ring.push(closed(circle(REACH, REACH, floor, 120)));
  for (let azimuth = 0; azimuth < 360; azimuth += 15) {
    const long = azimuth % 90 === 0;
    lines.ring.push([around(azimuth, REACH, floor), around(azimuth, REACH + (long ? 0.09 : 0.045), floor)]);
  }

  // The path and its views
  if (smooth.length) {
    // A swing goes to and fro: from its far left, at three quarters of it, to its far right
    if (value.kind === "swing") lines.track.push([...smooth.slice(90), ...smooth.slice(0, 31)]);
    else lines.track.push(value.kind === DRAWN ? [...smooth, eye] : closed(smooth));
    const size = Math.min(DOT, (DENSEST * lengthOf(lines.track[0])) / value.count);
    for (const other of viewsOf(value)) surfaces.dots.push(dot(on(other), size, observer));
  }

  // The photo's camera, and the chosen one with its plumb line
  lines.photo.push(...frustum(photo, GLYPH * 0.62).edges);
  labels.push({ text: "pad.photo", at: on(photo), color: "text", above: true });
  const glyph = frustum(view, GLYPH);
  lines.body.push(...glyph.edges);
  surfaces.lens.push(...glyph.faces);
  const foot = [eye[0], floor, eye[2]];
  lines.sight.push(...dashed(eye, foot), ...dashed([0, floor, 0], foot));
  surfaces.dots.push(dot(foot, DOT * 0.8, observer));
  return { lines, surfaces, labels, observer, eye, subject: { ...subject, bottom: floor } };
}

/** As near as it sees all labels and cameras. */
function observing(labels, cameras, aspect) {
  const axes = worldFromCamera(OBSERVER, 1);
  const [right, down, forward] = [0, 1, 2].map((k) => axes.map((row) => row[k]));
  const slope = Math.tan((OBSERVER.fov_deg / 2) * (Math.PI / 180));
  let [half, middle, away] = [0, 0, Infinity];
  for (let round = 0; round < 3; round++) {
    // How large things look depends on how near we stand, and the other way round
    const [sides, heights] = [[], []];
    const add = (point, side, height) => {
      const larger = away === Infinity ? 1 : away / (away + part(forward, point));
      const [x, y] = [part(right, point) * larger, -part(down, point) * larger];
      sides.push(Math.abs(x) + side);
      heights.push(y - height, y + height);
    };
    for (const point of labels) add(point, LABEL_SIDE, MARGIN / 2);
    for (const point of cameras) add(point, MARGIN, MARGIN);
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    half = Math.max((high - low) / 2, Math.max(...sides) / aspect) * Math.min(1, aspect);
    middle = (high + low) / 2;
    away = half / slope;
  }
  const pose = worldFromCamera(OBSERVER, away);
  for (let i = 0; i < 3; i++) pose[i][3] -= down[i] * middle;
  return { pose, away, right, down, forward, half };
}

const part = (axis, point) => point.reduce((sum, value, k) => sum + value * axis[k], 0);

/**
 * A point on the canvas of `width` by `height`.
 * @returns {[number, number]}
 */
export function project(observer, point, width, height) {
  const [x, y, z] = [observer.right, observer.down, observer.forward].map((axis) =>
    axis.slice(0, 3).reduce((sum, part, i) => sum + part * (point[i] - observer.pose[i][3]), 0),
  );
  const focal = ((Math.min(width, height) / 2) * observer.away) / observer.half;
  return [width / 2 + (focal * x) / z, height / 2 + (focal * y) / z];
}

/** Degrees that a camera turns for a pixel of dragging: it keeps up with the pointer. */
export function degreesPerPx(observer, distance, width, height) {
  const pxPerUnit = Math.min(width, height) / 2 / observer.half;
  return 180 / Math.PI / (radius(distance) * pxPerUnit);
}

/** Whether a camera stands on the far side, where moving right means moving to the left on the canvas. */
export function isBehind(azimuthDeg) {
  return Math.cos(((azimuthDeg - OBSERVER.azimuth_deg) * Math.PI) / 180) < 0;
}

// --- Shapes ------------------------------------------------------------------------------------------------------------

/** @returns {Point} */
function around(azimuthDeg, radius, y) {
  const angle = (azimuthDeg * Math.PI) / 180;
  return [Math.sin(angle) * radius, y, Math.cos(angle) * radius];
}

function circle(across, deep, y, count) {
  return Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * i) / count;
    return [Math.sin(angle) * across, y, Math.cos(angle) * deep];
  });
}

function lengthOf(line) {
  return line.slice(1).reduce((sum, point, i) => sum + Math.hypot(...point.map((value, k) => value - line[i][k])), 0);
}

const closed = (points) => [...points, points[0]];

/** A disc that faces the observer, a hair in front of the line it lies on. */
function dot(at, size, { right, down, forward }) {
  return Array.from({ length: 14 }, (_, i) => {
    const [x, y] = [Math.cos((2 * Math.PI * i) / 14) * size, Math.sin((2 * Math.PI * i) / 14) * size];
    return at.map((value, k) => value + right[k] * x + down[k] * y - forward[k] * 0.02);
  });
}

function dashed(from, to) {
  const between = (share) => from.map((value, k) => value + (to[k] - value) * share);
  const count = Math.max(1, Math.round(Math.hypot(...from.map((value, k) => to[k] - value)) / (2 * DASH)));
  return Array.from({ length: count }, (_, i) => [between(i / count), between((i + 0.5) / count)]);
}

/** The lens's pyramid in front of a camera, with a mark at its upper side. */
function frustum(view, length) {
  const away = radius(view.distance);
  const pose = worldFromCamera({ ...view, distance: 1 }, away);
  const at = (x, y, z) => [0, 1, 2].map((i) => pose[i][0] * x + pose[i][1] * y + pose[i][2] * z + pose[i][3]);
  const deep = Math.min(length, away * 0.6);
  const half = length * LENS;
  const eye = at(0, 0, 0);
  const corners = [at(-half, -half, deep), at(half, -half, deep), at(half, half, deep), at(-half, half, deep)];
  const mark = [at(-half * 0.5, -half * 1.15, deep), at(0, -half * 1.75, deep), at(half * 0.5, -half * 1.15, deep)];
  const faces = corners.map((corner, i) => [eye, corner, corners[(i + 1) % 4]]);
  const edges = [...corners.map((corner) => [eye, corner]), closed(corners), closed(mark)];
  return { edges, faces: [...faces, mark] };
}

