// 3D models, drawn from any camera exactly as pipelines/core/raster.py and shade.py draw them: colours as the photo has
// them, models without colours in one soft light for all. Depth and normals look as in pipelines/runtime/shown.py.

import { FOV_DEG, photoDistance, worldFromCamera } from "./camera.js";
import { aim, openGl, paint, sample } from "./gl.js";
import { say } from "./words.js";

export { onContext, webglMissing } from "./gl.js";

const MAX_BYTES = 200 * 2 ** 20; // MAX_FILE_BYTES of pipelines/core/mesh.py
const NEAR = 0.02; // world units, as in raster.py
const MODES = { color: 0, depth: 1, normals: 2, nearness: 3 };
const DEPTH_VIEWS = 12; // round the model, to find one depth range for all of its views
const DEPTH_PX = 128;
const DEPTH_OUTLIERS = 0.005; // as in shown.py

const VERTEX = /* glsl */ `
  in vec3 tone;
  out vec3 vNormal, vTone;
  out vec2 vUv;
  out float vDepth;
  void main() {
    vec4 seen = viewMatrix * modelMatrix * vec4(position, 1.0);
    gl_Position = projectionMatrix * seen;
    vDepth = -seen.z;
    vNormal = transpose(inverse(mat3(modelMatrix))) * normal;
    vTone = tone;
    vUv = uv;
  }
`;

// OpenCV's COLORMAP_MAGMA at even steps; between them it is straight to within 3 of 255.
const MAGMA = "000004 0a0822 1d1147 36106b 50127c 691c81 822681 9c2e7f b6367a cf4070 e65164 f46a5c fb8861 fea571 fec287 fde0a1 fcfdbf"
  .split(" ")
  .map((hex) => [0, 2, 4].map((i) => (parseInt(hex.slice(i, i + 2), 16) / 255).toFixed(4)).join(", "));

// The numbers of "soft" are those of shade.py: a bright room, more light from above, a wide lamp at the left.
const FRAGMENT = /* glsl */ `
  const vec3 LAMP = vec3(-0.45, 0.60, 0.66);
  const float DARKEST = 0.2, BRIGHTEST = 0.97; // of the depth's colours, as in shown.py
  const vec3 MAGMA[${MAGMA.length}] = vec3[](${MAGMA.map((rgb) => `vec3(${rgb})`).join(", ")});
  const float AMBIENT = 0.50, SKY = 0.15, DIFFUSE = 0.40, SRGB_GAMMA = 2.2;
  uniform sampler2D map;
  uniform bool hasMap, lit;
  uniform vec3 tint;
  uniform vec2 depthRange;
  uniform int mode;
  in vec3 vNormal, vTone;
  in vec2 vUv;
  in float vDepth;
  out vec4 colour;
  vec3 magma(float share) {
    float at = share * float(${MAGMA.length - 1});
    int k = min(int(at), ${MAGMA.length - 2});
    return mix(MAGMA[k], MAGMA[k + 1], at - float(k));
  }
  void main() {
    vec3 normal = normalize(vNormal) * (gl_FrontFacing ? 1.0 : -1.0);
    vec3 seen = (hasMap ? texture(map, vUv).rgb : vTone) * tint;
    if (lit) {
      float light = AMBIENT + SKY * (0.5 + 0.5 * normal.y) + DIFFUSE * max(dot(LAMP, normal), 0.0);
      seen *= pow(min(light, 1.0), 1.0 / SRGB_GAMMA);
    }
    float near = clamp((depthRange.y - vDepth) / (depthRange.y - depthRange.x), 0.0, 1.0);
    if (mode == 1) seen = magma(mix(DARKEST, BRIGHTEST, near));
    if (mode == 2) seen = 0.5 + 0.5 * (mat3(viewMatrix) * normal); // right is red, up green, towards us blue
    if (mode == 3) seen = vec3(near);
    colour = vec4(seen, 1.0);
  }
`;

/**
 * @typedef {object} Model
 * @property {(target: CanvasRenderingContext2D, view: import("./camera.js").View,
 *   look?: { mode?: "color" | "depth" | "normals", fill?: number, fovDeg?: number }) => boolean} draw
 *   Replaces what is on the canvas; the model's square frame lies in its middle, the background stays clear. False when
 *   nothing could be drawn (see `onContext`).
 * @property {() => void} dispose
 */

/**
 * Fetch a GLB and make it ready to be drawn. Rejects with a sentence for people.
 * @param {string} url relative to the page
 * @returns {Promise<Model>}
 */
export async function openMesh(url) {
  const data = await fetched(url);
  let gl;
  try {
    gl = await openGl();
  } catch (problem) {
    throw new Error(say("mesh.no_webgl"), { cause: problem });
  }
  let root;
  try {
    root = (await loader(gl.three).parseAsync(data, "")).scene;
    return dress(gl, root);
  } catch (problem) {
    if (root) discard(root);
    throw new Error(say("mesh.damaged"), { cause: problem });
  }
}

async function fetched(url) {
  let answer;
  try {
    answer = await fetch(new URL(url, document.baseURI));
  } catch (problem) {
    throw new Error(say("mesh.unreachable"), { cause: problem });
  }
  if (!answer.ok) throw new Error(say("mesh.gone"));
  if (Number(answer.headers.get("content-length")) > MAX_BYTES) throw new Error(say("mesh.too_large"));
  return answer.arrayBuffer();
}

