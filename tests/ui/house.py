"""The real page behind the real server, with two real methods and four for tests: `python -m tests.ui.house`.

Also: the photos that its tests upload.
"""

import io
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.registry import METHODS
from pipelines.runtime.memory import starting
from pipelines.runtime.method import Card, Report, Request, Turnaround
from pipelines.runtime.settings import read_settings
from tests.toy_methods import Blocked, Flat, Raises, Slow, a_card

ORANGE, BLUE = (226, 120, 30), (30, 80, 200)
CAMERA_NAME, FILE_NAME = "CanaryCam", "holiday-canary.jpg"
MARKUP = "<img src=x onerror='document.title=1'> {{7*7}} ${7*7} <script>document.title=2</script>"


class Rude(Flat):
    """Says things that a page must show and never run."""

    card: ClassVar[Card] = replace(a_card("rude"), citation=f"@misc{{{MARKUP}}}", licence=MARKUP)

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.1, MARKUP, request.subject.rgba)
        return replace(super()._run(request, report), notes=(MARKUP,))


def house_methods() -> tuple[Any, ...]:
    slow = Slow()
    slow.step_s = 0.5  # it has to last longer than a page takes to be reloaded on a busy machine
    # The first two stand for all: each more makes every page of every test slower to load
    return (*METHODS[:2], slow, Rude(), Raises(SystemExit("a method that exits")), Blocked())


def a_photo(colour: tuple[int, int, int] = ORANGE, *, turned: bool = False) -> bytes:
    """A ball with a blue band on paper, as a camera's JPEG: with place, camera and, if `turned`, stored on its side."""
    height, width = 480, 640
    y, x = np.mgrid[:height, :width]
    rgb: NDArray[np.float64] = np.stack([244 - 0.04 * x, 243 - 0.04 * y, 240 - 0.02 * x], axis=-1)
    ball = np.hypot(x - 330, y - 240) < 150
    rgb[ball] = colour
    rgb[ball & (abs(y - 260) < 22)] = BLUE
    image = Image.fromarray(rgb.astype(np.uint8))
    exif = Image.Exif()
    exif[271] = CAMERA_NAME
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 33.0), 3: "E", 4: (8.0, 32.0, 11.0)})
    if turned:
        image = image.rotate(90, expand=True)
        exif[274] = 6  # to be turned clockwise for viewing
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, exif=exif)
    return file.getvalue()


def main() -> None:
    starting()
    settings = read_settings()
    from ui.temp import claim_folder

    folder = claim_folder(settings)
    from ui.files import result_routes
    from ui.page import build_page, page_look
    from ui.server import Server, serve_until_told
    from ui.studio import open_studio

    studio = open_studio(settings, house_methods())
    serve_until_told(Server(build_page(studio), studio, folder, result_routes(studio)), **page_look())


if __name__ == "__main__":
    main()
