"""From any mode a decoder yields to 8-bit sRGB with straight alpha."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

Pixels = NDArray[np.uint8]


def in_eight_bits(image: Any, notes: list[str]) -> Image.Image:
    """As L, LA, RGB, RGBA or CMYK, of 8 bits a channel."""
    mode = image.mode
    if mode.startswith("I;16"):
        levels = np.asarray(image)
        grey = (levels >> 8).astype(np.uint8)  # the high byte, as Pillow does with 16-bit colour
        if isinstance(key := image.info.get("transparency"), int):
            return Image.merge("LA", (Image.fromarray(grey), Image.fromarray(np.uint8(255) * (levels != key))))
        return Image.fromarray(grey)
    if mode in ("I", "F"):
        return Image.fromarray(_grey_from_numbers(np.array(image, dtype=np.float32), notes))
    if mode == "LAB":
        return _transformed(image, ImageCms.createProfile("LAB"), "LAB")
    if "transparency" in image.info and mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA")
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert({"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, "RGB"))


def _grey_from_numbers(values: NDArray[np.float32], notes: list[str]) -> Pixels:
    """Greys from numbers whose range no format states: 0..1, 0..255 and 0..65535 are taken as such.

    Works in place: at 50 megapixels each copy would take 200 MB.
    """
    finite = np.isfinite(values)
    if not finite.all():
        notes.append("Pixels that held no number were taken as black.")
        values[~finite] = values[finite].min(initial=np.inf) if finite.any() else 0
    low, high = float(values.min()), float(values.max())
    white = next((top for top in (1.0, 255.0, 65535.0) if high <= top), None)
    if low < 0 or white is None:
        notes.append("The values have no fixed range: the darkest was made black, the brightest white.")
        middle = low / 2 + high / 2  # the span itself may be larger than a float32 holds
        values -= np.float32(middle)
        values *= np.float32(127.5 / max(high - middle, 1e-30))  # a float32 holds its inverse
        values += 127.5
    else:
        values *= np.float32(255 / white)
    values += 0.5
    return values.astype(np.uint8)


def looks_premultiplied(image: Image.Image) -> bool:
    """Whether colours seem stored multiplied by alpha although the format says they are not.

    Then no channel exceeds alpha, and along soft edges colour over alpha is nearer to the opaque colour beside it than
    the stored colour is. A dark subject passes the first test alone, and is left as it is.
    """
    if image.getchannel("A").getextrema()[0] == 255:
        return False
    step = -(-max(image.size) // 1024)
    sample = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    rgba = np.asarray(sample)
    alpha = rgba[..., 3]
    soft = (alpha > 24) & (alpha < 232)
    if np.count_nonzero(soft) < 64 or np.mean(rgba[soft, :3].max(axis=1) > alpha[soft] + 2) > 0.005:
        return False
    opaque = Image.fromarray(np.uint8(255) * (alpha >= 250))
    blur = ImageFilter.BoxBlur(4)
    weight = np.asarray(opaque.filter(blur), dtype=np.float32)
    solid = np.asarray(Image.composite(sample.convert("RGB"), Image.new("RGB", sample.size), opaque).filter(blur))
    edge = soft & (weight > 16)  # enough opaque neighbours to say what the colour should be
    if np.count_nonzero(edge) < 64:
        return False
    expected = solid[edge] * (255 / weight[edge])[:, None]
    stored = rgba[edge, :3].astype(np.float32)
    undone = np.minimum(stored * (255 / alpha[edge])[:, None], 255)
    error_as_is = np.abs(stored - expected).mean()
    return bool(error_as_is > 8 and np.abs(undone - expected).mean() < 0.9 * error_as_is)


def in_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Pixels:
    """An image of `in_eight_bits`, its colours taken through its ICC profile, as [H, W, 4]."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colour = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha else image
    if profile:
        try:
            source: Any = ImageCms.ImageCmsProfile(BytesIO(profile))
            mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(source.profile.xcolor_space.strip(), "")
            if mode == "RGB" and colour.mode == "L":
                colour = colour.convert("RGB")
            if mode == colour.mode:
                colour = _transformed(colour, source, mode)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("The photo's colour profile could not be read, so its colours may be a little off.")
    colour = colour.convert("RGB").convert("RGBA")
    if alpha:
        colour.putalpha(alpha)
    return np.array(colour)


def _transformed(image: Image.Image, source: Any, mode: str) -> Image.Image:
    """From the profile's colours to sRGB; unchanged where the profile is sRGB by another name."""
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "RGB":
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
        if np.abs(moved.astype(np.int16) - lattice).max() <= 2:
            return image
    transformed = ImageCms.applyTransform(image, transform)
    assert transformed is not None  # only done in place, which this is not, it returns nothing
    return transformed
