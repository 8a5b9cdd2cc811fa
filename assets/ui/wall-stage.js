// What one tile can show (pictures, depth, normals, what is the photo's own, the model itself) and how it is drawn for a camera.

import { FOV_DEG, nearest, turnBetween } from "./camera.js";
import { Frames } from "./frames.js";
import { say } from "./words.js";
import { ours } from "./wall-link.js";

/** @typedef {"picture" | "depth" | "normals" | "confidence" | "3d"} Mode */
/** @typedef {{ azimuth_deg: number, elevation_deg: number, distance: number }} View */

/** @type {Mode[]} */
export const MODES = ["picture", "depth", "normals", "confidence", "3d"];
const FIELD = { picture: "url", depth: "depth", normals: "normals", confidence: "confidence" };
const DRAWN = { depth: "depth", normals: "normals", "3d": "color" };
const MANY = 8; // so many views all round are seen as turning; fewer are single views

/** Mesh drawing is fetched when first wanted. @type {Promise<any> | null} */
let drawing = null;

export class Stage {
  /**
   * @param {any} tile its description
   * @param {{ fill?: number }} subject
   * @param {View} near what is looked at first
   * @param {() => void} changed there is something new to draw
   */
  constructor(tile, subject, near, changed) {
    this._px = 0;
    /** @type {Record<string, number>} */
    this._places = {};
    this._near = near;
    this._native = tile.size_px;
    this._modelUrl = ours(tile.model);
    /** @type {Record<string, (string | null)[]>} */
    this._urls = {};
    for (const [mode, field] of Object.entries(FIELD)) {
      const urls = tile.frames.map((frame) => ours(frame[field]));
      if (urls.some(Boolean)) this._urls[mode] = urls;
    }
    /** @type {View[]} */
    this.views = tile.frames.map(({ azimuth_deg, elevation_deg, distance }) => ({
      azimuth_deg,
      elevation_deg,
      distance: distance ?? 1,
    }));
    this._fill = subject?.fill ?? 0.8;
    this._changed = changed;
    /** @type {Mode} */
    this._wanted = "picture";
    /** @type {Partial<Record<Mode, Frames>>} */
    this._frames = {};
    /** @type {{ draw: Function, dispose: Function } | null} */
    this._model = null;
    this._problem = ""; // why the model cannot be shown
    this._opening = false;
    this._over = false;
    this._contexts = 0; // how often the graphics card was lost or came back: then all is drawn anew
  }

  /** @param {Mode} mode */
  has(mode) {
    return mode in this._urls || (mode in DRAWN && this._modelUrl !== null && !this._problem);
  }

  /** What is really shown, which may not be what was wanted. @returns {Mode | null} */
  get mode() {
    if (this.has(this._wanted)) return this._wanted;
    return ["picture", "3d"].find((mode) => this.has(mode)) ?? null;
  }

  /** Why something else is shown than what was wanted. @returns {string} */
  get reason() {
    if (this.mode === this._wanted) return this._free && this._opening ? say("wall.opening") : "";
    if (this._problem) return this._problem;
    return this._wanted === "picture" ? "" : say(`wall.no_${this._wanted}`);
  }

  /** Whether any view can be drawn, not only those that were made. */
  get free() {
    return this._free && Boolean(this._model);
  }

  get _free() {
    const mode = this.mode;
    return mode !== null && !(mode in this._urls);
  }

  get turnable() {
    return this._free || this.views.length > 1;
  }

  /** Half the way from one view to the next, where they are many enough to be turned through. */
  get halfStep() {
    return this.views.length >= MANY ? 180 / this.views.length : 0;
  }

  /** @param {Mode} mode */
  want(mode) {
    this._wanted = mode;
    this._open();
  }

  /**
   * @param {number} px side of the square that it is drawn into
   * @param {string} [place] where; the largest place counts, 0 gives it up
   */
  resize(px, place = "tile") {
    this._places[place] = px;
    this._px = Math.max(...Object.values(this._places));
    if (!this._px) return;
    for (const frames of Object.values(this._frames)) frames.resize(this._px);
    this._open();
  }

