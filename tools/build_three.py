"""Build assets/ui/three.js: what we use of three.js, as one file, from npm. The only built file of the project.

    python tools/build_three.py            builds it anew (needs node, npm and the npm registry)
    python tools/build_three.py --check    builds it elsewhere and says whether it is the one that is there

Everything is pinned, so the same bytes come out everywhere.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

THREE = "0.187.0"
ESBUILD = "0.28.2"
ASSETS = Path(__file__).resolve().parent.parent / "assets" / "ui"
BUNDLE, LICENCE = ASSETS / "three.js", ASSETS / "three.LICENSE.txt"

# The renderer is nearly all of it: another class costs little.
ENTRY = """
export {
  BufferAttribute, BufferGeometry, DoubleSide, GLSL3, GreaterDepth, LinearSRGBColorSpace, LoadingManager, Mesh,
  MeshBasicMaterial, NoColorSpace, PerspectiveCamera, PlaneGeometry, Scene, ShaderMaterial, Texture, WebGLRenderer
} from "three";
export { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
export { LineMaterial } from "three/addons/lines/LineMaterial.js";
export { LineSegments2 } from "three/addons/lines/LineSegments2.js";
export { LineSegmentsGeometry } from "three/addons/lines/LineSegmentsGeometry.js";
"""
BANNER = (
    f"// three.js {THREE}, MIT licence (three.LICENSE.txt), bundled by tools/build_three.py with esbuild {ESBUILD}."
)
HOW = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none", f"--banner:js={BANNER}"]


def build(workshop: Path) -> tuple[str, str]:
    """The bundle and the licence of what is in it."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to build three.js, and was not found. Install Node.js from https://nodejs.org")
    (workshop / "package.json").write_text('{"private": true}')
    (workshop / "entry.js").write_text(ENTRY)
    packages = [f"three@{THREE}", f"esbuild@{ESBUILD}"]
    _run(workshop, npm, "install", "--save-exact", "--no-audit", "--no-fund", "--loglevel=error", *packages)
    _run(workshop, npm, "exec", "--no", "--", "esbuild", "entry.js", "--outfile=three.js", "--log-level=warning", *HOW)
    return (workshop / "three.js").read_text(), (workshop / "node_modules" / "three" / "LICENSE").read_text()


def _run(folder: Path, *command: str) -> None:
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise SystemExit(f"This failed; its own words stand above: {' '.join(command[:3])} ...")


def main() -> None:
    with tempfile.TemporaryDirectory() as workshop:
        bundle, licence = build(Path(workshop))
    if "--check" in sys.argv[1:]:
        if bundle != BUNDLE.read_text() or licence != LICENCE.read_text():
            raise SystemExit(f"{BUNDLE} is not what this script builds. Run it without --check.")
        print(f"{BUNDLE} is what this script builds.")
        return
    BUNDLE.write_text(bundle)
    LICENCE.write_text(licence)
    print(f"{BUNDLE}: {len(bundle) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
