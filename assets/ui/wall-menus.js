// What can be taken away, shared and done again: for one tile, and for the whole wall.

import { ask, button, copyButton, made, menu } from "./wall-dom.js";
import { embedCode, ours, pageLink, wallFile } from "./wall-link.js";
import { date } from "./wall-about.js";
import { say } from "./words.js";

/** @param {import("./tile.js").Tile} tile */
export function takeMenu(tile) {
  return menu(say("wall.take"), () => [
    framePicture(tile),
    ...links(tile.tile.files),
    tile.tile.citation && copyButton(say("wall.copy_citation"), () => tile.tile.citation),
  ]);
}

/** @param {import("./tile.js").Tile} tile */
export function moreMenu(tile) {
  const { host, id, key } = tile;
  const more = menu(say("wall.more"), () => {
    const seed = host.nextSeed(tile);
    const does = (label, act) =>
      button(label, () => {
        more.close();
        more.opener.focus();
        act();
      });
    const remove = button(say("wall.delete"), async () => {
      remove.hidden = true;
      const words = { question: say("wall.delete_sure"), yes: say("wall.delete_yes"), no: say("wall.delete_no") };
      const sure = await ask(remove.parentElement, words);
      remove.hidden = false;
      remove.focus();
      if (!sure) return;
      more.close();
      document.dispatchEvent(new CustomEvent("turnaround:forget", { detail: id }));
      host.send("forget", { id });
    });
    return [
      does(say("wall.again"), () => host.again(tile, tile.tile.seed ?? null, more.busy)),
      Number.isInteger(tile.tile.seed) && does(say("wall.other_seed", { seed }), () => host.again(tile, seed, more.busy)),
      does(say("wall.adopt"), () => host.send("adopt", { id, key })),
      does(say("wall.render_view"), () => host.send("view", { ...host.camera.view })),
      does(say("wall.remove"), () => host.remove(tile)),
      host.isOwn(id) && remove,
    ];
  });
  return more;
}

/**
 * @param {{ results: () => any[], spec: () => string }} host
 */
export function takeAllMenu(host) {
  return menu(say("wall.take_all"), () => {
    const results = host.results();
    const files = results.flatMap((result) => [
      results.length > 1 && made("p", { className: "wall-from", textContent: origin(result) }),
      ...links(result.files),
    ]);
    const whole = (file, text) => made("a", { href: wallFile(file, host.spec()), download: "", textContent: text });
    return [
      results.length > 1 && made("p", { className: "wall-from", textContent: say("wall.together") }),
      results.length > 1 && whole("wall.zip", say("file.Everything (ZIP)")),
      whole("sheet.png", say("wall.sheet_png")),
      whole("sheet.pdf", say("wall.sheet_pdf")),
      ...files,
    ];
  });
}

/**
 * @param {{ camera: import("./wall-camera.js").SharedCamera, spec: () => string, taken: () => void }} host
 */
export function shareMenu(host) {
  return menu(say("wall.share"), () => [
    copyButton(say("wall.copy_link"), () => pageLink(host.spec()), host.taken),
    copyButton(say("wall.copy_moment"), () => pageLink(host.spec(), host.camera.view), host.taken),
    copyButton(say("wall.copy_embed"), () => embedCode(host.spec(), host.camera.view), host.taken),
  ]);
}

/** Which result it is, to people: its methods and when it was made. */
function origin(result) {
  const titles = result.tiles.map((tile) => tile.title).join(", ");
  return [titles, date(result.created_utc)].filter(Boolean).join(" · ");
}

function links(files) {
  return (Array.isArray(files) ? files : []).flatMap(({ label, url }) => {
    const href = ours(url);
    const key = `file.${label}`;
    const name = say(key);
    return href ? [made("a", { href, download: "", textContent: name === key ? String(label) : name })] : [];
  });
}

/** The picture that the tile shows at this moment: the file itself, or, of what is drawn here, the drawing. */
function framePicture(tile) {
  const link = made("a", { href: "#", download: "", textContent: say("wall.this_view") });
  const stage = tile.stage;
  const point = () => {
    const { view } = tile.host.camera;
    const found = stage.shown(view);
    const file = found && stage.mode === "picture" && found.index >= 0 && ours(tile.tile.frames[found.index].png);
    if (file) {
      link.href = `${file}?download`;
      return true;
    }
    return false;
  };
  point();
  link.addEventListener("click", (event) => {
    if (point()) return;
    event.preventDefault();
    const { view } = tile.host.camera;
    const size = tile.tile.size_px || 576;
    const canvas = made("canvas", { width: size, height: size });
    stage.draw(canvas.getContext("2d"), view);
    const shown = stage.shown(view)?.view ?? view;
    canvas.toBlob((blob) => {
      if (!blob) return;
      const name = `${tile.key}-${stage.mode}-az${Math.round(shown.azimuth_deg)}-el${Math.round(shown.elevation_deg)}.png`;
      const saved = made("a", { href: URL.createObjectURL(blob), download: name });
      saved.click();
      setTimeout(() => URL.revokeObjectURL(saved.href), 10_000);
    });
  });
  return link;
}
