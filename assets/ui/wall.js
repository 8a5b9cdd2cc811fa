// The wall: every method's turnaround side by side, seen by one shared camera. Works in the browser alone; the server
// is only told what it has to do.

import { madeHere } from "./history.js";
import { Tile } from "./tile.js";
import { Again } from "./wall-again.js";
import { bar } from "./wall-bar.js";
import { onlyWhenSeen, SharedCamera } from "./wall-camera.js";
import { iconButton, keepTop, made } from "./wall-dom.js";
import { EXAMPLE, formatSpec, parseSpec, readLink, returned, writeLink } from "./wall-link.js";
import { Results } from "./wall-results.js";
import { MODES } from "./wall-stage.js";
import { differences, lead, nextSeed, restingView, severalElevations, stepFrom, wipeSources } from "./wall-tiles.js";
import { openWipe } from "./wipe.js";
import { say } from "./words.js";

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");
/** @type {Set<object>} walls of this page on which something is being made */
const running = new Set();

/**
 * @param {HTMLElement} element what it fills
 * @param {{ props: { value: any }, trigger?: (event: string, data?: object) => void,
 *   watch?: (prop: string, heard: () => void) => void, readOnly?: boolean,
 *   view?: { azimuth_deg: number, elevation_deg: number } | null }} options `readOnly`: for a frame on another page,
 *   whose address and server are left alone
 */
export function mount(element, { props, trigger, watch, readOnly = false, view = null }) {
  return new Wall(element, { props, trigger, watch, readOnly, view });
}

/** The page's own style says that a run of this browser's goes on: Cancel stands where Generate was. */
function markRunning(wall, runs) {
  if (runs) running.add(wall);
  else running.delete(wall);
  if (running.size) document.body.dataset.running = "yes";
  else delete document.body.dataset.running;
}

class Wall {
  constructor(element, { props, trigger, watch, readOnly, view }) {
    this.readOnly = readOnly;
    this.camera = new SharedCamera();
    /** @type {import("./wall-stage.js").Mode} */
    this.mode = "picture";
    this._props = props;
    this._trigger = trigger;
    /** @type {(import("./wall-link.js").Entry & { lost?: boolean })[]} */
    this._entries = [];
    /** @type {Map<string, Tile>} */
    this._tiles = new Map();
    this._wipe = null;
    this._busy = this._ownBusy = false;
    this._heardOf = undefined; // the component's value as it was last shown
    this._taken = new Set();
    this._deleted = new Set();
    this._again = new Again((asked) => this.send("again", asked));
    this._heard = new Map(); // tile -> how much of its progress was announced
    this._results = new Results({
      changed: () => this._arrange(),
      progress: (id, news) => this._progress(id, news),
      gone: (id, sentence, wasFollowed) => this._gone(id, sentence, wasFollowed),
      lost: (id, lost) => this._lost(id, lost),
    });
    this._element = element;
    this._draw();
    this.camera.route = () => this._lead()?.views ?? [];
    this.camera.onPaint((now) => {
      this._tiles.forEach((tile) => tile.paint(now));
      const { azimuth_deg, elevation_deg, distance } = this.camera.view; // for whoever wants to match it
      Object.assign(this._section.dataset, { azimuth: azimuth_deg, elevation: elevation_deg, distance });
    });
    onlyWhenSeen(this.camera, this._section);

    const link = readOnly ? { spec: "", view } : readLink();
    this._fixed = link.view;
    if (link.spec) props.value = link.spec;
    this._others = new Set(parseSpec(link.spec).entries.map(({ id }) => id).filter((id) => !madeHere(id)));
    watch?.("value", () => this._show(props.value, true));
    this._show(props.value, false);
    if (readOnly) return;
    window.addEventListener("popstate", () => {
      props.value = returned();
      this._show(props.value, false); // nobody else says so each time
    });
    document.addEventListener("turnaround:forget", ({ detail }) => this._deleted.add(detail));
  }

  // --- What the tiles and the bar ask of the wall -----------------------------------------------------------------

