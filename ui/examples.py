"""The example photos a visitor starts from with one tap. Authors and licences: assets/examples/SOURCES.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from ui.words import T, words

FOLDER = Path(__file__).parent.parent / "assets" / "examples"
SMALL_PX = 128  # twice what it is shown at
_PHOTOS = {".png", ".jpg", ".jpeg", ".webp"}
_ELEVATIONS_DEG = {"robot": 10, "duck": 12, "cactus": 12, "rocket": 8, "teapot": 14, "coffee": 40}  # SOURCES.md


@dataclass(frozen=True)
class Example:
    path: Path

    @property
    def title(self) -> str:
        """`1-toy-car.png` is the first, and is called "Toy car"."""
        return self._name.replace("-", " ").replace("_", " ").capitalize()

    @property
    def label(self) -> Any:
        """The title in the visitor's language, where it is one of ours."""
        key = f"example.{self._name}"
        return T(key) if key in words()["en"] else self.title

    @property
    def elevation_deg(self) -> float:
        """From how high it was taken."""
        return _ELEVATIONS_DEG.get(self._name, 0)

    def small(self, folder: Path) -> Path:
        """The photo for a button, made in this folder: all of them together are smaller than one photo."""
        place = folder / f"{self._name}.webp"
        with Image.open(self.path) as photo:
            photo.draft("RGB", (2 * SMALL_PX, 2 * SMALL_PX))  # of a JPEG, so much need not be decoded
            ImageOps.fit(photo.convert("RGB"), (SMALL_PX, SMALL_PX)).save(place, quality=80)
        return place

    @property
    def _name(self) -> str:
        return self.path.stem.lstrip("0123456789-_ ")


EXAMPLES = tuple(Example(path) for path in sorted(FOLDER.iterdir()) if path.suffix.lower() in _PHOTOS)
