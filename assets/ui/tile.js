// One tile: a method's turnaround, on its way, there, or failed.

import { about } from "./wall-about.js";
import { moreMenu, takeMenu } from "./wall-menus.js";
import { angles, button, duration, iconButton, made, segments, spokenAngles } from "./wall-dom.js";
import { ours } from "./wall-link.js";
import { MODES, Stage } from "./wall-stage.js";
import { steer } from "./wall-steer.js";
import { severalElevations } from "./wall-tiles.js";
import { say, translated } from "./words.js";

const SHARPEST = 2; // device pixels a CSS pixel: more is not seen and costs memory
const PREVIEW = /^data:image\/(?:webp|png|jpeg);base64,[A-Za-z0-9+/=]+$/;

export class Tile {
  /**
   * @param {any} host what the wall does for its tiles (wall.js)
   * @param {any} result
   * @param {any} tile
   */
  constructor(host, result, tile) {
    this.host = host;
    this.element = made("li", { className: "tile" });
    /** @type {Stage | null} */
    this.stage = null;
    this._shown = "";
    this._free = false; // whether the model, once wanted, is there
    this._canvas = null;
    this._near = false;
    this._observer = new ResizeObserver(() => this._resized());
    this._sight = new IntersectionObserver((seen) => this._sighted(seen[seen.length - 1].isIntersecting), {
      rootMargin: "300px",
    });
    this._sight.observe(this.element);
    this.update(result, tile);
  }

  get id() {
    return this.result.id;
  }

  get key() {
    return this.tile.key;
  }

  get name() {
    return `${this.id}.${this.key}`;
  }

  get title() {
    const differs = this.host.differences(this);
    return differs ? `${this.tile.title}, ${differs}` : this.tile.title;
  }

  get visible() {
    return this._near;
  }

  /** Something of it may have changed. @param {any} result @param {any} tile */
  update(result, tile) {
    const over = tile.state === "failed" || tile.state === "cancelled"; // a whole run may end while someone reads on
    const around = over ? [tile.sentence || result.problem] : [result.recorded, result.created_utc, result.subject];
    const content = JSON.stringify([tile, ...around]);
    this.result = result;
    this.tile = tile;
    if (content === this._content) return;
    this._content = content;
    this._clear();
    this.element.dataset.state = tile.state;
    if (tile.state === "done") this._showDone();
    else if (over) this._showEnd();
    else this._showWork();
    this.relabel();
  }

  /** What tells it from others of its method, which change. */
  relabel() {
    if (!this._differs) return;
    this._differs.textContent = this._differs.title = this.host.differences(this);
    this._whose.hidden = !this.host.severalResults() || !this._whose.src;
    this._article.setAttribute("aria-label", this.title);
    this._canvas?.setAttribute("aria-label", say("wall.turn", { title: this.title }));
    this._showModes();
  }

  /** @param {{ fraction: number, message: string, remaining_s: number | null, preview: string | null }} news */
  progress({ fraction, message, remaining_s, preview }) {
    if (!this._bar) return;
    if (Number.isFinite(fraction)) this._bar.value = Math.min(1, Math.max(0, fraction));
    this._message.textContent = translated(String(message ?? ""));
    this._left.textContent =
      typeof remaining_s === "number" && remaining_s >= 0 ? say("wall.left", { time: duration(remaining_s) }) : "";
    if (typeof preview === "string" && PREVIEW.test(preview)) {
      if (this._preview?.parentElement === this._board) this._preview.src = preview;
      else this._board.prepend((this._preview = this._ghost(preview)));
      this._preview.classList.remove("tile-ghost");
    }
  }

  /** The connection to the run is lost or found again. @param {boolean} lost */
  lost(lost) {
    if (this._message && lost) this._message.textContent = say("wall.lost");
  }

  /** @param {import("./wall-stage.js").Mode} mode for all tiles */
  want(mode) {
    this._own = null;
    this._want(mode);
  }

