// A tile's pictures: fetched once, decoded off the main thread, and kept no larger than they are shown.

const AT_ONCE = 4; // a browser opens six connections to a host, and the page needs some for itself
const STEP_PX = 96; // sizes come in steps, so that a slightly wider window decodes nothing again
const SMALL_PX = 384;
const MIB = 2 ** 20;
const LONGEST_WAIT_MS = 5000;

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
    this.failed = 0;
    this.loaded = 0;
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
      else this.failed += 1;
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
    try {
      const blob = await fetched(this.urls[index], this._over.signal);
      this._blobs[index] = blob;
      await this._decode(index, blob);
    } catch {
      if (this._over.signal.aborted) return;
      this.failed += 1;
      this._changed();
    }
  }

  async _decode(index, blob) {
    const round = this._round;
    const image = await decode(blob, this._px);
    if (this._over.signal.aborted || round !== this._round) {
      close(image);
      return;
    }
    if (!this._images[index]) this.loaded += 1;
    close(this._images[index]);
    this._images[index] = image;
    this._changed();
  }
}

/** Asks again where the connection or the server failed, as on a train; not where there is no such file. */
async function fetched(url, signal) {
  for (let wait_ms = 500; ; wait_ms *= 3) {
    const answer = await fetch(url, { signal }).catch(() => null);
    if (answer?.ok) return answer.blob();
    if (signal.aborted || (answer && answer.status < 500) || wait_ms > LONGEST_WAIT_MS) throw new Error("no picture");
    await new Promise((resolve) => setTimeout(resolve, wait_ms));
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
