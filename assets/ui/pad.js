// The draggable camera: a small scene with the subject, the photo's camera and the chosen one. Nothing is drawn while
// nothing changes.
//
// Where the path is to be drawn, it goes wherever the visitor moves the camera; back near its beginning, it closes.
//
// Touch: a finger on the camera drags it freely; elsewhere a finger that sets out sideways turns it and one that sets out
// up or down scrolls the page, so that a phone's page can be scrolled past the pad. Two fingers change the distance. The
// wheel does only while the pad has the focus, for the same reason.

import { DISTANCE_RANGE, DRAWN, turnBetween, wrapAzimuth } from "./camera.js";
import { onContext, webglMissing } from "./gl.js";
import { paintFlat } from "./pad_flat.js";
import { pictureOf } from "./pad_picture.js";
import { checkedValue, degreesPerPx, isBehind, padScene, project } from "./pad_scene.js";
import { inWords } from "./pad_words.js";
import { say } from "./words.js";

/** @typedef {import("./pad_scene.js").PadValue} PadValue */

const COLORS = ["ground", "shade", "line", "soft", "path", "photo", "accent", "text", "halo"];
const MOST_RATIO = 2;
const DISTANCE_STEP = 0.05; // as the slider's
const KEY_DEG = 5;
const KEY_FINE_DEG = 1;
const KEY_DISTANCE = 0.1;
const LABEL_GAP_PX = 30;
const WHEEL_PER_PX = 0.0012; // of the distance's logarithm; a notch of a wheel is about 100 px
const SIDEWAYS_PX = 8; // after which a finger means the camera, not the page
const STRIDE_DEG = 3; // from stop to stop of a way that is drawn, at least
const CLOSES_DEG = 6; // so near to its beginning a way ends there
const MOST_STOPS = 300; // after which every second is let go
const GRAB_PX = 30; // as far from the camera a finger still means it

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * Put a pad into `element` (a gr.HTML's). `props.value` is what it shows and what dragging changes; `trigger` tells
 * "input" while the visitor moves the camera and "release" when done; `watch` tells what others set.
 * @param {HTMLElement} element
 * @param {{ value: PadValue }} props
 * @param {(event: string) => void} trigger
 * @param {(name: string, changed: () => void) => void} watch
 */
export function mountPad(element, props, trigger, watch) {
  const pad = new Pad(element.querySelector(".camera-pad") ?? element, props, trigger);
  watch("value", () => pad.show(props.value));
}

class Pad {
  constructor(root, props, trigger) {
    this.props = props;
    this.trigger = trigger;
    this.value = checkedValue(props.value);
    this.frames = 0; // drawn so far
    this.pointers = new Map();
    this.drag = null;
    this.stage = made("div", { className: "camera-pad-stage", tabIndex: 0 });
    this.canvas = made("canvas");
    this.readout = made("p", { className: "camera-pad-readout" });
    this.stage.setAttribute("role", "slider");
    this.stage.setAttribute("aria-valuemin", "-180");
    this.stage.setAttribute("aria-valuemax", "180");
    this.stage.setAttribute("aria-label", say("pad.label"));
    this.canvas.setAttribute("aria-hidden", "true");
    this.hint = made("span", { className: "camera-pad-hint", textContent: say("pad.hint") });
    this.hint.setAttribute("aria-hidden", "true");
    this.stage.append(this.canvas, this.hint);
    root.replaceChildren(this.stage, this.readout);
    root.cameraPad = this;
    this.context = this.canvas.getContext("2d");
    this.listen();
    this.picture = null;
    this.loadPicture();
    this.readColors();
    new ResizeObserver(() => this.changed()).observe(this.stage);
    this.watchColors();
    if (!webglMissing()) whenIdle(() => this.goThree());
  }

  // --- What is shown ---

  /** Show a value that somebody else has set. */
  show(value) {
    const before = this.value;
    this.value = checkedValue(value);
    if (this.value.picture !== before.picture) this.loadPicture();
    const differs = (name) => this.value[name] !== before[name];
    if (["azimuth", "elevation", "distance", "kind"].some(differs)) this.hint.remove();
    if (Object.keys(before).some(differs)) this.changed();
  }

  /** The visitor's doing: shown, and told to the page once a frame. */
  move(changes, released = false) {
    const azimuth = wrapAzimuth(Math.round(changes.azimuth ?? this.value.azimuth));
    const elevation = clamp(Math.round(changes.elevation ?? this.value.elevation), -90, 90);
    const steps = Math.round((changes.distance ?? this.value.distance) / DISTANCE_STEP);
    const distance = clamp(Number((steps * DISTANCE_STEP).toFixed(2)), ...DISTANCE_RANGE);
    const wanted = { azimuth, elevation, distance };
    if (Object.keys(wanted).some((name) => wanted[name] !== this.value[name])) {
      const way = this.value.kind === DRAWN ? wayTo(this.value, wanted) : this.value.way;
      this.take({ ...wanted, way });
    }
    if (released) this.tell("release");
  }

  /** What the visitor has made of the value. */
  take(changes) {
    this.value = checkedValue({ ...this.value, ...changes });
    this.untold = true;
    this.hint.remove(); // it has been understood
    this.changed();
  }

  tell(also) {
    if (this.untold) {
      this.untold = false;
      this.props.value = { ...this.value };
      this.trigger("input");
    }
    if (also) this.trigger(also);
  }

  changed() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.draw();
      this.tell();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.describe();
    if (!width || !height) return;
    const ratio = Math.min(window.devicePixelRatio || 1, MOST_RATIO);
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const subject = this.picture?.subject ?? { width: 0.5, height: 1 };
    const scene = padScene(this.value, subject, width / height);
    this.observer = scene.observer;
    this.eye = project(scene.observer, scene.eye, width, height);
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    const painted = this.three?.(scene, this.numbers, this.picture, ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!painted) paintFlat(this.context, scene, this.colors, this.picture, width, height);
    this.drawLabels(scene, width, height);
    this.frames += 1;
  }

  drawLabels(scene, width, height) {
    const { context } = this;
    const font = getComputedStyle(this.stage);
    context.font = `500 11px ${font.fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = this.colors.halo;
    for (const { text, at, color, above } of scene.labels) {
      const words = say(text);
      const half = context.measureText(words).width / 2 + 3;
      const [x, y] = project(scene.observer, at, width, height);
      const [right, down] = [x - this.eye[0], (above ? y - 17 : y) - this.eye[1]];
      const gap = Math.hypot(right, down) || 1;
      const aside = Math.max(1, LABEL_GAP_PX / gap); // what the chosen camera would cover steps aside
      const where = [
        clamp(this.eye[0] + right * aside, half, width - half),
        clamp(this.eye[1] + down * aside, 8, height - 8),
      ];
      context.strokeText(words, ...where);
      context.fillStyle = this.colors[color];
      context.fillText(words, ...where);
    }
  }

  /** In words, for those who read and those who listen. */
  describe() {
    const { brief, spoken } = inWords(this.value);
    this.stage.setAttribute("aria-valuenow", String(this.value.azimuth));
    this.stage.setAttribute("aria-valuetext", spoken);
    if (this.readout.textContent !== brief) this.readout.textContent = brief;
  }

  async loadPicture() {
    const wanted = this.value.picture;
    const picture = wanted ? await pictureOf(wanted) : null;
    if (wanted !== this.value.picture) return; // another has come meanwhile
    this.picture = picture;
    this.changed();
  }

  async goThree() {
    try {
      const { threePainter } = await import("./pad_three.js");
      this.three = await threePainter(this.context);
      onContext(() => this.changed());
      this.changed();
    } catch {
      // The plain painter shows the same.
    }
  }

  // --- Colours ---

  readColors() {
    const style = getComputedStyle(this.stage);
    const probe = made("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const before = JSON.stringify(this.colors);
    this.colors = {};
    this.numbers = {};
    for (const name of COLORS) {
      this.colors[name] = style.getPropertyValue(`--pad-${name}`).trim() || "#888";
      probe.fillStyle = this.colors[name];
      probe.fillRect(0, 0, 1, 1);
      this.numbers[name] = [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((value) => value / 255);
    }
    if (JSON.stringify(this.colors) !== before) this.changed();
  }

  watchColors() {
    const again = () => this.readColors();
    const observer = new MutationObserver(again);
    for (const node of [document.documentElement, document.body]) {
      observer.observe(node, { attributes: true, attributeFilter: ["class", "style", "data-theme"] });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  // --- Pointers, wheel and keys ---

  listen() {
    const on = (type, heard, options) => this.stage.addEventListener(type, heard.bind(this), options);
    on("pointerdown", this.pointerDown);
    on("pointermove", this.pointerMove);
    on("pointerup", this.pointerEnd);
    on("pointercancel", this.pointerEnd);
    on("touchstart", this.touchStart, { passive: false });
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.key);
  }

  /** Whether this place is on the chosen camera. */
  grabs(event) {
    const box = this.stage.getBoundingClientRect();
    return this.eye && Math.hypot(event.clientX - box.left - this.eye[0], event.clientY - box.top - this.eye[1]) < GRAB_PX;
  }

  touchStart(event) {
    if (event.touches.length > 1 || this.grabs(event.touches[0])) event.preventDefault(); // ours, not a scroll
  }

  pointerDown(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.startDrag(event);
  }

  startDrag(event) {
    const { azimuth, elevation, distance } = this.value;
    const grabbed = Boolean(event && this.grabs(event));
    this.stage.classList.add("dragging");
    this.drag = {
      from: [...this.pointers.values()].map((at) => [...at]),
      value: { azimuth, elevation, distance },
      turn: degreesPerPx(this.observer, distance, this.stage.clientWidth, this.stage.clientHeight),
      // Whoever holds the camera itself on the far side pulls it along: there, right is the other way round.
      sign: grabbed && isBehind(azimuth) ? -1 : 1,
      // A finger elsewhere may be about to scroll the page.
      undecided: event?.pointerType === "touch" && !grabbed && this.pointers.size === 1,
    };
  }

  pointerMove(event) {
    if (!this.pointers.has(event.pointerId)) {
      this.stage.classList.toggle("grabbable", Boolean(this.grabs(event)));
      return;
    }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const at = [...this.pointers.values()];
    if (this.drag.undecided) {
      const [right, down] = [0, 1].map((i) => Math.abs(at[0][i] - this.drag.from[0][i]));
      if (right < SIDEWAYS_PX || right < down) return;
      Object.assign(this.drag, { undecided: false, from: [[...at[0]]] });
    }
    const { from, value, turn, sign } = this.drag;
    if (at.length > 1 && from.length > 1) {
      const gap = (points) => Math.max(1, Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]));
      this.move({ distance: (value.distance * gap(from)) / gap(at) });
      return;
    }
    this.move({
      azimuth: value.azimuth + sign * turn * (at[0][0] - from[0][0]),
      elevation: value.elevation - turn * (at[0][1] - from[0][1]),
    });
  }

  pointerEnd(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pointers.size) this.startDrag(); // one of two fingers stays
    else {
      const { azimuth, elevation } = this.drag.value;
      const moved = azimuth !== this.value.azimuth || elevation !== this.value.elevation;
      this.drag = null;
      this.stage.classList.remove("dragging");
      if (moved && comesNear(this.value)) this.take({ way: [...this.value.way, this.value.way[0]] });
      this.tell("release");
    }
  }

  wheel(event) {
    if (document.activeElement !== this.stage) return;
    event.preventDefault();
    const px = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY; // lines, in old browsers
    const wanted = (this.rolled ?? this.value.distance) * Math.exp(px * WHEEL_PER_PX);
    this.rolled = clamp(wanted, ...DISTANCE_RANGE); // between two steps of the slider
    this.move({ distance: this.rolled });
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.rolled = undefined;
      this.tell("release");
    }, 250);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? KEY_FINE_DEG : KEY_DEG;
    const { azimuth, elevation, distance, photo_elevation } = this.value;
    const { kind, way } = this.value;
    if (event.key === "Backspace" && kind === DRAWN && way.length) {
      event.preventDefault();
      const [left, end] = [way.slice(0, -1), way[Math.max(0, way.length - 2)]];
      this.take({ way: left.length > 1 ? left : [], azimuth: end[0], elevation: end[1], distance: end[2] });
      this.tell("release");
      return;
    }
    const changes = {
      ArrowLeft: { azimuth: azimuth - step },
      ArrowRight: { azimuth: azimuth + step },
      ArrowUp: { elevation: elevation + step },
      ArrowDown: { elevation: elevation - step },
      "+": { distance: distance - KEY_DISTANCE }, // nearer is larger
      "=": { distance: distance - KEY_DISTANCE },
      "-": { distance: distance + KEY_DISTANCE },
      Home: { azimuth: 0, elevation: photo_elevation, distance: 1 },
    }[event.key];
    if (!changes) return;
    event.preventDefault();
    this.move(changes, true);
  }
}

/** The way that is drawn, going on to where the camera is moved. */
function wayTo({ way, azimuth, elevation, distance }, to) {
  const stops = way.length ? way : [[azimuth, elevation, distance]];
  const stop = [to.azimuth, to.elevation, to.distance];
  const [before, last] = stops.slice(-2);
  const kept = last && apart(before, last) < STRIDE_DEG && before[2] === last[2] ? stops.slice(0, -1) : stops;
  return (kept.length < MOST_STOPS ? kept : kept.filter((_, i) => i % 2 === 0)).concat([stop]);
}

/** Whether a way that is drawn has come back near its beginning, where it ends then. */
function comesNear({ kind, way }) {
  const [first, last] = [way[0], way[way.length - 1]];
  const wentAway = kind === DRAWN && way.some((stop) => apart(stop, first) > 5 * CLOSES_DEG);
  return wentAway && apart(first, last) < CLOSES_DEG;
}

function apart(some, others) {
  const [a, b] = [some, others].map(([azimuth_deg, elevation_deg]) => ({ azimuth_deg, elevation_deg }));
  return turnBetween(a, b);
}

function made(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function whenIdle(task) {
  if (window.requestIdleCallback) window.requestIdleCallback(task, { timeout: 2000 });
  else setTimeout(task, 200);
}
