// The subject's cut-out for the draggable camera.

const PROBE_PX = 96; // a small copy tells where the picture is empty
const FAINT = 16; // of 255: what is fainter is empty

/**
 * The picture and the part of it that is not empty, whose longest side is 1 in the world. Null where it cannot be shown.
 * @param {string} address of this site, or a data URL
 */
export async function pictureOf(address) {
  try {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin && !/^(data:image\/|blob:)/.test(url.href)) return null;
    const image = new Image();
    image.src = url.href;
    await image.decode();
    const size = [image.naturalWidth, image.naturalHeight];
    const box = filled(image, size);
    const longest = Math.max(box[2], box[3]);
    return { image, size, box, subject: { width: box[2] / longest, height: box[3] / longest } };
  } catch {
    return null;
  }
}

/** Left, top, width and height in px of what is not empty. */
function filled(image, [width, height]) {
  const scale = Math.min(1, PROBE_PX / Math.max(width, height));
  const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const canvas = Object.assign(document.createElement("canvas"), { width: across, height: down });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, across, down);
  const { data } = context.getImageData(0, 0, across, down);
  let [left, right, top, bottom] = [across, -1, down, -1];
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      if (data[4 * (y * across + x) + 3] < FAINT) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  if (right < 0) return [0, 0, width, height];
  const [stepX, stepY] = [width / across, height / down];
  return [left * stepX, top * stepY, (right - left + 1) * stepX, (bottom - top + 1) * stepY];
}
