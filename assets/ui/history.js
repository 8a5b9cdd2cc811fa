// What this browser has made: a list in its own storage, newest first, with pictures from the results themselves.

import { say } from "./words.js";

const PREFIX = "turnaround-history:"; // one key an entry: two tabs that write at once lose nothing of each other's
const MOST = 60;
const NOTHING_YET = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"; // no frame of a lost picture

// What the page was opened with: others may have made it, and it still hangs here when a run of one's own is refused
const linked = new URLSearchParams(location.search).get("r") ?? "";

/** @typedef {{ id: string, at: number, title: string, done: boolean }} Entry */

/** @returns {Entry[]} what is stored, without what is not ours, newest first */
function read() {
  try {
    const stored = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    return stored
      .map((key) => entryIn(localStorage.getItem(key)))
      .filter((entry) => /^[0-9a-f]{44}$/.test(entry?.id))
      .sort((one, other) => other.at - one.at);
  } catch {
    return [];
  }
}

/** @param {string} id @returns {boolean} whether this browser made it, as far as it remembers */
export function madeHere(id) {
  try {
    return localStorage.getItem(PREFIX + id) !== null;
  } catch {
    return false;
  }
}

function entryIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {HTMLElement} element
 * @param {{ props: any, trigger: (event: string, data?: object) => void, watch: (prop: string, heard: () => void) => void }} options
 */
export function mount(element, { props, trigger, watch }) {
  let entries = read();

  /** @param {Entry} entry */
  const keep = (entry) => {
    try {
      localStorage.setItem(PREFIX + entry.id, JSON.stringify(entry));
    } catch {
      // Private windows may refuse: the list then lasts as long as the page
    }
    entries = [entry, ...entries.filter((each) => each.id !== entry.id)].sort((one, other) => other.at - one.at);
    entries.slice(MOST).forEach((old) => drop(old.id));
  };
  const drop = (id) => {
    try {
      localStorage.removeItem(PREFIX + id);
    } catch {
      // as above
    }
    entries = entries.filter((each) => each.id !== id);
  };

  // A run has begun: `detail` is the wall's spec, the newest result last.
  document.addEventListener("turnaround:made", ({ detail }) => {
    const id = String(detail).split(",").pop().split(".")[0];
    if (!/^[0-9a-f]{44}$/.test(id) || linked.includes(id) || entries.some((entry) => entry.id === id)) return;
    keep({ id, at: Date.now(), title: "", done: false });
    draw();
  });
  document.addEventListener("turnaround:idle", () => void settle());
  window.addEventListener("storage", (event) => {
    if (event.key !== null && !event.key.startsWith(PREFIX)) return; // null: all was cleared
    entries = read();
    draw();
  });
  watch("value", () => {
    if (!props.value?.forgotten) return;
    drop(props.value.forgotten);
    draw();
  });

  /** Runs that have ended get their title; those that came to nothing leave. */
  async function settle() {
    const open = entries.filter((entry) => !entry.done);
    if (!open.length) return;
    const titles = await Promise.all(open.map((entry) => titleOf(entry.id)));
    for (const [i, entry] of open.entries()) {
      if (titles[i] === null) drop(entry.id);
      else if (titles[i] !== undefined && entries.some((each) => each.id === entry.id)) {
        keep({ ...entry, title: titles[i], done: true });
      }
    }
    draw();
  }

  function draw() {
    const heading = made("h2", { textContent: say("history.title") });
    const list = made("ul", {}, entries.map(card));
    const none = made("p", { className: "none", textContent: say("history.none") });
    element.replaceChildren(made("section", { className: "history" }, [heading, entries.length ? list : none]));
  }

  /** @param {Entry} entry */
  function card(entry) {
    const when = new Date(entry.at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    const title = entry.title || say("history.working");
    const picture = made("img", { alt: "", loading: "lazy", width: 96, height: 96 });
    const open = made("button", { type: "button", className: "open" }, [
      picture,
      made("span", { className: "title", textContent: title }),
      made("span", { className: "when", textContent: when }),
    ]);
    open.setAttribute("aria-label", say("history.open", { title, when }));
    open.addEventListener("click", () => {
      props.value = { open: entry.id };
      trigger("open");
    });
    picture.addEventListener("error", () => {
      if (!entry.done) return;
      open.querySelector(".title").textContent = say("history.gone");
      open.disabled = true;
      forget.dataset.gone = "yes";
      forget.setAttribute("aria-label", say("history.drop"));
    });
    picture.src = entry.done ? new URL(`r/${entry.id}/thumb.webp`, document.baseURI).href : NOTHING_YET;
    const forget = made("button", { type: "button", className: "forget", textContent: "×" });
    forget.setAttribute("aria-label", say("history.forget"));
    const item = made("li", {}, [open, forget]);
    forget.addEventListener("click", () => {
      if (!forget.dataset.gone) return ask(item, entry, forget);
      drop(entry.id);
      draw();
    });
    return item;
  }

  /** In the page, not in a dialog of the browser's: the question stands where the answer counts. */
  function ask(item, entry, opener) {
    const yes = made("button", { type: "button", className: "yes", textContent: say("history.yes") });
    const no = made("button", { type: "button", textContent: say("history.no") });
    const question = made("div", { className: "sure" }, [made("p", { textContent: say("history.sure") }), yes, no]);
    question.setAttribute("role", "group");
    const close = () => {
      question.remove();
      opener.focus();
    };
    yes.addEventListener("click", () => {
      question.remove();
      document.dispatchEvent(new CustomEvent("turnaround:forget", { detail: entry.id })); // nothing leads back to it
      trigger("forget", { id: entry.id });
    });
    no.addEventListener("click", close);
    question.addEventListener("keydown", (event) => event.key === "Escape" && close());
    item.append(question);
    no.focus();
  }

  draw();
  void settle();
}

/** The methods of a finished result; undefined while it is being made, null when nothing came of it. */
async function titleOf(id) {
  try {
    const answer = await fetch(new URL(`r/${id}/wall.json`, document.baseURI));
    if (answer.status === 404) return null;
    const wall = await answer.json();
    if (wall.state === "working") return undefined;
    const titles = wall.tiles.filter((tile) => tile.state === "done").map((tile) => tile.title);
    return titles.length ? titles.join(", ") : null;
  } catch {
    return undefined;
  }
}

function made(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
