// Where the chosen camera stands, in words.

import { chosenView, viewsOf } from "./pad_scene.js";
import { say } from "./words.js";

const SIDES = ["front", "front_right", "right", "back_right", "back", "back_left", "left", "front_left"];
const LEVEL_DEG = 5; // lower is neither from above nor from below

/**
 * @param {import("./pad_scene.js").PadValue} value
 * @returns {{ brief: string, spoken: string }} for the line below the pad, and for screen readers
 */
export function inWords(value) {
  const { kind, count, azimuth, elevation, distance } = value;
  const views = viewsOf(value);
  const heights = views.map((view) => Math.round(view.elevation_deg));
  const here = Math.round(chosenView(value).elevation_deg);
  const height = here > LEVEL_DEG ? "above" : here < -LEVEL_DEG ? "below" : "level";
  const numbers = {
    azimuth,
    elevation: here,
    distance: Number(distance.toFixed(2)),
    count,
    low: Math.min(...heights),
    high: Math.max(...heights),
    side: say(`pad.side.${SIDES[Math.round((azimuth + 360) / 45) % 8]}`),
    height: say(`pad.height.${height}`),
  };
  const name = views.length ? kind.replace(" ", "_") : "to_draw";
  const brief = say(`pad.readout.${name}`, numbers).replaceAll("-", "\u2212");
  const spoken = say("pad.said", numbers);
  return { brief, spoken: kind === "one view" ? spoken : `${brief}. ${spoken}` };
}