/** A model brings everything with it: what it names elsewhere is not asked for. */
function loader(three) {
  const manager = new three.LoadingManager();
  manager.setURLModifier((url) => (/^(blob|data):/.test(url) ? url : "data:,"));
  return new three.GLTFLoader(manager);
}

/** Give every surface our one material. */
function dress(gl, root) {
  const { three, renderer } = gl;
  const scene = new three.Scene();
  const uniforms = { mode: { value: 0 }, depthRange: { value: [0, 1] } };
  const parts = [];
  root.traverse((part) => part.isMesh && parts.push(part));
  if (!parts.length) throw new Error("no triangles");
  for (const part of parts) {
    const given = part.material;
    const tones = tonesOf(three, part.geometry);
    if (!part.geometry.attributes.normal) part.geometry.computeVertexNormals();
    part.geometry.setAttribute("tone", tones ?? flatTone(three, part.geometry));
    if (given.map) {
      given.map.colorSpace = three.NoColorSpace; // its bytes as they are, as shade.py blends them
      given.map.anisotropy = Math.min(8, renderer.capabilities.getMaxAnisotropy());
      given.map.needsUpdate = true;
    }
    const tint = given.color.clone().convertLinearToSRGB();
    part.material = new three.ShaderMaterial({
      glslVersion: three.GLSL3,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      side: three.DoubleSide,
      uniforms: {
        ...uniforms, // one object for all parts
        map: { value: given.map ?? null },
        hasMap: { value: Boolean(given.map) },
        lit: { value: !given.isMeshBasicMaterial }, // KHR_materials_unlit
        tint: { value: [tint.r, tint.g, tint.b] },
      },
    });
    given.dispose();
  }
  scene.add(root);
  scene.updateMatrixWorld(true);
  const radius = reach(parts);
  const camera = new three.PerspectiveCamera();
  camera.matrixAutoUpdate = false;

  const place = (view, { fill, fovDeg }, aspect) => {
    const unit = photoDistance(fill, fovDeg);
    const away = unit * (view.distance ?? 1);
    aim(camera, worldFromCamera(view, unit), fovDeg, aspect);
    camera.near = Math.max(NEAR, away - radius);
    camera.far = away + radius;
    camera.updateProjectionMatrix();
    return away;
  };
  let range = null; // of depths, from the model's middle
  const draw = (target, view, { mode = "color", fill = 0.8, fovDeg = FOV_DEG } = {}) => {
    const lens = { fill, fovDeg };
    if (mode === "depth") range ??= depthRange(gl, scene, camera, uniforms, radius, (turned) => place(turned, lens, 1));
    const away = place(view, lens, target.canvas.width / target.canvas.height);
    uniforms.mode.value = MODES[mode];
    if (range) uniforms.depthRange.value = [away + range[0], away + range[1]];
    return paint(gl, target, scene, camera);
  };
  return { draw, dispose: () => discard(root) };
}

/** Nearest and farthest of what is seen from all round, as depths behind the model's middle. Null while it cannot be. */
function depthRange(gl, scene, camera, uniforms, radius, place) {
  const counts = new Uint32Array(256);
  uniforms.mode.value = MODES.nearness;
  for (let i = 0; i < DEPTH_VIEWS; i++) {
    const away = place({ azimuth_deg: (360 * i) / DEPTH_VIEWS, elevation_deg: 10 });
    uniforms.depthRange.value = [away - radius, away + radius];
    const pixels = sample(gl, scene, camera, DEPTH_PX);
    if (!pixels) return null;
    for (let k = 0; k < pixels.length; k += 4) if (pixels[k + 3] === 255) counts[pixels[k]] += 1;
  }
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return [-radius, radius];
  const level = (share) => {
    let [below, nearness] = [0, 0];
    while (nearness < 255 && (below += counts[nearness]) < share * all) nearness += 1;
    return radius * (1 - (2 * nearness) / 255);
  };
  const [near, far] = [level(1 - DEPTH_OUTLIERS), level(DEPTH_OUTLIERS)];
  return [near, Math.max(far, near + 1e-3)];
}

/** sRGB at the vertices, so that they blend as in shade.py; glTF's own vertex colours are linear. */
function tonesOf(three, geometry) {
  const { _srgb: own, color: linear } = geometry.attributes;
  const source = own ?? linear;
  if (!source) return null;
  const tones = new Float32Array(source.count * 3);
  const scale = own && !own.normalized ? 1 / 255 : 1;
  const curve = (light) => (light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055);
  for (let i = 0; i < source.count; i++) {
    for (let k = 0; k < 3; k++) {
      const value = source.getComponent(i, k) * scale;
      tones[3 * i + k] = own ? value : curve(value);
    }
  }
  return new three.BufferAttribute(tones, 3);
}

function flatTone(three, geometry) {
  return new three.BufferAttribute(new Float32Array(geometry.attributes.position.count * 3).fill(1), 3);
}

/** How far the model reaches from the origin. */
function reach(parts) {
  let farthest = 0;
  for (const part of parts) {
    part.geometry.computeBoundingSphere();
    const sphere = part.geometry.boundingSphere.clone().applyMatrix4(part.matrixWorld);
    farthest = Math.max(farthest, sphere.center.length() + sphere.radius);
  }
  return farthest * 1.01 + 0.01;
}

function discard(root) {
  root.traverse((part) => {
    part.geometry?.dispose();
    const map = part.material?.uniforms?.map.value ?? part.material?.map;
    map?.source?.data?.close?.();
    map?.dispose();
    part.material?.dispose();
  });
}