  /** @param {string} event @param {object} [data] */
  send(event, data = {}) {
    if (!this.readOnly) this._trigger?.(event, data);
  }

  spec() {
    return formatSpec(this._entries.filter(({ id, lost }) => id !== EXAMPLE && !lost));
  }

  results() {
    return this._entries.map(({ id }) => this._results.get(id)).filter(Boolean);
  }

  /** Whether it was begun by this browser, which alone can stop it. */
  isOwn(id) {
    return !this._others.has(id);
  }

  several() {
    return this._tiles.size > 1;
  }

  setMode = (mode) => {
    this.mode = mode;
    this._tiles.forEach((tile) => tile.want(mode));
  };

  modeChanged() {
    const free = this._stages().some((stage) => stage.free);
    if (this._free && !free) this._toPictures();
    this._free = free;
    this._refresh();
  }

  toggle = () => {
    if (this.camera.playing) {
      this.camera.pause();
      this.settle();
    } else this.camera.play();
  };

  /** At rest the camera stands where a picture was made. */
  settle(stage = this._lead()) {
    const rest = restingView(stage, this.camera.view);
    if (rest) this.camera.set({ azimuth_deg: rest.azimuth_deg, elevation_deg: rest.elevation_deg });
  }

  step(stage, side) {
    return stepFrom(stage, side, this.camera.view);
  }

  home(tile) {
    const height = tile?.result.subject?.elevation_deg;
    this.camera.set({
      azimuth_deg: 0,
      distance: 1,
      ...(tile?.stage?.free && Number.isFinite(height) ? { elevation_deg: height } : {}),
    });
  }

  differences(tile) {
    return differences(tile, [...this._tiles.values()]);
  }

  /** Whether tiles of several photos may hang here: then each shows which is its own. */
  severalResults() {
    return new Set([...this._tiles.values()].map(({ id }) => id)).size > 1;
  }

  nextSeed(tile) {
    return nextSeed(tile, [...this._tiles.values()]);
  }

  /** @param {(doing: string | null) => void} busy shows that it was heard, until something comes of it */
  again(tile, seed, busy) {
    this._say(say("wall.starting"));
    this._again.ask({ id: tile.id, key: tile.key, seed }, busy);
  }

  remove(tile) {
    const entry = this._entries.find(({ id }) => id === tile.id);
    const left = [...this._tiles.values()].filter((other) => other.id === tile.id && other !== tile);
    if (left.length) entry.keys = left.map(({ key }) => key);
    else this._entries = this._entries.filter((other) => other !== entry);
    this._follow();
    this._arrange();
  }

  taken = () => {
    for (const { id, lost } of this._entries) {
      if (id === EXAMPLE || lost || this._taken.has(id)) continue;
      this._taken.add(id);
      this.send("taken", { id });
    }
  };

  wipe(opener) {
    if (this._wipe) {
      this._wipe.close();
      return;
    }
    this._wipe = openWipe(this, () => {
      this._wipe = null;
      opener.setAttribute("aria-expanded", "false");
      opener.focus();
    });
    opener.setAttribute("aria-expanded", "true");
    this._bar.element.after(this._wipe.element);
    this._wipe.update(this._sources());
    this._wipe?.focus();
  }

  /** From any view that a model can be seen from to one that there is a picture of. */
  _toPictures() {
    const near = this._lead()?.shown(this.camera.view)?.view;
    const { azimuth_deg, elevation_deg } = near ?? this.camera.view;
    this.camera.set({ azimuth_deg, elevation_deg, distance: 1 });
  }

  // --- What is shown ----------------------------------------------------------------------------------------------

  _draw() {
    this._bar = bar(this);
    this._bar.element.hidden = true;
    this._notices = made("div", { className: "wall-notices", role: "status" });
    this._list = made("ul", { className: "wall-tiles" });
    this._said = made("p", { className: "wall-said", "aria-live": "polite" });
    const heading = made(this.readOnly ? "h1" : "h2", { className: "wall-said", textContent: say("wall.title") });
    this._section = made("section", { className: "wall", "aria-label": say("wall.title") }, [
      heading,
      this._notices,
      this._bar.element,
      this._list,
      this._said,
    ]);
  }

