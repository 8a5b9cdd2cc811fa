// Elements, icons, menus and copying: what every part of the wall is drawn with. Texts only ever become text.

import { say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  close: "M6.3 5 12 10.7 17.7 5 19 6.3 13.3 12l5.7 5.7-1.3 1.3-5.7-5.7L6.3 19 5 17.7l5.7-5.7L5 6.3z",
  swap: "M8 5 3.5 9.5 8 14v-3.4h7V8.4H8zM16 10v3.4H9v2.2h7V19l4.5-4.5z",
  grip: "M9.5 6 3.5 12l6 6zM14.5 6l6 6-6 6z",
  large: "M4 4h7v2.2H7.8l4 4-1.6 1.6-4-4V11H4zM20 20h-7v-2.2h3.2l-4-4 1.6-1.6 4 4V13H20z",
  down: "M5.6 8.6 12 15l6.4-6.4 1.5 1.5L12 18l-7.9-7.9z",
};

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] as the element has them; with a dash, as attributes
 * @param {(Node | string | null | false | undefined)[]} [children]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function made(tag, properties = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, String(value));
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** @param {keyof typeof ICONS} name @returns {SVGElement} */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  picture.append(path);
  return picture;
}

/**
 * @param {string} text
 * @param {() => void} pressed
 * @param {Record<string, any>} [properties]
 */
export function button(text, pressed, properties = {}) {
  const element = made("button", { type: "button", textContent: text, ...properties });
  element.addEventListener("click", pressed);
  return element;
}

/** @param {keyof typeof ICONS} name @param {string} label @param {() => void} pressed */
export function iconButton(name, label, pressed) {
  const element = made("button", { type: "button", className: "wall-icon", title: label, "aria-label": label }, [
    icon(name),
  ]);
  element.addEventListener("click", pressed);
  return element;
}

/**
 * One of several, side by side.
 * @param {string} label
 * @param {(value: string) => void} chosen
 */
export function segments(label, chosen) {
  const element = made("div", { className: "wall-segments", role: "group", "aria-label": label });
  return {
    element,
    /** @param {{ value: string, text: string, title?: string }[]} choices @param {string | null} current */
    show(choices, current) {
      const same =
        element.children.length === choices.length &&
        choices.every((choice, i) => element.children[i].dataset.value === choice.value);
      if (!same) {
        element.replaceChildren(
          ...choices.map((choice) => {
            const each = button(choice.text, () => chosen(choice.value));
            each.dataset.value = choice.value;
            return each;
          }),
        );
      }
      choices.forEach((choice, i) => {
        const each = element.children[i];
        each.title = choice.title ?? "";
        each.setAttribute("aria-pressed", String(choice.value === current));
      });
    },
  };
}

/**
 * A button that opens a panel: closes by Escape, by a tap elsewhere, and when the focus leaves it.
 * @param {string} text
 * @param {() => (Node | null | false)[]} fill what the panel holds, asked anew each time it opens
 */
export function menu(text, fill) {
  const label = made("span", { textContent: text });
  const opener = made("button", { type: "button", className: "wall-opener", "aria-expanded": "false" }, [
    label,
    icon("down"),
  ]);
  const panel = made("div", { className: "wall-panel", role: "group", "aria-label": text, hidden: true });
  const element = made("div", { className: "wall-menu" }, [opener, panel]);

  const outside = (event) => {
    if (!element.contains(event.target)) close();
  };
  const open = () => {
    panel.replaceChildren(...fill().filter(Boolean));
    panel.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    keepInside(panel, opener, element.closest(".wall"));
    document.addEventListener("pointerdown", outside, true);
  };
  const close = () => {
    panel.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
  };
  opener.addEventListener("click", () => (panel.hidden ? open() : close()));
  element.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !element.contains(event.relatedTarget)) close();
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation();
    close();
    opener.focus();
  });
  /** What was pressed is on its way. @param {string | null} doing in words; null: no more */
  const busy = (doing) => {
    opener.disabled = doing !== null;
    label.textContent = doing ?? text;
  };
  return { element, opener, open, close, busy };
}

/**
 * What is about to change in an element moves what lies below it. Browsers keep that where it is and move the element,
 * which may be just what somebody looks at.
 * @param {Element} element
 */
export function keepTop(element) {
  const { top } = element.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight) return;
  const { style } = document.documentElement;
  style.overflowAnchor = "none";
  requestAnimationFrame(() => requestAnimationFrame(() => (style.overflowAnchor = "")));
}

