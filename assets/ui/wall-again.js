// Tiles that are to run again: asked for one after another, since what comes of each hangs beside what is there by then.

import { say } from "./words.js";

const PATIENCE_MS = 5000; // how long a pressed button says that it was heard, should no run come of it

export class Again {
  /** @param {(asked: object) => void} send */
  constructor(send) {
    this._send = send;
    /** @type {{ asked: object, busy: (doing: string | null) => void }[]} the first is on its way */
    this._queue = [];
    this._timer = 0;
  }

  /** @param {object} asked @param {(doing: string | null) => void} busy shows what its button is doing */
  ask(asked, busy) {
    busy(say("wall.starting"));
    this._queue.push({ asked, busy });
    if (this._queue.length === 1) this._begin();
  }

  /** Something came of the first, or nothing will. */
  answered() {
    clearTimeout(this._timer);
    this._queue.shift()?.busy(null);
    if (this._queue.length) this._begin();
  }

  _begin() {
    this._timer = setTimeout(() => this.answered(), PATIENCE_MS);
    this._send(this._queue[0].asked);
  }
}
