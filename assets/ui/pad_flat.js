// The draggable camera's scene on a plain 2D canvas. The one thing that hides others is the subject, which stands in the
// plane z = 0 with the observer before it: what lies behind is painted first.

import { project, STYLES } from "./pad_scene.js";

const GHOST = 0.3;
const POINTS = { 0: [-0.5, 1], 1: [0.5, 1], 2: [-0.5, 0] }; // of the picture: top left, top right, bottom left

/**
 * @param {CanvasRenderingContext2D} context in css px
 * @param {ReturnType<typeof import("./pad_scene.js").padScene>} scene
 * @param {Record<string, string>} colors
 * @param {{ image: CanvasImageSource, box: number[] } | null} picture
 */
export function paintFlat(context, scene, colors, picture, width, height) {
  const place = (point) => project(scene.observer, point, width, height);
  context.clearRect(0, 0, width, height);
  context.lineJoin = context.lineCap = "round";
  const pieces = (behind) => {
    for (const [name, style] of Object.entries(STYLES)) paintStyle(context, scene, name, style, colors, place, behind);
  };
  pieces(true);
  if (picture) paintPicture(context, scene.subject, picture, place);
  context.globalAlpha = GHOST;
  for (const [name, style] of Object.entries(STYLES)) {
    if (style.ghost) paintStyle(context, scene, name, style, colors, place, true);
  }
  context.globalAlpha = 1;
  pieces(false);
}

function paintStyle(context, scene, name, style, colors, place, behind) {
  const wanted = (points) => points.reduce((sum, point) => sum + point[2], 0) < 0 === behind;
  context.strokeStyle = context.fillStyle = colors[style.color];
  const before = context.globalAlpha;
  if (style.width) {
    context.lineWidth = style.width;
    context.beginPath();
    for (const line of scene.lines[name]) {
      for (let i = 1; i < line.length; i++) {
        if (!wanted([line[i - 1], line[i]])) continue;
        context.moveTo(...place(line[i - 1]));
        context.lineTo(...place(line[i]));
      }
    }
    context.stroke();
  } else {
    const flat = name === "ground" || name === "shade"; // on the floor, which hides nothing and is painted first
    context.globalAlpha = style.opacity ?? 1;
    for (const surface of scene.surfaces[name]) {
      if (flat ? !behind : !wanted(surface)) continue;
      context.beginPath();
      for (const point of surface) context.lineTo(...place(point));
      context.fill();
    }
  }
  context.globalAlpha = before;
}

function paintPicture(context, subject, { image, box }, place) {
  const [left, top, across, down] = box;
  const [origin, right, below] = Object.values(POINTS).map(([x, y]) =>
    place([x * subject.width, subject.bottom + y * subject.height, 0]),
  );
  context.save();
  context.transform(
    (right[0] - origin[0]) / across,
    (right[1] - origin[1]) / across,
    (below[0] - origin[0]) / down,
    (below[1] - origin[1]) / down,
    ...origin,
  );
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, across, down, 0, 0, across, down);
  context.restore();
}