/** Where the page lets an element be seen. */
function paneOf(element) {
  for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
    if (getComputedStyle(box).overflowY !== "visible" && box.clientHeight) return box.getBoundingClientRect();
  }
  return { top: 0, bottom: window.innerHeight };
}

const MARGIN_PX = 8; // between a panel and the edge of what is seen

/** A panel that would stick out of the wall is moved back in; it opens to where there is room, and scrolls for more. */
function keepInside(panel, opener, frame) {
  Object.assign(panel.style, { translate: "none", maxHeight: "none" });
  panel.classList.remove("upward");
  if (!frame) return;
  const [inner, outer, button] = [panel, frame, opener].map((each) => each.getBoundingClientRect());
  const shift = Math.min(0, outer.right - inner.right) || Math.max(0, outer.left - inner.left);
  if (shift) panel.style.translate = `${Math.round(shift)}px 0`;
  const covered = parseFloat(getComputedStyle(panel).scrollMarginBottom) || 0; // the page may have a bar down there
  const gap = inner.top - button.bottom + MARGIN_PX;
  const pane = paneOf(frame); // what is above the wall may hide it as well
  const below = Math.min(window.innerHeight - covered, pane.bottom) - button.bottom - gap;
  const above = button.top - Math.max(0, pane.top, outer.top) - gap;
  const upward = inner.height > below && above > below;
  panel.classList.toggle("upward", upward);
  panel.style.maxHeight = `${Math.floor(upward ? above : below)}px`;
}

/**
 * A question in the page, where the answer counts. Resolves with the answer; Escape and a lost focus are a no.
 * @param {Element} place what it is put into
 * @param {{ question: string, yes: string, no: string }} words
 * @returns {Promise<boolean>}
 */
export function ask(place, { question, yes, no }) {
  return new Promise((resolve) => {
    const answer = (value) => {
      box.remove();
      resolve(value);
    };
    const keep = button(no, () => answer(false));
    const box = made("div", { className: "wall-question", role: "group", "aria-label": question }, [
      made("p", { textContent: question }),
      made("div", { className: "wall-answers" }, [button(yes, () => answer(true), { className: "wall-grave" }), keep]),
    ]);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      answer(false);
    });
    place.append(box);
    keep.focus();
  });
}

/**
 * A button that copies. Where the browser keeps the clipboard from us (pages without https), the text is shown,
 * selected, to be copied by hand.
 * @param {string} label
 * @param {() => string} text
 * @param {() => void} [taken] it was copied or shown
 */
export function copyButton(label, text, taken = () => {}) {
  const element = button(label, async () => {
    const value = text();
    taken();
    try {
      await navigator.clipboard.writeText(value);
      element.textContent = say("wall.copied");
      setTimeout(() => (element.textContent = label), 2000);
    } catch {
      const field = made("textarea", { value, readOnly: true, rows: 3, "aria-label": label });
      if (element.nextElementSibling?.tagName === "TEXTAREA") element.nextElementSibling.remove();
      element.after(field);
      field.focus();
      field.select();
    }
  });
  return element;
}

/** @param {number} seconds @param {boolean} [measured] and not only estimated @returns {string} */
export function duration(seconds, measured = false) {
  const number = (value, digits) =>
    value.toLocaleString(undefined, { maximumFractionDigits: digits, minimumFractionDigits: digits });
  if (seconds < 10) return say("wall.seconds", { n: number(seconds, 1) });
  if (seconds < 90) return say("wall.seconds", { n: number(seconds, 0) });
  if (!measured || seconds > 600) return say("wall.minutes", { n: number(seconds / 60, 0) });
  const whole = Math.round(seconds);
  return say("wall.minutes_seconds", { n: number(Math.floor(whole / 60), 0), s: number(whole % 60, 0) });
}

/** @param {{ azimuth_deg: number, elevation_deg: number }} view @returns {string} */
export function angles(view) {
  return `${rounded(view.azimuth_deg)}° / ${rounded(view.elevation_deg)}°`;
}

/** The same for ears. @param {{ azimuth_deg: number, elevation_deg: number }} view */
export function spokenAngles(view) {
  return say("wall.view", { az: rounded(view.azimuth_deg), el: rounded(view.elevation_deg) });
}

function rounded(degrees) {
  const whole = Math.round(degrees);
  return String(whole === -180 ? 180 : whole + 0);
}
