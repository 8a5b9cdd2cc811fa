// Following a run: the server tells what happens, and a lost connection is found again or accounted for.

import { say, translated } from "./words.js";
import { resultFile } from "./wall-link.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

/**
 * The description of a result.
 * @param {string} id
 * @returns {Promise<{ wall: object } | { gone: string }>} or why there is none; throws where no server answers
 */
export async function describe(id) {
  const answer = await fetch(resultFile(id, "wall.json"), { cache: "no-store" });
  if (answer.ok) return { wall: await answer.json() };
  if (answer.status !== 404 && answer.status !== 410) throw new Error(`${answer.status}`);
  const sentence = (await answer.text()).trim();
  return { gone: sentence.length > 0 && sentence.length < 400 ? translated(sentence) : say("wall.gone") };
}

/**
 * @param {string} id
 * @param {{ wall: (wall: any) => void, progress: (progress: any) => void, gone: (sentence: string) => void,
 *   lost: (lost: boolean) => void }} heard
 * @returns {() => void} stop listening
 */
export function follow(id, heard) {
  /** @type {EventSource | null} */
  let source = null;
  let over = false;
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let asking = false;

  const stop = () => {
    over = true;
    source?.close();
    clearTimeout(timer);
    window.removeEventListener("online", soon);
    document.removeEventListener("visibilitychange", soon);
  };

  const listen = () => {
    source = new EventSource(resultFile(id, "live"));
    source.addEventListener("wall", (event) => {
      wait = FIRST_WAIT_MS;
      told(event, heard.wall);
    });
    source.addEventListener("progress", (event) => told(event, heard.progress));
    source.addEventListener("end", (event) => {
      stop();
      told(event, heard.wall);
    });
    source.addEventListener("error", () => {
      source?.close();
      source = null;
      again();
    });
  };

  const again = () => {
    if (over) return;
    clearTimeout(timer);
    timer = window.setTimeout(find, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  };

  /** What the server knows decides: still at work, ended meanwhile, or gone with a restart. */
  const find = async () => {
    if (asking) return;
    asking = true;
    const found = await describe(id).catch(() => null);
    asking = false;
    if (over) return;
    if (!found) {
      heard.lost(true);
      again();
      return;
    }
    heard.lost(false);
    if ("gone" in found) {
      stop();
      heard.gone(found.gone);
    } else if (found.wall.state === "working") {
      heard.wall(found.wall);
      listen();
    } else {
      stop();
      heard.wall(found.wall);
    }
  };

  const soon = () => {
    if (source || over || document.hidden) return;
    wait = FIRST_WAIT_MS;
    clearTimeout(timer);
    void find();
  };

  window.addEventListener("online", soon);
  document.addEventListener("visibilitychange", soon);
  listen();
  return stop;
}

function told(event, hear) {
  let news;
  try {
    news = JSON.parse(event.data);
  } catch {
    return;
  }
  hear(news);
}
