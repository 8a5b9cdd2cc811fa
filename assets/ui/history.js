// What this browser has made: a list in its own storage, newest first, with pictures from the results themselves.

import { say } from "./words.js";

const KEY = "turnaround-history";
const MOST = 60;

/** @typedef {{ id: string, at: number, title: string, done: boolean }} Entry */

/** @returns {Entry[]} what is stored, without what is not ours */
function read() {
  try {
    const entries = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return entries.filter((entry) => /^[0-9a-f]{44}$/.test(entry?.id));
  } catch {
    return [];
  }
}

/** @param {Entry[]} entries */
function write(entries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(0, MOST)));
  } catch {
    // Private windows may refuse: the list then lasts as long as the page
  }
}

/**
 * @param {HTMLElement} element
 * @param {{ props: any, trigger: (event: string, data?: object) => void, watch: (prop: string, heard: () => void) => void }} options
 */
export function mount(element, { props, trigger, watch }) {
  let entries = read();

  const change = (next) => {
    entries = next;
    write(entries);
    draw();
  };

  // A run has begun: `detail` is the wall's spec, the newest result last.
  document.addEventListener("turnaround:made", ({ detail }) => {
    const id = String(detail).split(",").pop().split(".")[0];
    if (!/^[0-9a-f]{44}$/.test(id) || entries.some((entry) => entry.id === id)) return;
    change([{ id, at: Date.now(), title: "", done: false }, ...entries]);
  });
  document.addEventListener("turnaround:idle", () => void settle());
  window.addEventListener("storage", (event) => {
    if (event.key === KEY) {
      entries = read();
      draw();
    }
  });
  watch("value", () => {
    if (props.value?.forgotten) change(entries.filter((entry) => entry.id !== props.value.forgotten));
  });

  /** Runs that have ended get their title; those that came to nothing leave. */
  async function settle() {
    const open = entries.filter((entry) => !entry.done);
    const found = await Promise.all(open.map((entry) => titleOf(entry.id)));
    const titles = new Map(open.map((entry, i) => [entry.id, found[i]]));
    if (!open.length) return;
    change(
      entries.flatMap((entry) => {
        const title = titles.get(entry.id);
        if (entry.done || title === undefined) return [entry];
        return title === null ? [] : [{ ...entry, title, done: true }];
      }),
    );
  }

  function draw() {
    const heading = made("h2", { textContent: say("history.title") });
    const list = made("ul", {}, entries.map(card));
    const none = made("p", { className: "none", textContent: say("history.none") });
    element.replaceChildren(made("section", { className: "history" }, [heading, entries.length ? list : none]));
  }

  /** @param {Entry} entry */
  function card(entry) {
    const when = new Date(entry.at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
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
    if (entry.done) picture.src = new URL(`r/${entry.id}/thumb.webp`, document.baseURI).href;
    const forget = made("button", { type: "button", className: "forget", textContent: "×" });
    forget.setAttribute("aria-label", say("history.forget"));
    const item = made("li", {}, [open, forget]);
    forget.addEventListener("click", () => {
      if (forget.dataset.gone) change(entries.filter((each) => each.id !== entry.id));
      else ask(item, entry, forget);
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
