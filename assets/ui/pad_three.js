// The draggable camera's scene in three.js.

import { aim, openGl, paint } from "./gl.js";
import { OBSERVER, STYLES } from "./pad_scene.js";

const FINER = 2; // drawn larger and made smaller: lines of one pixel stay smooth
const GHOST = 0.3; // what shines through the subject

/**
 * @param {CanvasRenderingContext2D} context
 * @returns {Promise<Function>} draws, and says whether it could
 */
export async function threePainter(context) {
  const gl = await openGl();
  const { three } = gl;
  const world = new three.Scene();
  const camera = new three.PerspectiveCamera();
  camera.matrixAutoUpdate = false;
  const parts = new Map(Object.entries(STYLES).map(([name, style], i) => [name, makeParts(three, world, style, i)]));
  const standing = new three.Mesh(
    new three.PlaneGeometry(1, 1),
    new three.MeshBasicMaterial({ transparent: true, premultipliedAlpha: true, alphaTest: 0.02, side: three.DoubleSide }),
  );
  standing.renderOrder = parts.size;
  world.add(standing);
  let shown = null;

  return (scene, colors, picture, ratio) => {
    for (const [name, style] of Object.entries(STYLES)) {
      for (const part of parts.get(name)) {
        part.geometry.dispose();
        part.geometry = style.width ? lineGeometry(three, scene.lines[name]) : fanGeometry(three, scene.surfaces[name]);
        const [red, green, blue] = colors[style.color];
        part.material.color.setRGB(red, green, blue);
        if (style.width) part.material.linewidth = style.width * ratio * FINER;
      }
    }
    if (picture !== shown) {
      standing.material.map?.dispose();
      standing.material.map = picture && texture(three, gl.renderer, standing.geometry, picture);
      standing.material.needsUpdate = true;
      shown = picture;
    }
    standing.visible = Boolean(picture);
    const { width, height, bottom } = scene.subject;
    standing.scale.set(width, height, 1);
    standing.position.set(0, bottom + height / 2, 0);
    const { canvas } = context;
    aim(camera, scene.observer.pose, OBSERVER.fov_deg, canvas.width / canvas.height);
    camera.near = scene.observer.away / 4;
    camera.far = scene.observer.away * 3;
    camera.updateProjectionMatrix();
    return paint(gl, context, world, camera, FINER);
  };
}

/** One object a style, and a second, faint one for what the subject hides. */
function makeParts(three, world, style, order) {
  const material = (more) => {
    if (style.width) return new three.LineMaterial(more);
    const seeThrough = style.opacity ? { transparent: true, opacity: style.opacity } : {};
    // The floor and the lens hide nothing.
    const depthWrite = style.color === "path";
    return new three.MeshBasicMaterial({ side: three.DoubleSide, depthWrite, ...seeThrough, ...more });
  };
  const make = (more, at) => {
    const part = style.width
      ? new three.LineSegments2(new three.LineSegmentsGeometry(), material(more))
      : new three.Mesh(new three.BufferGeometry(), material(more));
    part.frustumCulled = false;
    part.renderOrder = at;
    world.add(part);
    return part;
  };
  const faint = { transparent: true, opacity: GHOST, depthFunc: three.GreaterDepth, depthWrite: false };
  return style.ghost ? [make({}, order), make(faint, order + 100)] : [make({}, order)];
}

function lineGeometry(three, lines) {
  const pairs = lines.flatMap((line) => line.slice(1).flatMap((point, i) => [...line[i], ...point]));
  return new three.LineSegmentsGeometry().setPositions(pairs);
}

function fanGeometry(three, surfaces) {
  const corners = surfaces.flatMap((points) =>
    points.slice(2).flatMap((point, i) => [...points[0], ...points[i + 1], ...point]),
  );
  return new three.BufferGeometry().setAttribute("position", new three.BufferAttribute(new Float32Array(corners), 3));
}

/** The part of the picture that is not empty fills the plane. */
function texture(three, renderer, plane, { image, box, size }) {
  const made = new three.Texture(image);
  made.colorSpace = three.NoColorSpace;
  made.anisotropy = Math.min(8, renderer.capabilities.getMaxAnisotropy());
  made.needsUpdate = true;
  const [left, top, across, down] = box;
  const [u0, u1, v0, v1] = [left, left + across, size[1] - top, size[1] - top - down];
  const uvs = [u0, v0, u1, v0, u0, v1, u1, v1].map((value, i) => value / size[i % 2]);
  plane.setAttribute("uv", new three.BufferAttribute(new Float32Array(uvs), 2));
  return made;
}
