// Turning by hand: mouse, finger and keys on a tile move the camera that all tiles share.

const DEGREES_A_WIDTH = 200; // dragging across a whole tile turns a little more than half round
const TILT_STEP_DEG = 5;
const ZOOM_STEP = 1.1;

/**
 * @param {HTMLElement} surface what is dragged; it has the focus for the keys
 * @param {import("./wall-camera.js").SharedCamera} camera
 * @param {{ tilts: () => boolean, zooms: () => boolean, step: (side: 1 | -1) => number, settle: () => void,
 *   home: () => void, toggle: () => void }} how `step` is the azimuth one key press leads to
 */
export function steer(surface, camera, how) {
  /** @type {Map<number, { x: number, y: number }>} */
  const fingers = new Map();
  let apart = 0;
  let rate = 0; // degrees a pixel: measured once, since asking between two paintings costs a layout

  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    camera.pause();
    camera.held = true;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    apart = spanOf(fingers);
    rate = DEGREES_A_WIDTH / surface.clientWidth;
    surface.setPointerCapture(event.pointerId);
  });

  surface.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const { azimuth_deg, elevation_deg, distance } = camera.view;
    if (fingers.size > 1) {
      const span = spanOf(fingers);
      if (how.zooms() && span && apart) camera.set({ distance: (distance * apart) / span });
      apart = span;
      return;
    }
    // What is under the finger follows it, so the camera goes the other way.
    camera.set({
      azimuth_deg: azimuth_deg - dx * rate,
      elevation_deg: how.tilts() ? elevation_deg + dy * rate : elevation_deg,
    });
  });

  const release = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    apart = spanOf(fingers);
    if (fingers.size) return;
    camera.held = false;
    how.settle();
    camera.draw();
  };
  surface.addEventListener("pointerup", release);
  surface.addEventListener("pointercancel", release); // the page scrolls instead
  surface.addEventListener("lostpointercapture", release);

  // Only with Ctrl, which is also what pinching on a touch pad sends: the plain wheel scrolls the page.
  surface.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey || !how.zooms()) return;
      event.preventDefault();
      camera.set({ distance: camera.view.distance * Math.exp(event.deltaY / 300) });
    },
    { passive: false },
  );

  surface.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { elevation_deg, distance } = camera.view;
    const tilt = how.tilts() && ((degrees) => camera.set({ elevation_deg: elevation_deg + degrees }));
    const zoom = how.zooms() && ((factor) => camera.set({ distance: distance * factor }));
    const keys = {
      ArrowRight: () => camera.set({ azimuth_deg: how.step(1) }),
      ArrowLeft: () => camera.set({ azimuth_deg: how.step(-1) }),
      ArrowUp: tilt && (() => tilt(TILT_STEP_DEG)),
      ArrowDown: tilt && (() => tilt(-TILT_STEP_DEG)),
      "+": zoom && (() => zoom(1 / ZOOM_STEP)),
      "-": zoom && (() => zoom(ZOOM_STEP)),
      Home: how.home,
    };
    if (event.key === " ") {
      event.preventDefault();
      how.toggle();
      return;
    }
    const does = keys[event.key];
    if (!does) return;
    event.preventDefault();
    camera.pause();
    does();
  });
}

function spanOf(fingers) {
  if (fingers.size < 2) return 0;
  const [a, b] = fingers.values();
  return Math.hypot(a.x - b.x, a.y - b.y);
}
