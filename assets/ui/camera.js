// The one camera convention of pipelines/core/cameras.py, number for number: a test compares the two.
//
// World: right-handed, y up, the subject's centre at the origin, its longest side 1, its front facing +z. Azimuth is
// relative to the photo and positive when the camera moves to its own right, from +z towards +x. Elevation is absolute,
// positive looks down from above. Distance is relative to the photo's. Camera axes: x right, y down, z forward.

/** @typedef {{ azimuth_deg: number, elevation_deg: number, distance?: number }} View */

export const FOV_DEG = 33.8; // vertical
export const DISTANCE_RANGE = [0.3, 5];
export const KINDS = ["one view", "orbit", "spiral", "swing"];
export const DRAWN = "drawn"; // beside them: a way of the visitor's own
const SAME_DEG = 1e-6;
export const NEARER_DEG = 60; // so many degrees of turning last as long as coming e times nearer
const SPIRAL_DEG = 25; // by how much a spiral goes below and above its view
const STEEPEST_DEG = 85; // a spiral stays clear of the poles

const radians = (degrees) => (degrees * Math.PI) / 180;
const degrees = (radians) => (radians * 180) / Math.PI;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * The same direction in (-180, 180].
 * @param {number} azimuthDeg
 * @returns {number}
 */
export function wrapAzimuth(azimuthDeg) {
  let wrapped = azimuthDeg % 360;
  if (wrapped > 180) wrapped -= 360;
  else if (wrapped <= -180) wrapped += 360;
  return wrapped + 0; // -0 becomes 0
}

/**
 * Where the camera looks, as a unit vector in the world.
 * @param {View} view
 * @returns {[number, number, number]}
 */
export function direction(view) {
  const azimuth = radians(view.azimuth_deg);
  const elevation = radians(view.elevation_deg);
  return [-Math.sin(azimuth) * Math.cos(elevation), -Math.sin(elevation), -Math.cos(azimuth) * Math.cos(elevation)];
}

/**
 * Degrees between two viewing directions, whatever their distances.
 * @param {View} a
 * @param {View} b
 * @returns {number}
 */
export function angleBetween(a, b) {
  const [ax, ay, az] = direction(a);
  const [bx, by, bz] = direction(b);
  const across = Math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx);
  return degrees(Math.atan2(across, ax * bx + ay * by + az * bz)); // the arc cosine loses digits near 0 and 180
}

/**
 * Degrees by which one camera is turned from the other: straight above and below, where all azimuths look the same way,
 * that is what tells their pictures apart.
 * @param {View} a
 * @param {View} b
 * @returns {number}
 */
export function turnBetween(a, b) {
  const [one, other] = [a, b].map((view) => worldFromCamera(view, 1));
  let apart = 0;
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) apart += (one[row][column] - other[row][column]) ** 2;
  }
  return degrees(2 * Math.asin(Math.min(1, Math.sqrt(apart / 8))));
}

/**
 * The number of the view that looks most like `view`: the smallest angle, among equals the one that is turned least,
 * among those the most alike distance.
 * @param {View[]} views
 * @param {View} view
 * @returns {number} -1 where there are none
 */
export function nearest(views, view) {
  const unlike = (other) => [
    angleBetween(other, view),
    turnBetween(other, view),
    Math.abs(Math.log((other.distance ?? 1) / (view.distance ?? 1))),
  ];
  let best = -1;
  let least = [Infinity];
  views.forEach((other, i) => {
    const here = unlike(other);
    const differs = here.findIndex((value, k) => Math.abs(value - least[k]) >= 1e-6);
    if (differs >= 0 && here[differs] < least[differs]) {
      best = i;
      least = here;
    }
  });
  return best;
}

/**
 * The cameras of one kind, in their order.
 * @param {"one view" | "orbit" | "spiral" | "swing"} kind
 * @param {number} count of everything but one view
 * @param {View} view
 * @param {number} [swingDeg] to either side
 * @returns {{ azimuth_deg: number, elevation_deg: number, distance: number }[]}
 */
