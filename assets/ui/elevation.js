// The side view that shows what a photo's elevation means, following the slider.

import { say } from "./words.js";

const CENTRE = { x: 86, y: 66 }; // of ui/elevation.py's drawing
const WEDGE = 34;

/**
 * @param {SVGElement} picture
 * @param {{ props: { value: number }, watch: (prop: string, heard: () => void) => void }} gradio
 */
export function mount(picture, { props, watch }) {
  const show = () => draw(picture, Math.max(-90, Math.min(90, Number(props.value) || 0)));
  watch("value", show);
  show();
}

function draw(picture, elevation) {
  const degrees = `${Math.round(elevation)}°`.replace("-", "−");
  picture.querySelector(".camera").setAttribute("transform", `rotate(${elevation} ${CENTRE.x} ${CENTRE.y})`);
  picture.querySelector(".wedge").setAttribute("d", wedge(elevation));
  const number = picture.querySelector("text");
  number.textContent = degrees;
  number.setAttribute("y", elevation < 0 ? "16" : "124"); // in the corner where the camera is not
  const where = Math.round(elevation) === 0 ? "level" : elevation > 0 ? "above" : "below";
  picture.setAttribute("aria-label", say(`elevation.${where}`, { degrees: `${Math.abs(Math.round(elevation))}°` }));
}

function wedge(elevation) {
  const angle = (elevation * Math.PI) / 180;
  const end = `${CENTRE.x - WEDGE * Math.cos(angle)} ${CENTRE.y - WEDGE * Math.sin(angle)}`;
  return `M${CENTRE.x} ${CENTRE.y}H${CENTRE.x - WEDGE}A${WEDGE} ${WEDGE} 0 0 ${elevation > 0 ? 1 : 0} ${end}Z`;
}
