// A tile's pictures: fetched once, decoded off the main thread, and kept no larger than they are shown.

const AT_ONCE = 4; // a browser opens six connections to a host, and the page needs some for itself
const STEP_PX = 96; // sizes come in steps, so that a slightly wider window decodes nothing again
const SMALL_PX = 384;
const MIB = 2 ** 20;
// Before what could not be had is asked for again: first as after a hiccup, at last as after an outage. Then only when
// the connection or the visitor comes back.
const WAITS_MS = [500, 1500, 4500, ...[15, 30, 60, 120, 120, 120, 120, 120].map((seconds) => seconds * 1000)];
const PATIENT = 3; // so often in silence
const SHARE_MS = 300; // a wall that is hung anew lets go of one after another

/** Few bytes and small pictures where memory or screen is small. */
export function device() {
  const small = (navigator.deviceMemory ?? 8) < 4 || Math.min(screen.width, window.innerWidth) < 600;
  return { small, budget: (small ? 96 : 256) * MIB, mostPx: small ? SMALL_PX : 1024 };
}

/** @type {Set<Frames>} everything that holds pictures: they share one budget */
const alive = new Set();
/** @type {{ rank: number, run: () => Promise<void>, owner: Frames }[]} */
const waiting = [];
let running = 0;
let sharing = 0;

window.addEventListener("online", askAgain);
document.addEventListener("visibilitychange", askAgain);

function askAgain() {
  if (!document.hidden) for (const frames of alive) frames.again();
}

/** What some have given up is there for the others, once it is known who stays. */
function shareAnew() {
  clearTimeout(sharing);
  sharing = setTimeout(() => alive.forEach((frames) => frames.resize(frames._shown)), SHARE_MS);
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const first = waiting.reduce((best, job, i) => (job.rank < waiting[best].rank ? i : best), 0);
    const [job] = waiting.splice(first, 1);
    running += 1;
    job.run().finally(() => {
      running -= 1;
      next();
    });
  }
}

export class Frames {
  /**
   * @param {(string | null)[]} urls
   * @param {number} nativePx
   * @param {() => void} changed one more can be shown
   */
  constructor(urls, nativePx, changed) {
    this.urls = urls;
    this.loaded = 0;
    this._lost = 0; // there are no such files
    /** @type {Set<number>} not had yet, but to be asked for again */
    this._lacking = new Set();
    /** @type {Set<number>} of those, the ones that are being asked for */
    this._asked = new Set();
    this._tries = 0;
    this._timer = 0;
    this._native = nativePx;
    this._changed = changed;
    /** @type {(ImageBitmap | HTMLImageElement | null)[]} */
    this._images = urls.map(() => null);
    /** @type {(Blob | null)[]} as fetched: to decode at another size without asking again */
    this._blobs = urls.map(() => null);
    this._px = 0;
    this._round = 0;
    this._over = new AbortController();
    alive.add(this);
  }

  /**
   * Loads everything: first what is wanted now, then ever finer between.
   * @param {number} shownPx side of the square that they are drawn into
   * @param {number} first
   */
  load(shownPx, first = 0) {
    if (this._px) return;
    this._px = this._size(shownPx);
    spread(this.urls.length, first).forEach((index, rank) => {
      if (this.urls[index]) waiting.push({ rank, owner: this, run: () => this._fetch(index) });
      else this._lost += 1;
    });
    for (const other of alive) if (other !== this && other._px) other.resize(other._shown);
    next();
  }

  /** For a stage that has become larger, or a budget that more must share. @param {number} shownPx */
  resize(shownPx) {
    if (!this._px) return;
    const wanted = this._size(shownPx);
    if (wanted <= this._px * 1.2 && wanted >= this._px * 0.8) return;
    this._px = wanted;
    this._round += 1;
    this._blobs.forEach((blob, index) => {
      if (blob) waiting.push({ rank: index, owner: this, run: () => this._decode(index, blob) });
    });
    next();
  }

  /** How many could not be had so far. */
  get failed() {
    return this._lost + (this._tries > PATIENT ? this._lacking.size : 0);
  }