export function path(kind, count, view, swingDeg = 30) {
  const { azimuth_deg, elevation_deg, distance = 1 } = view;
  if (kind === "one view") return [{ azimuth_deg: wrapAzimuth(azimuth_deg), elevation_deg, distance }];
  return Array.from({ length: count }, (_, i) => {
    const turned = (360 * i) / count;
    if (kind === "swing") {
      const azimuth = azimuth_deg + swingDeg * Math.sin(radians(turned));
      return { azimuth_deg: wrapAzimuth(azimuth), elevation_deg, distance };
    }
    const elevation = kind === "spiral" ? spiralElevation(elevation_deg, turned) : elevation_deg;
    return { azimuth_deg: wrapAzimuth(turned), elevation_deg: elevation, distance };
  });
}

/**
 * `count` views evenly along a way, straight from each of its cameras to the next. Of one that comes back to where it
 * began, the last is the first again, and left out; any other of just so many is those. As pipelines/core/ways.py.
 * @param {View[]} way
 * @param {number} count
 * @returns {{ azimuth_deg: number, elevation_deg: number, distance: number }[]}
 */
export function along(way, count) {
  const stops = way.map(({ azimuth_deg, elevation_deg, distance = 1 }) => ({ azimuth_deg, elevation_deg, distance }));
  if (!stops.length) return [];
  const last = stops.length - 1;
  const apart = turnBetween(stops[0], stops[last]);
  const closed = last > 1 && apart < SAME_DEG && stops[0].distance === stops[last].distance;
  if (stops.length === count && !closed) return stops;
  const passed = [0];
  for (let i = 1; i < stops.length; i++) {
    const [here, there] = [stops[i - 1], stops[i]];
    const turned = wrapAzimuth(there.azimuth_deg - here.azimuth_deg);
    there.azimuth_deg = here.azimuth_deg + turned; // beyond a whole turn
    const nearer = NEARER_DEG * Math.log(there.distance / here.distance);
    passed.push(passed[i - 1] + Math.hypot(turned, there.elevation_deg - here.elevation_deg, nearer));
  }
  let piece = 0;
  return Array.from({ length: count }, (_, i) => {
    const at = (passed[last] * i) / Math.max(1, closed ? count : count - 1);
    while (piece < last - 1 && passed[piece + 1] < at) piece += 1;
    const [here, there] = [stops[piece], stops[piece + 1] ?? stops[piece]];
    const share = clamp((at - passed[piece]) / (passed[piece + 1] - passed[piece]) || 0, 0, 1);
    const between = (name) => here[name] + share * (there[name] - here[name]);
    return {
      azimuth_deg: wrapAzimuth(between("azimuth_deg")),
      elevation_deg: clamp(between("elevation_deg"), -90, 90),
      distance: clamp(between("distance"), ...DISTANCE_RANGE),
    };
  });
}

/**
 * How high a spiral stands at an azimuth: lowest at the photo's side, highest at the back.
 * @param {number} elevationDeg of its middle
 * @param {number} azimuthDeg
 * @returns {number}
 */
export function spiralElevation(elevationDeg, azimuthDeg) {
  return clamp(elevationDeg - SPIRAL_DEG * Math.cos(radians(azimuthDeg)), -STEEPEST_DEG, STEEPEST_DEG);
}

/**
 * How far the camera of distance 1 stands, in world units: there the subject takes the share `fill` of the frame.
 * @param {number} fill
 * @param {number} [fovDeg]
 * @returns {number}
 */
export function photoDistance(fill, fovDeg = FOV_DEG) {
  return 0.5 / (Math.tan(radians(fovDeg) / 2) * fill);
}

/**
 * The camera's pose, row by row [4][4]. Straight above and below are ordinary views.
 * @param {View} view
 * @param {number} unitDistance `photoDistance(...)`
 * @returns {number[][]}
 */
export function worldFromCamera(view, unitDistance) {
  const [sinA, cosA] = [Math.sin(radians(view.azimuth_deg)), Math.cos(radians(view.azimuth_deg))];
  const [sinE, cosE] = [Math.sin(radians(view.elevation_deg)), Math.cos(radians(view.elevation_deg))];
  const away = (view.distance ?? 1) * unitDistance;
  const outward = [sinA * cosE, sinE, cosA * cosE];
  return [
    [cosA, sinA * sinE, -outward[0], outward[0] * away],
    [0, -cosE, -outward[1], outward[1] * away],
    [-sinA, cosA * sinE, -outward[2], outward[2] * away],
    [0, 0, 0, 1],
  ];
}
