// The one camera that all tiles share, and the turntable that moves it. Draws only when something has changed.

import { DISTANCE_RANGE, nearest, NEARER_DEG, turnBetween, wrapAzimuth } from "./camera.js";

/** @typedef {{ azimuth_deg: number, elevation_deg: number, distance: number }} View */

const SECONDS_A_VIEW = 0.3;
const TURN_S = [5, 12]; // shortest and longest time once round
const LONGEST_STEP_S = 0.1; // after a pause of the browser's own, go on where it was
const CIRCLE = 24;
const LEAP = 1.5; // times its longest step: from its end to its beginning a way that is open would leap

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class SharedCamera {
  constructor() {
    /** @type {View} */
    this.view = { azimuth_deg: 0, elevation_deg: 0, distance: 1 };
    this.playing = false;
    this.held = false; // by a pointer
    /** @type {() => View[]} the way to go while playing; empty: once round at the present elevation */
    this.route = () => [];
    /** @type {Set<(view: View) => void>} asked to draw, together, before the browser paints */
    this._painters = new Set();
    /** @type {Set<() => void>} told when playing starts or stops */
    this._watchers = new Set();
    this._asked = 0;
    this._asleep = false;
    this._before = 0;
    /** @type {View[]} */
    this._route = [];
    this._nears = false; // or farther
    this._own = 1;
    this._at = 0;
  }

  get moving() {
    return this.playing || this.held;
  }

  /** @param {Partial<View>} changes */
  set(changes) {
    const { azimuth_deg, elevation_deg, distance } = { ...this.view, ...changes };
    if (![azimuth_deg, elevation_deg, distance].every(Number.isFinite)) return;
    this.view = {
      azimuth_deg: wrapAzimuth(azimuth_deg),
      elevation_deg: clamp(elevation_deg, -90, 90),
      distance: clamp(distance, ...DISTANCE_RANGE),
    };
    this.draw();
  }

  /** Have everything drawn, once, before the browser paints next. */
  draw() {
    if (!this._asked) this._asked = requestAnimationFrame((now) => this._frame(now));
  }

  /** @param {(view: View) => void} painter @returns {() => void} */
  onPaint(painter) {
    this._painters.add(painter);
    return () => this._painters.delete(painter);
  }

  /** @param {() => void} watcher */
  onPlay(watcher) {
    this._watchers.add(watcher);
  }

  play() {
    if (this.playing) return;
    this.playing = true;
    this._join();
    this._tell();
    this.draw();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this._tell();
    this.draw();
  }

  /** The way has changed: go on from the nearest point of the new one. */
  reroute() {
    if (!this.playing) return;
    const [before, at] = [JSON.stringify(this._route), this._at];
    this._join();
    if (JSON.stringify(this._route) === before) this._at = at; // also there and back, where two points are the nearest
  }

  /** Nobody sees it: no frame is drawn and no time passes until somebody does. @param {boolean} asleep */
  sleep(asleep) {
    if (asleep === this._asleep) return;
    this._asleep = asleep;
    this._before = 0;
    if (!asleep) this.draw();
  }

  _join() {
    const route = this.route();
    const { elevation_deg, distance } = this.view;
    this._route = route.length
      ? thereAndBack(route)
      : Array.from({ length: CIRCLE }, (_, i) => ({
          azimuth_deg: wrapAzimuth((360 * i) / CIRCLE),
          elevation_deg,
          distance,
        }));
    const nears = this._route.some((view) => view.distance !== this._route[0].distance);
    if (nears && !this._nears) this._own = distance; // the visitor's, to come back to
    if (!nears && this._nears) this.view = { ...this.view, distance: this._own };
    this._nears = nears;
    this._at = Math.max(0, nearest(this._route, this.view));
    this._before = 0;
  }

  _frame(now) {
    this._asked = 0;
    if (this.playing && !this._asleep) {
      const passed = this._before ? Math.min((now - this._before) / 1000, LONGEST_STEP_S) : 0;
      this._before = now;
      this._advance(passed);
    }
    for (const painter of this._painters) painter(this.view);
    if (this.playing && !this._asleep) this.draw();
  }

  _advance(seconds) {
    const count = this._route.length;
    const turn_s = clamp(count * SECONDS_A_VIEW, ...TURN_S);
    this._at = (this._at + (seconds * count) / turn_s) % count;
    const here = this._route[Math.floor(this._at)];
    const there = this._route[(Math.floor(this._at) + 1) % count];
    const part = this._at % 1;
    this.view = {
      azimuth_deg: wrapAzimuth(here.azimuth_deg + part * wrapAzimuth(there.azimuth_deg - here.azimuth_deg)),
      elevation_deg: here.elevation_deg + part * (there.elevation_deg - here.elevation_deg),
      // As far as the visitor has it, unless it is what changes on the way
      distance: this._nears ? here.distance + part * (there.distance - here.distance) : this.view.distance,
    };
  }

  _tell() {
    for (const watcher of this._watchers) watcher();
  }
}

/** A way that does not end where it began is gone back, too. @param {View[]} way @returns {View[]} */
function thereAndBack(way) {
  const apart = (one, other) => turnBetween(one, other) + NEARER_DEG * Math.abs(Math.log(one.distance / other.distance));
  const steps = way.slice(1).map((view, i) => apart(view, way[i]));
  const leaps = apart(way[way.length - 1], way[0]) > LEAP * Math.max(0, ...steps);
  return leaps ? [...way, ...way.slice(1, -1).reverse()] : way;
}

/**
 * A camera that turns only before somebody's eyes.
 * @param {SharedCamera} camera
 * @param {Element} element
 */
export function onlyWhenSeen(camera, element) {
  let seen = true;
  const look = () => camera.sleep(document.hidden || !seen);
  document.addEventListener("visibilitychange", look);
  new IntersectionObserver((changes) => {
    seen = changes[changes.length - 1].isIntersecting;
    look();
  }).observe(element);
}