  /** @param {import("./wall-camera.js").View} view */
  paint(view) {
    const context = this._context;
    if (!context || !this.stage || !this._near) return;
    const found = this.stage.shown(view);
    const moving = this.host.camera.moving;
    if (!found) return;
    const key = `${found.key} ${context.canvas.width}`;
    if (key !== this._shown) {
      this._shown = key;
      this.stage.draw(context, view);
      this._preview?.remove();
      this.element.classList.remove("tile-empty");
    }
    const exact = this.stage.isAt(view, moving);
    const label = exact ? angles(found.view) : say("wall.nearest", { view: angles(found.view) });
    if (label !== this._angle.textContent) this._angle.textContent = label;
    if (moving) return;
    const spoken = spokenAngles(found.view);
    this._canvas.setAttribute("aria-valuenow", String(Math.round(view.azimuth_deg)));
    this._canvas.setAttribute("aria-valuetext", exact ? spoken : say("wall.nearest", { view: spoken }));
  }

  /** Whatever has come or is missing, in words. */
  refresh() {
    if (!this.stage || !this._note) return;
    const { missing, cramped } = this.stage;
    const lacking = missing ? say("wall.missing", { n: missing, all: this.stage.views.length }) : "";
    const text = this.stage.reason || lacking || (cramped && say("wall.cramped", { px: cramped })) || "";
    this._note.textContent = text;
    this._note.hidden = !text;
    this._canvas.classList.toggle("turns", this.stage.turnable);
    this._canvas.classList.toggle("tilts", this.stage.free);
    this._showModes();
    if (this._free !== this.stage.free) {
      this._free = this.stage.free;
      this.host.modeChanged();
    }
    this.host.camera.draw();
  }

  dispose() {
    this._clear();
    this._sight.disconnect();
    this.element.remove();
  }

  _clear() {
    this._observer.disconnect();
    this.stage?.dispose();
    this.stage = this._canvas = this._context = this._bar = this._note = this._segments = this._differs = null;
    this._shown = "";
  }

  /** @param {(Node | null | false)[]} board what lies on it @param {(Node | null | false)[]} below */
  _show(board, below) {
    const { host, result, tile } = this;
    this._differs = made("span", { className: "tile-differs" });
    this._whose = made("img", { className: "tile-whose", alt: "" });
    const subject = ours(result.subject?.url);
    if (subject) this._whose.src = subject;
    this._whose.addEventListener("error", () => {
      this._whose.removeAttribute("src");
      this._whose.hidden = true;
    });
    this._board = made("div", { className: "tile-board" }, board);
    const large = iconButton("large", say("wall.large"), () => {
      const on = this.element.classList.toggle("tile-large");
      large.setAttribute("aria-pressed", String(on));
    });
    large.setAttribute("aria-pressed", String(this.element.classList.contains("tile-large")));
    this._article = made("article", {}, [
      made("header", { className: "tile-head" }, [
        this._whose,
        made(host.readOnly ? "h2" : "h3", { textContent: tile.title }),
        this._differs,
        result.recorded && made("span", { className: "tile-badge", textContent: say("wall.recorded") }),
        tile.state === "done" && large,
      ]),
      this._board,
      ...below,
    ]);
    this.element.replaceChildren(this._article);
  }

  _showDone() {
    const { host, tile, result } = this;
    this.stage = new Stage(tile, result.subject, host.camera.view, () => this.refresh());
    this._canvas = made("canvas", {
      width: 1,
      height: 1,
      tabIndex: 0,
      role: "slider",
      "aria-valuemin": -180,
      "aria-valuemax": 180,
      "aria-valuenow": Math.round(host.camera.view.azimuth_deg),
    });
    this._context = this._canvas.getContext("2d");
    this._angle = made("p", { className: "tile-angle" });
    this._note = made("p", { className: "tile-note", hidden: true });
    this._preview = this._ghost(this._preview?.src);
    this._segments = segments(say("wall.mode_here", { title: tile.title }), (mode) => {
      this._own = mode;
      this._want(mode);
    });
    this.element.classList.add("tile-empty");
    this._show(
      [this._preview, this._canvas, this._angle, this._note],
      [
        made("div", { className: "tile-foot" }, [
          this._segments.element,
          takeMenu(this).element,
          !(host.readOnly || result.recorded) && moreMenu(this).element,
        ]),
        about(tile, result),
      ],
    );
    const { stage } = this;
    steer(this._canvas, host.camera, {
      tilts: () => stage.free || severalElevations([stage]),
      zooms: () => stage.free,
      step: (side) => host.step(stage, side),
      settle: () => host.settle(stage),
      home: () => host.home(this),
      toggle: () => host.toggle(),
    });
    this._observer.observe(this._canvas);
    this._want(this._own ?? host.mode);
  }

