// The results behind the wall: fetched, followed while they are being made, and let go.

import { describe, follow } from "./live.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export class Results {
  /**
   * @param {{ changed: (id: string) => void, progress: (id: string, news: any) => void,
   *   gone: (id: string, sentence: string, wasFollowed: boolean) => void, lost: (id: string, lost: boolean) => void }} tell
   */
  constructor(tell) {
    this._tell = tell;
    /** @type {Map<string, { wall: any, stop: (() => void) | null }>} */
    this._known = new Map();
  }

  /** @param {string} id @returns {any | null} its description, once it is there */
  get(id) {
    return this._known.get(id)?.wall ?? null;
  }

  /** Whether each has been heard of. */
  get settled() {
    return [...this._known.values()].every(({ wall }) => wall);
  }

  /** Exactly these: new ones are fetched, others are followed no more. @param {string[]} ids */
  keep(ids) {
    for (const [id, { stop }] of this._known) {
      if (ids.includes(id)) continue;
      stop?.();
      this._known.delete(id);
    }
    for (const id of ids) {
      if (this._known.has(id)) continue;
      const known = { wall: null, stop: null };
      this._known.set(id, known);
      void this._load(id, known);
    }
  }

  async _load(id, known) {
    let wait = FIRST_WAIT_MS;
    const current = () => this._known.get(id) === known;
    while (current()) {
      const found = await describe(id).catch(() => null);
      if (!current()) return;
      if (found) {
        this._tell.lost(id, false);
        if ("gone" in found) this._tell.gone(id, found.gone, false);
        else this._take(id, known, found.wall);
        return;
      }
      this._tell.lost(id, true);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  _take(id, known, wall) {
    known.wall = plain(wall, id);
    if (known.wall.state === "working" && !known.stop) {
      known.stop = follow(id, {
        wall: (next) => {
          known.wall = plain(next, id);
          this._tell.changed(id);
        },
        progress: (news) => this._tell.progress(id, news),
        lost: (lost) => this._tell.lost(id, lost),
        gone: (sentence) => {
          known.wall = ended(known.wall, sentence);
          this._tell.gone(id, sentence, true);
        },
      });
    }
    this._tell.changed(id);
  }
}

/** A description whose parts are all there: a damaged one is shown as far as it goes. */
function plain(wall, id) {
  const tiles = (Array.isArray(wall?.tiles) ? wall.tiles : [])
    .filter((tile) => typeof tile?.key === "string")
    .map((tile) => ({
      ...tile,
      title: String(tile.title ?? tile.key),
      frames: (Array.isArray(tile.frames) ? tile.frames : []).filter(
        (frame) => Number.isFinite(frame?.azimuth_deg) && Number.isFinite(frame?.elevation_deg),
      ),
    }));
  return { ...wall, id, tiles };
}

/** What was not finished will not be. */
function ended(wall, sentence) {
  const tiles = wall.tiles.map((tile) =>
    tile.state === "waiting" || tile.state === "working" ? { ...tile, state: "failed", sentence, lost: true } : tile,
  );
  return { ...wall, state: "ended", tiles };
}
