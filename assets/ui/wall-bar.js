// The bar above the tiles: turning, the angle, what all tiles show, wiping, sharing, taking away.

import { button, icon, made, angles, segments, spokenAngles } from "./wall-dom.js";
import { shareMenu, takeAllMenu } from "./wall-menus.js";
import { MODES } from "./wall-stage.js";
import { say } from "./words.js";

/**
 * @param {any} host what the wall does for its parts (wall.js)
 */
export function bar(host) {
  const { camera } = host;
  const play = made("button", { type: "button", className: "wall-play" });
  const azimuth = slider(say("wall.azimuth"), -180, 180);
  const elevation = slider(say("wall.elevation_at"), -90, 90);
  const readout = made("output", { className: "wall-readout", title: say("wall.readout") });
  const modes = segments(say("wall.mode"), host.setMode);
  const wipe = button(say("wall.wipe"), () => host.wipe(wipe), { className: "wall-plain", "aria-expanded": "false" });
  const turning = made("div", { className: "wall-turning" }, [
    play,
    slide("wall.azimuth", azimuth),
    readout,
    slide("wall.elevation_at", elevation, "wall-height"),
  ]);
  const share = shareMenu(host);
  const takeAll = takeAllMenu(host);
  const actions = [modes.element, wipe, !host.readOnly && share.element, takeAll.element];
  const element = made("div", { className: "wall-bar", role: "group", "aria-label": say("wall.controls") }, [
    turning,
    made("div", { className: "wall-actions" }, actions.filter(Boolean)),
  ]);

  play.addEventListener("click", host.toggle);
  for (const [input, angle] of [
    [azimuth, "azimuth_deg"],
    [elevation, "elevation_deg"],
  ]) {
    input.addEventListener("input", () => {
      camera.pause();
      camera.set({ [angle]: Number(input.value) });
    });
    input.addEventListener("change", () => host.settle());
  }

  let shown = "";
  camera.onPaint((view) => {
    const distance = Math.abs(view.distance - 1) > 0.005 ? ` · ${view.distance.toFixed(2)}×` : "";
    const text = `${angles(view)}${distance}`;
    if (text !== shown) {
      shown = text;
      readout.textContent = text;
      azimuth.value = String(view.azimuth_deg);
      elevation.value = String(view.elevation_deg);
    }
    if (camera.moving) return;
    const spoken = spokenAngles(view);
    for (const input of [azimuth, elevation]) {
      if (input.getAttribute("aria-valuetext") !== spoken) input.setAttribute("aria-valuetext", spoken);
    }
  });
  const showPlay = () => {
    const label = say(camera.playing ? "wall.pause" : "wall.play");
    play.replaceChildren(icon(camera.playing ? "pause" : "play"));
    play.title = label;
    play.setAttribute("aria-label", label);
  };
  camera.onPlay(showPlay);
  showPlay();

  return {
    element,
    share,
    wipe,
    /**
     * @param {{ any: boolean, linkable: boolean, turnable: boolean, tiltable: boolean, mode: string,
     *   offered: Set<string> }} state `any`: there is a turnaround; `linkable`: or one is being made
     */
    show({ any, linkable, turnable, tiltable, mode, offered }) {
      element.hidden = !any && !linkable;
      turning.hidden = !turnable;
      elevation.parentElement.hidden = !tiltable;
      wipe.hidden = takeAll.element.hidden = !any;
      modes.element.hidden = offered.size < 2;
      const choices = MODES.filter((each) => offered.has(each)).map((value) => ({ value, text: say(`wall.${value}`) }));
      modes.show(choices, mode);
    },
  };
}

function slide(key, input, name = "") {
  return made("label", { className: `wall-slide ${name}` }, [made("span", { textContent: say(key) }), input]);
}

function slider(label, min, max) {
  return made("input", { type: "range", min, max, step: "any", value: 0, "aria-label": label });
}