  /** Their side in pixels, where the budget leaves them less than half of what there is to see; otherwise 0. */
  get cramped() {
    return this._px * 2 < Math.min(this._native || this._shown, this._shown) ? this._px : 0;
  }

  /** Whatever is missing is asked for once more. */
  again() {
    clearTimeout(this._timer);
    this._timer = 0;
    for (const index of this._lacking) {
      if (this._asked.has(index)) continue;
      this._asked.add(index);
      waiting.push({ rank: index, owner: this, run: () => this._fetch(index) });
    }
    next();
  }

  /** @param {number} index @returns {ImageBitmap | HTMLImageElement | null} */
  image(index) {
    return this._images[index] ?? null;
  }

  /** @param {number} index @returns {boolean} */
  has(index) {
    return Boolean(this._images[index]);
  }

  dispose() {
    alive.delete(this);
    shareAnew();
    clearTimeout(this._timer);
    this._over.abort();
    for (let i = waiting.length - 1; i >= 0; i -= 1) if (waiting[i].owner === this) waiting.splice(i, 1);
    this._images.forEach(close);
    this._images.fill(null);
    this._blobs.fill(null);
  }

  _size(shownPx) {
    this._shown = shownPx;
    const { budget, mostPx } = device();
    let count = 0;
    for (const frames of alive) count += frames.urls.length;
    const affordable = Math.sqrt(budget / 4 / Math.max(1, count));
    const stepped = Math.ceil(Math.max(shownPx, STEP_PX) / STEP_PX) * STEP_PX;
    return Math.max(64, Math.floor(Math.min(this._native || stepped, stepped, mostPx, affordable)));
  }

  async _fetch(index) {
    const answer = await fetch(this.urls[index], { signal: this._over.signal }).catch(() => null);
    const blob = answer?.ok ? await answer.blob().catch(() => null) : null;
    if (this._over.signal.aborted) return;
    this._asked.delete(index);
    if (blob) {
      this._blobs[index] = blob;
      await this._decode(index, blob);
    } else if (!answer || answer.ok || answer.status >= 500 || answer.status === 429) {
      this._lacks(index);
    } else {
      this._lacking.delete(index);
      this._lost += 1; // no such file
      this._changed();
    }
  }

  /** The connection, the server or memory failed: others may have failed with it, and are asked for together. */
  _lacks(index) {
    this._lacking.add(index);
    if (!this._timer && this._tries < WAITS_MS.length) {
      this._timer = setTimeout(() => this.again(), WAITS_MS[this._tries]);
      this._tries += 1;
    }
    this._changed();
  }

  async _decode(index, blob) {
    const round = this._round;
    const image = await decode(blob, this._px).catch(() => null);
    if (this._over.signal.aborted || round !== this._round) {
      close(image);
    } else if (image) {
      if (!this._images[index]) this.loaded += 1;
      close(this._images[index]);
      this._images[index] = image;
      this._lacking.delete(index);
      if (!this._lacking.size) this._tries = 0;
      this._changed();
    } else if (!this._images[index]) this._lacks(index); // otherwise it stays as large as it was
  }
}

/**
 * @param {Blob} blob
 * @param {number} px
 * @returns {Promise<ImageBitmap | HTMLImageElement>}
 */
async function decode(blob, px) {
  try {
    return await createImageBitmap(blob, { resizeWidth: px, resizeHeight: px, resizeQuality: "high" });
  } catch {
    const image = new Image();
    image.src = URL.createObjectURL(blob);
    try {
      await image.decode();
    } finally {
      URL.revokeObjectURL(image.src);
    }
    return image;
  }
}

function close(image) {
  if (typeof ImageBitmap !== "undefined" && image instanceof ImageBitmap) image.close();
}

/**
 * 0 to count-1, beginning with `first` and halving the gaps: turning works, coarsely, after a few.
 * @param {number} count
 * @param {number} first
 * @returns {number[]}
 */
export function spread(count, first) {
  const order = new Set();
  let step = 1;
  while (step < count) step *= 2;
  for (; step >= 1; step /= 2) {
    for (let i = 0; i < count; i += step) order.add((first + i) % count);
  }
  return [...order].filter((i) => i < count);
}