  /** @param {unknown} spec @param {boolean} told by the server */
  _show(spec, told) {
    this._heardOf = spec;
    const { entries, refused } = parseSpec(spec);
    const before = new Set(this._entries.map(({ id }) => id));
    if (!entries.some(({ id }) => before.has(id))) {
      this._placed = false;
      if (before.size) this._fixed = null;
    }
    this._notices.replaceChildren();
    if (refused) this._notice(say("wall.bad_link"));
    this._entries = entries;
    this._told = told;
    this._follow();
    this._arrange();
    this._again.answered();
  }

  /**
   * The entries have changed: these are fetched, and the component's value and the page's address say so.
   * @param {boolean} [fallsBack] to the example, where there are none
   */
  _follow(fallsBack = true) {
    if (!this._entries.length && fallsBack) this._entries = [{ id: EXAMPLE, keys: null }];
    this._commit();
    this._results.keep(this._entries.map(({ id }) => id));
  }

  _commit() {
    if (this._props.value !== this._heardOf) return; // the server has just given another, which is about to be shown
    const spec = this.spec();
    if ((this._props.value ?? "") !== spec) this._props.value = this._heardOf = spec;
    if (!this.readOnly) writeLink(spec, this._isWorthReturning());
  }

  /** Whether the address still names something that can be looked at, and looking on would lose it. */
  _isWorthReturning() {
    const left = parseSpec(readLink().spec).entries.filter(({ id }) => !this._entries.some((entry) => entry.id === id));
    return left.some(
      ({ id }) => !this._deleted.has(id) && this._results.get(id)?.tiles.some(({ state }) => state === "done"),
    );
  }

  /** A link may name a method that its result has not. */
  _leaveOut() {
    let wrong = false;
    for (const entry of this._entries) {
      const result = this._results.get(entry.id);
      const known = entry.keys?.filter((key) => result?.tiles.some((tile) => tile.key === key));
      if (!result || !known || known.length === entry.keys.length) continue;
      entry.keys = known;
      wrong = true;
    }
    if (!wrong) return;
    this._notice(say("wall.bad_link"));
    this._entries = this._entries.filter(({ keys }) => !keys || keys.length);
    this._follow();
  }

  _arrange() {
    this._leaveOut();
    keepTop(this._element);
    const wanted = this._entries.flatMap((entry) => {
      const result = this._results.get(entry.id);
      const tiles = (result?.tiles ?? []).filter(({ key }) => !entry.keys || entry.keys.includes(key));
      return tiles.map((tile) => ({ name: `${entry.id}.${tile.key}`, result, tile }));
    });
    const names = new Set(wanted.map(({ name }) => name));
    for (const [name, tile] of this._tiles) {
      if (names.has(name) || !this._results.settled) continue; // what was there stays until there is something else
      tile.dispose();
      this._tiles.delete(name);
    }
    for (const { name, result, tile } of wanted) {
      const known = this._tiles.get(name);
      this._tiles.delete(name); // so that they stand here in the order shown
      this._tiles.set(name, known ?? new Tile(this, result, tile));
      if (known) {
        const before = known.tile.state;
        known.update(result, tile);
        if (before !== tile.state) this._say(`${tile.title}: ${say(`wall.is_${tile.state}`)}`);
      }
    }
    const tiles = wanted.map(({ name }) => this._tiles.get(name));
    tiles.forEach(({ element }, i) => {
      if (this._list.children[i] !== element) this._list.insertBefore(element, this._list.children[i] ?? null);
    });
    this._list.dataset.count = String(this._tiles.size);
    this._tiles.forEach((tile) => tile.relabel());
    if (!this._section.isConnected && (this._results.settled || this._notices.children.length)) {
      this._element.replaceChildren(this._section);
    }
    this._list.classList.toggle("wall-nothing", this._results.settled && !this._tiles.size);
    this._list.dataset.nothing = say("wall.nothing");
    this._place(tiles);
    this._refresh();
    this._tellBusy();
  }

