"""Render the example photos. Needs Blender as a module, which the app never does:

python -m venv blender && blender/bin/pip install "bpy==4.5.*" pillow && blender/bin/python tools/make_examples
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import objects
import studio
from PIL import Image

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Shot:
    file: str
    azimuth_deg: float
    elevation_deg: float
    paper: str | None = None
    """Colour of the studio paper; `None` makes a cut-out."""


SHOTS = {
    "robot": Shot("1-robot.jpg", 18, 10, "#dfe3e6"),
    "duck": Shot("2-duck.jpg", 28, 12, "#bcd3d6"),
    "cactus": Shot("3-cactus.webp", 0, 12),
    "rocket": Shot("4-rocket.webp", 0, 8),
    "teapot": Shot("5-teapot.jpg", 12, 14, "#d8cbb8"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which to render; all when none is named: {', '.join(SHOTS)}")
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument("--size", type=int, default=768, help="side in pixels")
    parser.add_argument("--samples", type=int, default=40, help="light paths per pixel, before denoising")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or SHOTS:
        shot = SHOTS[name]
        studio.empty()
        getattr(objects, name)()
        with tempfile.TemporaryDirectory() as folder:
            rendered = Path(folder) / "shot.png"
            studio.photograph(
                rendered,
                azimuth_deg=shot.azimuth_deg,
                elevation_deg=shot.elevation_deg,
                paper=shot.paper,
                size_px=asked.size,
                samples=asked.samples,
            )
            with Image.open(rendered) as photo:
                # A fresh image carries no metadata: Blender writes the date and the host's paths into its files.
                clean = Image.frombytes(photo.mode, photo.size, photo.tobytes())
        clean.save(asked.out / shot.file, quality=90, method=6)
        print(f"{asked.out / shot.file}: {(asked.out / shot.file).stat().st_size / 1024:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
