"""The pictures the wall shows: small enough to turn smoothly on a phone. What is to be measured or kept is in the PNGs.

- `view_000.webp`: the frame, at its own size.
- `depth_000.webp`: near is bright, far is dark, one range for the whole turnaround, so that a turning object does not
  flicker.
- `normals_000.webp`: in the axes of each frame's own camera, as normal maps are usually painted: red to its right,
  green upwards, blue towards it. The far side of an object is then as readable as its front, and a surface changes its
  colour while it turns as it would under coloured lamps beside the camera.
- `confidence_000.webp`: the photo's own pixels in blue, what was invented in orange, mixtures between.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, world_from_camera
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.method import Frame

MAX_GEOMETRY_PX = 384  # side of the depth and normal pictures
WEBP_QUALITY = 80
# Of 0 to 6: a third of the time of libwebp's usual 4 for a fifth more bytes; 0 is quicker by a quarter, but makes files
# of twice the size (21 frames of 576 px; 45 dB in all cases).
WEBP_EFFORT = 1
DEPTH_OUTLIERS = 0.5  # percent at either end that do not set the range
OWN, INVENTED = (38, 110, 196), (240, 148, 46)  # told apart by colour-blind eyes too
DARKEST, BRIGHTEST = 0.2, 0.97  # of the colour map: both ends stand out from a black page and from a white one


def wall_pictures(frames: Sequence[Frame]) -> dict[str, Callable[[], bytes]]:
    """Each file's name and what makes its content, for threads. All but the views only where every frame has them."""
    pictures: dict[str, Callable[[], bytes]] = {}
    depths = [frame.depth for frame in frames if frame.depth is not None]
    bounds = depth_range(depths) if frames and len(depths) == len(frames) else None
    have_confidence = all(frame.confidence is not None for frame in frames)
    have_normals = all(frame.normals is not None for frame in frames)
    for i, frame in enumerate(frames):
        pictures[f"view_{i:03d}.webp"] = lambda frame=frame: webp_bytes(frame.rgba)
        if bounds and frame.depth is not None:
            pictures[f"depth_{i:03d}.webp"] = lambda depth=frame.depth: webp_bytes(depth_picture(depth, bounds))
        if have_normals and frame.normals is not None:
            pictures[f"normals_{i:03d}.webp"] = lambda normals=frame.normals, view=frame.view: webp_bytes(
                normals_picture(normals, view)
            )
        if have_confidence:
            pictures[f"confidence_{i:03d}.webp"] = lambda frame=frame: webp_bytes(confidence_picture(frame))
    return pictures


def webp_bytes(rgba: NDArray[np.uint8]) -> bytes:
    """Straight alpha, kept exactly; the colours are lossy, and those under full transparency are not kept."""
    from PIL import Image

    file = io.BytesIO()
    try:
        Image.fromarray(rgba).save(file, "WEBP", quality=WEBP_QUALITY, method=WEBP_EFFORT)
    except (OSError, ValueError) as problem:
        raise TurnaroundError("A picture could not be encoded as WebP. Try another size.") from problem
    return file.getvalue()


def depth_range(depths: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Nearest and farthest, of all frames together; (0, 1) where nothing is."""
    seen = [depth[::4, ::4] for depth in depths]
    values = np.concatenate([some[some > 0] for some in seen]) if seen else np.zeros(0)
    if not len(values):
        return 0.0, 1.0
    near, far = np.percentile(values, (DEPTH_OUTLIERS, 100 - DEPTH_OUTLIERS))
    return float(near), float(max(far, near + 1e-6))


def depth_picture(depth: NDArray[np.float32], bounds: tuple[float, float]) -> NDArray[np.uint8]:
    """RGBA, at most `MAX_GEOMETRY_PX`; transparent where the depth is 0."""
    import cv2

    near, far = bounds
    mean, alpha = _smaller(depth, cv2.inRange(depth, 1e-9, np.inf))  # type: ignore[arg-type] - numbers are fine
    nearness = (far - mean) * np.float32(1 / (far - near))
    steps = 255 * (DARKEST + (BRIGHTEST - DARKEST) * np.clip(nearness, 0, 1))
    rgb = cv2.cvtColor(cv2.applyColorMap(cv2.convertScaleAbs(steps), cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    return _with_alpha(rgb, alpha)


def normals_picture(normals: NDArray[np.float32], view: View) -> NDArray[np.uint8]:
    """RGBA, at most `MAX_GEOMETRY_PX`; transparent where the normal is 0."""
    import cv2

    nothing = (0.0, 0.0, 0.0)
    mean, alpha = _smaller(normals, cv2.bitwise_not(cv2.inRange(normals, nothing, nothing)))
    right, down, forward = world_from_camera(view, 1.0)[:3, :3].T
    painting = np.column_stack([np.stack([right, -down, -forward]), np.ones(3)]) * 127.5  # -1 to 1 becomes 0 to 255
    rgb = cv2.convertScaleAbs(cv2.transform(mean, painting))
    return _with_alpha(rgb, alpha)


def confidence_picture(frame: Frame) -> NDArray[np.uint8]:
    """RGBA, at most `MAX_GEOMETRY_PX`; transparent where the frame is."""
    if frame.confidence is None:
        raise ValueError("this frame does not tell what of it was invented")
    mean, alpha = _smaller(frame.confidence * (frame.rgba[..., 3] > 0).astype(np.float32), frame.rgba[..., 3])
    own = (mean / 255).clip(0, 1)[..., None]
    return _with_alpha(np.rint(own * OWN + (1 - own) * INVENTED).astype(np.uint8), alpha)


def _with_alpha(rgb: Any, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.merge([*cv2.split(rgb), alpha]), np.uint8)  # ten times as quick as `np.dstack`


def _smaller(values: NDArray[np.float32], there: Any) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """In a smaller picture, each pixel's mean over what is there, and the share of it that is. 255 is there, 0 is not.

    The values are 0 where nothing is: no rim of nothing's colour comes round the object.
    """
    import cv2

    height, width = there.shape
    scale = MAX_GEOMETRY_PX / max(height, width)
    if scale >= 1:
        return values, there
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(there, size, interpolation=cv2.INTER_AREA)
    share = np.maximum(alpha, 1) * np.float32(1 / 255)
    small /= share if small.ndim == 2 else share[..., None]  # in place: fresh memory takes longer than the division
    return np.asarray(small, np.float32), np.asarray(alpha, np.uint8)