  /**
   * Where the camera begins: where the link says, else where the first result was asked for; and it turns.
   * @param {Tile[]} tiles of what is to be shown; others may still hang here, and have no say
   */
  _place(tiles) {
    const first = tiles.find((tile) => tile.stage);
    if (this._placed || !first || !this._results.settled) return;
    this._placed = true;
    const frame = first.tile.frames[0];
    const elevation_deg = first.result.subject?.elevation_deg ?? 0;
    const start = frame?.asked ?? frame ?? { azimuth_deg: 0, elevation_deg };
    this.camera.set({
      distance: 1,
      ...(this._fixed ?? { azimuth_deg: start.azimuth_deg, elevation_deg: start.elevation_deg }),
    });
    if (!this._fixed && !STILL.matches && first.stage.turnable) this.camera.play();
    else this.camera.pause(); // what was shown before may have been turning
  }

  _refresh() {
    const stages = this._stages();
    this._bar.show({
      any: stages.length > 0,
      linkable: !this.readOnly && this._working().length > 0, // who has its link may leave: the run then goes on without them
      turnable: stages.some((stage) => stage.turnable) || stages.length > 1,
      tiltable: stages.some((stage) => stage.free) || severalElevations(stages),
      mode: this.mode,
      offered: new Set(MODES.filter((mode) => stages.some((stage) => stage.has(mode)))),
    });
    this._wipe?.update(this._sources());
    this.camera.reroute();
    this.camera.draw();
  }

  _stages() {
    return [...this._tiles.values()].map((tile) => tile.stage).filter(Boolean);
  }

  _working() {
    return this._entries.map(({ id }) => id).filter((id) => this._results.get(id)?.state === "working");
  }

  _lead() {
    return lead(this._stages());
  }

  _sources() {
    return wipeSources([...this._tiles.values()]);
  }

  // --- What happens meanwhile -------------------------------------------------------------------------------------

  _progress(id, news) {
    const tile = this._tiles.get(`${id}.${news?.key}`);
    if (!tile) return;
    tile.progress(news);
    const quarter = Math.floor((news.fraction || 0) * 4);
    if (quarter > (this._heard.get(tile) ?? 0)) this._say(say("wall.at", { title: tile.tile.title, n: quarter * 25 }));
    this._heard.set(tile, quarter);
  }

  _gone(id, sentence, wasFollowed) {
    if (id !== EXAMPLE) this._notice(wasFollowed && !this.readOnly ? say("wall.run_gone") : sentence);
    const entry = this._entries.find((each) => each.id === id);
    if (entry && wasFollowed) entry.lost = true;
    else this._entries = this._entries.filter((each) => each !== entry);
    this._follow(id !== EXAMPLE);
    this._arrange();
  }

  _lost(id, lost) {
    this._tiles.forEach((tile) => tile.id === id && tile.lost(lost));
  }

  _tellBusy() {
    if (this.readOnly || !this._results.settled) return;
    const working = this._working();
    const [busy, ownBusy] = [working.length > 0, working.some((id) => this.isOwn(id))];
    markRunning(this, ownBusy);
    const ownEnded = this._ownBusy && !ownBusy; // though someone else's may go on
    this._ownBusy = ownBusy;
    if (busy === this._busy && !this._told && !ownEnded) return;
    this._told = false;
    this._busy = busy;
    this.send(busy && !ownEnded ? "busy" : "idle");
  }

  _notice(sentence) {
    if ([...this._notices.children].some((other) => other.textContent === sentence)) return;
    const close = iconButton("close", say("wall.close"), () => notice.remove());
    const notice = made("p", { className: "wall-notice" }, [made("span", { textContent: sentence }), close]);
    this._notices.append(notice);
  }

  _say(text) {
    this._said.textContent = text;
  }
}
