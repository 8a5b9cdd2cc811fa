// One WebGL context for the whole page: browsers allow about sixteen, and every tile and pad may want to draw. It draws
// beside the page and is copied onto 2D canvases, which keep what they show when the context is lost.

const MAX_PX = 1536; // a side; larger canvases get an enlarged picture

/** @typedef {typeof import("./three.js")} Three */

let context; // undefined until asked for, null where there is none
let opened; // Promise<{ three: Three, renderer }>, once somebody draws
let lost = false;
const listeners = new Set();

/**
 * Whether this browser cannot draw in 3D at all.
 * @returns {boolean}
 */
export function webglMissing() {
  return !ownContext();
}

function ownContext() {
  if (context !== undefined) return context;
  const canvas = document.createElement("canvas");
  context = canvas.getContext("webgl2", { alpha: true, antialias: true, premultipliedAlpha: true, stencil: false });
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault(); // or it would not come back
    tell(true);
  });
  return context;
}

function tell(isLost) {
  lost = isLost;
  for (const listener of [...listeners]) listener(isLost);
}

/**
 * `listener(true)` when the context is lost, as after a sleep or a driver's crash; `listener(false)` when drawing works
 * again and canvases should be drawn anew.
 * @param {(lost: boolean) => void} listener
 * @returns {() => void} stops it
 */
export function onContext(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** three.js, fetched when first needed, and the page's renderer. Rejects where WebGL or the script is missing. */
export function openGl() {
  opened ??= start().catch((problem) => {
    opened = undefined; // the network may be back next time
    throw problem;
  });
  return opened;
}

async function start() {
  const gl = ownContext();
  if (!gl) throw new Error("no WebGL");
  const three = await import("./three.js");
  const renderer = new three.WebGLRenderer({ canvas: gl.canvas, context: gl });
  renderer.outputColorSpace = three.LinearSRGBColorSpace; // our colours are sRGB from the file to the screen
  renderer.setPixelRatio(1);
  renderer.setSize(1, 1, false);
  renderer.setClearColor(0x000000, 0);
  gl.canvas.addEventListener("webglcontextrestored", () => tell(false)); // after three.js's own listener
  return { three, renderer };
}

/**
 * Draw a scene and put it over the whole of a 2D canvas.
 * @param {{ renderer: import("./three.js").WebGLRenderer }} gl
 * @param {CanvasRenderingContext2D} target
 * @param {import("./three.js").Scene} scene
 * @param {import("./three.js").PerspectiveCamera} camera
 * @param {number} [finer] pixels of the drawing for one of the canvas
 * @returns {boolean} whether it could be drawn
 */
export function paint({ renderer }, target, scene, camera, finer = 1) {
  const { width, height } = target.canvas;
  const scale = Math.min(finer, MAX_PX / Math.max(width, height));
  const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (lost || !width || !height) return false;
  render(renderer, scene, camera, across, down);
  const own = renderer.domElement;
  target.clearRect(0, 0, width, height);
  target.imageSmoothingQuality = "high";
  target.drawImage(own, 0, own.height - down, across, down, 0, 0, width, height);
  return true;
}

/**
 * What a small drawing of the scene consists of: RGBA, row by row. Null when nothing could be drawn.
 * @returns {Uint8Array | null}
 */
export function sample({ renderer }, scene, camera, size) {
  if (lost) return null;
  render(renderer, scene, camera, size, size);
  const pixels = new Uint8Array(4 * size * size);
  const gl = renderer.getContext();
  gl.readPixels(0, 0, size, size, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  return pixels;
}

/** Into the lower left corner of the renderer's own canvas, which only grows. */
function render(renderer, scene, camera, width, height) {
  const own = renderer.domElement;
  if (own.width < width || own.height < height) {
    renderer.setSize(Math.max(own.width, width), Math.max(own.height, height), false);
  }
  renderer.setViewport(0, 0, width, height);
  renderer.setScissor(0, 0, width, height);
  renderer.setScissorTest(true);
  renderer.render(scene, camera);
}

/**
 * Point three.js's camera (x right, y up, z backward) as ours. `fovDeg` is that of the square in the canvas's middle;
 * the caller sets near and far and updates the projection.
 * @param {import("./three.js").PerspectiveCamera} camera
 * @param {number[][]} pose of `worldFromCamera`
 * @param {number} fovDeg
 * @param {number} aspect
 */
export function aim(camera, pose, fovDeg, aspect) {
  camera.matrix.set(...pose.flatMap(([right, down, forward, at]) => [right, -down, -forward, at]));
  camera.updateMatrixWorld(true);
  const half = Math.tan((fovDeg * Math.PI) / 360);
  camera.aspect = aspect;
  camera.fov = (360 / Math.PI) * Math.atan(aspect < 1 ? half / aspect : half);
}
