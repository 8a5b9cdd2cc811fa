// The brushes of the mask editor, and the way of its strokes to the server.
//
// Gradio's editor sends the photo, the strokes, and both together with every stroke, into a store without bounds. None of
// that leaves the browser: the layer with the strokes, some 10 kB, goes as an ordinary upload instead.

import { say } from "./words.js";

const COLOURS = ["remove", "add"]; // in the order of the editor's own palette (ui/mask_editor.py)
const TOOLS = ["add", "remove", "erase"];
const SIZES_PX = { min: 4, max: 96, at: 28 }; // of the canvas

/** @type {((strokes: File) => void) | null} who is told of the next layer: whoever was touched last */
let painter = null;

const send = window.fetch;
window.fetch = function (address, options) {
  const form = options?.body;
  if (!(form instanceof FormData) || form.get("fn_name") !== "accept_blobs") return send.apply(this, arguments);
  if (form.get("type") === "layer") painter?.(/** @type {File} */ (form.get("file")));
  return Promise.resolve(new Response("null", { headers: { "Content-Type": "application/json" } }));
};

/**
 * @param {HTMLElement} element where the brushes go; the editor is somewhere beside it
 * @param {{ trigger: (event: string, data: object) => void, upload: (file: File) => Promise<{ path: string }> }} gradio
 */
export async function mount(element, { trigger, upload }) {
  const status = line("p", "status");
  if (!hasWebGL()) {
    element.classList.add("without"); // Gradio leaves an empty box then
    status.textContent = say("mask.no_webgl");
    element.append(status);
    return;
  }
  element.append(brushes(), status);
  const scope = await grown(element, ".toolbar-wrap .half-container > button");
  const bar = scope.querySelector(".toolbar-wrap");
  listen(scope, sender(element, trigger, upload));
  drive(element, bar);
}

/** Only what follows a visitor's own touch is theirs: the editor also speaks when a photo is put into it. */
function listen(scope, painted) {
  let touched = false;
  const touch = () => {
    touched = true;
    painter = (strokes) => {
      if (touched) painted(strokes);
      touched = false;
    };
  };
  const area = scope.querySelector(".image-container");
  for (const event of ["pointerdown", "pointerup", "keydown", "click"]) area.addEventListener(event, touch, true);
  for (const event of ["dragover", "drop", "paste"]) {
    area.addEventListener(event, (given) => given.stopPropagation(), true); // it would take the photo's place
  }
}

/** The newest strokes are what counts: those that were painted while others are on their way replace one another. */
function sender(element, trigger, upload) {
  const status = element.querySelector(".status");
  let newest = null;
  let busy = false;
  return async (strokes) => {
    newest = strokes;
    if (busy) return;
    busy = true;
    while (newest) {
      const file = newest;
      newest = null;
      try {
        const { path } = await upload(new File([file], "painted.png", { type: "image/png" }));
        status.textContent = "";
        trigger("painted", { strokes: { path, meta: { _type: "gradio.FileData" } } });
      } catch {
        status.textContent = say("mask.not_sent");
      }
    }
    busy = false;
  };
}

// --- The brushes: buttons of ours that press the editor's own, which hide the two colours behind a third ---------------

function brushes() {
  const row = line("div", "tools");
  const choice = line("div", "choice");
  choice.setAttribute("role", "group");
  choice.setAttribute("aria-label", say("mask.brush"));
  for (const tool of TOOLS) {
    const button = line("button", tool);
    button.type = "button";
    button.textContent = say(`mask.${tool}`);
    button.title = say(`mask.${tool}_title`);
    choice.append(button);
  }
  const size = line("label", "size");
  const range = line("input", "");
  Object.assign(range, { type: "range", min: SIZES_PX.min, max: SIZES_PX.max, value: SIZES_PX.at });
  size.append(say("mask.size"), range);
  row.append(choice, size);
  return row;
}

function drive(element, bar) {
  const own = Object.fromEntries(TOOLS.map((tool) => [tool, element.querySelector(`.${tool}`)]));
  const range = element.querySelector("input");
  const theirs = (half) => [...bar.querySelectorAll(`.half-container${half} > button`)];

  const choose = async (tool) => {
    const [brush, eraser] = theirs(":not(.right)");
    (tool === "erase" ? eraser : brush).click();
    await frame();
    if (tool !== "erase") await pick(COLOURS.indexOf(tool));
    await resize();
    show();
  };
  const pick = async (index) => {
    const [palette] = theirs(".right");
    if (!bar.querySelector(".swatch")) palette.click();
    await frame();
    bar.querySelectorAll(".swatch button")[index]?.click();
    await frame();
    if (bar.querySelector(".swatch")) palette.click();
    await frame();
  };
  const resize = async () => {
    const button = theirs(".right").at(-1);
    const theirRange = () => bar.querySelector(".half-container.right input[type=range]");
    if (!theirRange()) button?.click();
    await frame();
    if (theirRange()) {
      theirRange().value = range.value;
      theirRange().dispatchEvent(new Event("input", { bubbles: true }));
      element.dataset.size = range.value;
    }
    await frame();
    if (theirRange()) button?.click();
  };
  /** What is pressed is read from the editor itself, which chooses anew when it gets another photo. */
  const show = () => {
    const erases = theirs(":not(.right)")[1]?.classList.contains("highlight");
    const colour = theirs(".right")[0]?.style.color;
    for (const tool of TOOLS) {
      const pressed = erases ? tool === "erase" : getComputedStyle(own[tool]).getPropertyValue("--paint").trim() === colour;
      own[tool].setAttribute("aria-pressed", String(pressed));
    }
  };

  for (const tool of TOOLS) own[tool].addEventListener("click", () => void choose(tool));
  range.addEventListener("change", () => void resize());
  new MutationObserver(show).observe(bar, { subtree: true, attributes: true, childList: true });
  element.classList.add("driving"); // from here on the editor's own tool bar need not be seen
  void resize().then(show);
}

// --- Small things ------------------------------------------------------------------------------------------------------

function line(tag, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  return made;
}

function frame() {
  return new Promise((then) => requestAnimationFrame(() => setTimeout(then)));
}

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
}

/** The nearest ancestor of the element that holds the wanted one, as soon as there is one. */
function grown(element, wanted) {
  const found = () => {
    let scope = element.parentElement;
    while (scope && scope !== document.body && !scope.querySelector(wanted)) scope = scope.parentElement;
    return scope === document.body ? null : scope;
  };
  return new Promise((then) => {
    const look = () => {
      const scope = found();
      if (scope) {
        watcher.disconnect();
        then(scope);
      }
    };
    const watcher = new MutationObserver(look);
    watcher.observe(document.body, { childList: true, subtree: true });
    look();
  });
}