  /** How many pictures could not be had. */
  get missing() {
    return this._frames[this.mode]?.failed ?? 0;
  }

  /** The side of its pictures, where they are kept much smaller than they are; otherwise 0. */
  get cramped() {
    return this._frames[this.mode]?.cramped ?? 0;
  }

  get loaded() {
    return this._frames.picture?.loaded ?? 0;
  }

  /**
   * @param {View} view the shared camera
   * @returns {{ key: string, view: View, index: number } | null} what would be drawn; the same key, the same picture
   */
  shown(view) {
    if (this.free) {
      const { azimuth_deg, elevation_deg, distance } = view;
      const key = `${this.mode} ${azimuth_deg} ${elevation_deg} ${distance} ${this._contexts}`;
      return { key, view, index: -1 };
    }
    // While the model is on its way, the pictures stay.
    for (const mode of [this.mode, "picture"]) {
      const frames = mode && this._frames[mode];
      if (!frames?.loaded) continue;
      const index = nearestOf(this.views, view, (i) => frames.has(i));
      return { key: `${mode} ${index} ${frames.image(index)?.width}`, view: this.views[index], index };
    }
    return null;
  }

  /**
   * @param {CanvasRenderingContext2D} context of a square canvas, which is filled
   * @param {View} view
   */
  draw(context, view) {
    const { width, height } = context.canvas;
    if (this.free) {
      // One lens for all models, so that like is compared with like.
      this._model.draw(context, view, { mode: DRAWN[this.mode], fill: this._fill, fovDeg: FOV_DEG });
      return;
    }
    context.clearRect(0, 0, width, height);
    const found = this.shown(view);
    if (!found) return;
    const frames = this._frames[found.key.split(" ")[0]];
    context.imageSmoothingQuality = "high";
    context.drawImage(frames.image(found.index), 0, 0, width, height);
  }

  /** Whether `view` is one that this tile shows as it is. @param {View} view @param {boolean} moving */
  isAt(view, moving) {
    const found = this.shown(view);
    if (!found) return false;
    return turnBetween(found.view, view) <= (moving ? this.halfStep : 0) + 0.5;
  }

  dispose() {
    this._over = true;
    for (const frames of Object.values(this._frames)) frames.dispose();
    this._frames = {};
    this._unheard?.();
    this._model?.dispose();
    this._model = null;
  }

  /** Fetches what the wanted mode needs, once it is known how large. */
  _open() {
    const mode = this.mode;
    if (!this._px || !mode || this._over) return;
    if (this._free) void this._openModel();
    for (const each of this._free ? ["picture"] : [mode]) {
      if (this._frames[each] || !this._urls[each]) continue;
      const frames = new Frames(this._urls[each], this._native, this._changed);
      this._frames[each] = frames;
      frames.load(this._px, Math.max(0, nearest(this.views, this._near)));
    }
  }

  _redraw() {
    this._contexts += 1;
    this._changed();
  }

  async _openModel() {
    if (this._model || this._opening || this._problem) return;
    this._opening = true;
    try {
      drawing ??= import("./mesh.js");
      const { onContext, openMesh, webglMissing } = await drawing;
      this._unheard = onContext(() => this._redraw());
      if (webglMissing()) this._problem = say("wall.no_webgl");
      else {
        const model = await openMesh(this._modelUrl);
        if (this._over) model.dispose();
        else this._model = model;
      }
    } catch (problem) {
      this._problem = say("wall.no_model", { why: problem instanceof Error ? problem.message : "" });
    }
    this._opening = false;
    if (this._problem) this._open();
    this._changed();
  }
}

/** The nearest of those that are there already. */
function nearestOf(views, view, isThere) {
  const there = views.map((_, i) => i).filter(isThere);
  return there[
    nearest(
      there.map((i) => views[i]),
      view,
    )
  ];
}