  _showWork() {
    const { host, tile } = this;
    this._bar = made("progress", { max: 1, "aria-label": say("wall.progress", { title: tile.title }) });
    if (tile.state === "waiting") this._bar.value = 0;
    const waiting = say(tile.state === "waiting" ? "wall.waiting" : "wall.starting");
    this._message = made("span", { className: "tile-message", textContent: waiting });
    this._left = made("span", { className: "tile-left" });
    this._preview = this._ghost();
    const stop = button(say("wall.cancel"), () => {
      stop.disabled = true;
      stop.textContent = say("wall.cancelling");
      host.send("stop", { id: this.id, key: this.key });
    });
    this._show(
      [this._preview],
      [
        made("div", { className: "tile-work" }, [
          this._bar,
          made("p", {}, [this._message, this._left]),
          !host.readOnly && host.isOwn(this.id) && made("div", { className: "tile-foot" }, [stop]),
        ]),
      ],
    );
  }

  _showEnd() {
    const { host, tile, result } = this;
    const cancelled = tile.state === "cancelled";
    const why = tile.sentence || result.problem;
    const text = why ? translated(String(why)) : say(cancelled ? "wall.cancelled" : "wall.failed");
    const retry = button(say("wall.retry"), () => {
      host.again(this, tile.seed ?? null, (doing) => {
        Object.assign(retry, { disabled: doing !== null, textContent: doing ?? say("wall.retry") });
      });
    });
    this._show(
      [made("p", { className: cancelled ? "tile-said" : "tile-problem", textContent: text })],
      [
        !host.readOnly &&
          made("div", { className: "tile-foot" }, [
            !tile.lost && retry,
            button(say("wall.remove"), () => host.remove(this)),
          ]),
      ],
    );
  }

  /** The cut-out, faint, until there is something of the method's own. @param {string} [picture] */
  _ghost(picture) {
    const own = picture && PREVIEW.test(picture);
    const subject = ours(this.result.subject?.url);
    if (!own && !subject) return null;
    const ghost = made("img", {
      className: own ? "tile-preview" : "tile-preview tile-ghost",
      alt: "",
      src: own ? picture : subject,
    });
    ghost.addEventListener("error", () => ghost.remove());
    return ghost;
  }

  _want(mode) {
    this.stage?.want(mode);
    this.refresh();
    this.host.modeChanged();
  }

  _showModes() {
    if (!this._segments || !this.stage) return;
    const offered = MODES.filter((mode) => this.stage.has(mode));
    const needed = offered.length > 1 && this.host.several();
    this._segments.element.hidden = !needed;
    if (needed) {
      const choices = offered.map((value) => ({ value, text: say(`wall.${value}`) }));
      this._segments.show(choices, this.stage.mode);
    }
  }

  _sighted(near) {
    this._near = near;
    if (near) {
      this._resized();
      this.host.camera.draw();
    }
  }

  _resized() {
    if (!this._canvas || !this._near || !this.stage) return;
    const side = Math.round(this._canvas.clientWidth * Math.min(window.devicePixelRatio || 1, SHARPEST));
    if (!side) return;
    if (side !== this._canvas.width) {
      this._canvas.width = this._canvas.height = side; // which empties it
      this._shown = "";
    }
    this.stage.resize(side);
    this.paint(this.host.camera.view);
  }
}
