// Two of the tiles in one frame, with a divider between them, both turning with the shared camera.

import { angles, icon, iconButton, made, spokenAngles } from "./wall-dom.js";
import { steer } from "./wall-steer.js";
import { severalElevations } from "./wall-tiles.js";
import { say } from "./words.js";

const STEP = 0.02; // of the width, a key press
const SHARPEST = 2;

/**
 * @typedef {object} Source one side: a tile's stage, or the photo
 * @property {string} value
 * @property {string} title
 * @property {import("./wall-stage.js").Stage} [stage]
 * @property {{ url: string, view: { azimuth_deg: number, elevation_deg: number } }} [photo]
 */

/**
 * @param {any} host what the wall does for its parts (wall.js)
 * @param {() => void} closed
 */
export function openWipe(host, closed) {
  const { camera } = host;
  /** @type {Source[]} */
  let sources = [];
  let at = 0.5;

  const canvas = made("canvas", {
    width: 1,
    height: 1,
    tabIndex: 0,
    role: "slider",
    "aria-label": say("wall.wipe_turn"),
  });
  for (const [name, value] of Object.entries({ valuemin: -180, valuemax: 180, valuenow: 0 })) {
    canvas.setAttribute(`aria-${name}`, String(value));
  }
  const context = canvas.getContext("2d");
  const divider = made("div", {
    className: "wipe-divider",
    tabIndex: 0,
    role: "slider",
    "aria-label": say("wall.divider"),
    "aria-valuemin": 0,
    "aria-valuemax": 100,
  });
  divider.append(made("span", { className: "wipe-grip" }, [icon("grip")]));
  const sides = [0, 1].map((i) => ({
    choice: made("select", { "aria-label": say(i ? "wall.right_side" : "wall.left_side") }),
    angle: made("p", { className: `tile-angle wipe-angle wipe-${i ? "right" : "left"}` }),
    scratch: /** @type {HTMLCanvasElement} */ (made("canvas", { width: 1, height: 1 })),
    drawn: "",
    picture: /** @type {HTMLImageElement | null} */ (null),
  }));
  const board = made("div", { className: "tile-board wipe-board" }, [
    canvas,
    divider,
    ...sides.map((side) => side.angle),
  ]);
  const swap = iconButton("swap", say("wall.swap"), () => {
    const [left, right] = sides.map((side) => side.choice.value);
    choose(right, left);
  });
  const close = () => {
    observer.disconnect();
    forget();
    for (const { stage } of sources) stage?.resize(0, "wipe");
    element.remove();
    closed();
  };
  const element = made("section", { className: "wall-wipe", "aria-label": say("wall.wipe") }, [
    made("div", { className: "wipe-head" }, [
      sides[0].choice,
      swap,
      sides[1].choice,
      iconButton("close", say("wall.close"), close),
    ]),
    board,
  ]);

  const sourceOf = (side) => sources.find((source) => source.value === side.choice.value);

  const paint = (view) => {
    const { width, height } = canvas;
    if (width < 2) return;
    for (const side of sides) drawSide(side, sourceOf(side), view, width);
    context.clearRect(0, 0, width, height);
    const edge = Math.round(at * width);
    if (edge > 0) context.drawImage(sides[0].scratch, 0, 0, edge, height, 0, 0, edge, height);
    if (edge < width) {
      context.drawImage(sides[1].scratch, edge, 0, width - edge, height, edge, 0, width - edge, height);
    }
    if (camera.moving) return;
    canvas.setAttribute("aria-valuenow", String(Math.round(view.azimuth_deg)));
    canvas.setAttribute("aria-valuetext", spokenAngles(view));
  };

  const drawSide = (side, source, view, px) => {
    if (!source) return;
    const pen = side.scratch.getContext("2d");
    if (source.photo) {
      const key = `photo ${px} ${Boolean(side.picture?.complete)}`;
      if (key !== side.drawn) {
        pen.clearRect(0, 0, px, px);
        if (side.picture?.complete && side.picture.naturalWidth) pen.drawImage(side.picture, 0, 0, px, px);
        side.drawn = key;
      }
      label(side, say("wall.photo_at", { view: angles(source.photo.view) }));
      return;
    }
    const found = source.stage.shown(view);
    if (!found) return;
    if (found.key !== side.drawn) {
      source.stage.draw(pen, view);
      side.drawn = found.key;
    }
    const text = angles(found.view);
    const exact = source.stage.isAt(view, camera.moving);
    label(side, `${source.title} · ${exact ? text : say("wall.nearest", { view: text })}`);
  };

  const label = (side, text) => {
    if (side.angle.textContent !== text) side.angle.textContent = text;
  };

  /** The two to compare; whatever cannot be is replaced by what can. */
  const choose = (left, right) => {
    for (const [i, value] of [left, right].entries()) {
      const side = sides[i];
      const source = sources.find((each) => each.value === value) ?? sources[i] ?? sources[0];
      side.choice.value = source.value;
      side.drawn = "";
      if (source.photo && side.picture?.src !== source.photo.url) {
        side.picture = Object.assign(new Image(), { src: source.photo.url });
        side.picture.decode().then(
          () => camera.draw(),
          () => {},
        );
      }
    }
    resize();
    camera.draw();
  };

  /** A photo is looked at from where it was taken: so is the other side, to begin with. */
  const chosen = (side) => {
    choose(sides[0].choice.value, sides[1].choice.value);
    const photo = sourceOf(side)?.photo;
    if (!photo) return;
    camera.pause();
    camera.set(photo.view);
  };

  const resize = () => {
    const px = Math.round(canvas.clientWidth * Math.min(window.devicePixelRatio || 1, SHARPEST));
    if (!px) return;
    for (const place of [canvas, ...sides.map((side) => side.scratch)]) {
      if (place.width !== px) place.width = place.height = px;
    }
    for (const side of sides) {
      side.drawn = "";
      sourceOf(side)?.stage?.resize(px, "wipe");
    }
    paint(camera.view);
  };

  const moveTo = (share) => {
    at = Math.min(1, Math.max(0, share));
    board.style.setProperty("--at", String(at));
    divider.setAttribute("aria-valuenow", String(Math.round(at * 100)));
    divider.setAttribute("aria-valuetext", say("wall.divider_at", { n: Math.round(at * 100) }));
    camera.draw();
  };

  for (const side of sides) side.choice.addEventListener("change", () => chosen(side));
  divider.addEventListener("pointerdown", (event) => {
    if (event.button === 0) divider.setPointerCapture(event.pointerId);
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const box = canvas.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width);
  });
  divider.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - STEP, ArrowRight: at + STEP, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    moveTo(to);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  const stages = () => sides.map((side) => sourceOf(side)?.stage).filter(Boolean);
  steer(canvas, camera, {
    tilts: () => stages().some((stage) => stage.free) || severalElevations(stages()),
    zooms: () => stages().some((stage) => stage.free),
    step: (side) => host.step(stages()[0], side),
    settle: () => host.settle(stages()[0]),
    home: () => host.home(null),
    toggle: () => host.toggle(),
  });
  const observer = new ResizeObserver(resize);
  observer.observe(canvas);
  const forget = camera.onPaint(paint);

  return {
    element,
    close,
    focus: () => divider.focus(),
    /** @param {Source[]} now what there is to compare; fewer than two close it */
    update(now) {
      const before = sides.map((side) => side.choice.value);
      for (const old of sources) if (!now.some((each) => each.stage === old.stage)) old.stage?.resize(0, "wipe");
      sources = now;
      if (sources.length < 2) {
        close();
        return;
      }
      for (const side of sides) {
        side.choice.replaceChildren(
          ...sources.map(({ value, title }) => made("option", { value, textContent: title })),
        );
      }
      choose(before[0], before[1]);
      moveTo(at);
    },
  };
}
