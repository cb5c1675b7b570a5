"""One good image of every kind, and functions to write and check it."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, exif, picture
from utils.image_validator import ImageFacts, UnreadableImage, inspect_image

_FRAMES = [picture(seed) for seed in (1, 2, 3)]
_ROWS = picture(9, (64, 64))

WHOLE = {
    "png": encoded(_FRAMES[0], "PNG"),
    "palette png": encoded(_FRAMES[0].quantize(8), "PNG"),
    "16-bit png": encoded(Image.new("I;16", (20, 10), 40_000), "PNG"),
    "animated png": encoded(_FRAMES[0], "PNG", save_all=True, append_images=_FRAMES[1:]),
    "jpeg": encoded(_FRAMES[0], "JPEG", exif=exif(6)),
    "progressive jpeg": encoded(_FRAMES[0], "JPEG", progressive=True),
    "cmyk jpeg": encoded(_FRAMES[0].convert("CMYK"), "JPEG"),
    "mpo": encoded(_FRAMES[0], "MPO", save_all=True, append_images=_FRAMES[1:]),
    "webp": encoded(_FRAMES[0], "WEBP", exif=exif(3)),
    "lossless webp": encoded(_FRAMES[0], "WEBP", lossless=True),
    "animated webp": encoded(_FRAMES[0], "WEBP", save_all=True, append_images=_FRAMES[1:]),
    "gif": encoded(_FRAMES[0], "GIF"),
    "animated gif": encoded(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:]),
    "bmp": encoded(_FRAMES[0], "BMP"),
    "tiff": encoded(_FRAMES[0], "TIFF"),
    "lzw tiff": encoded(_FRAMES[0], "TIFF", compression="tiff_lzw"),
    "float tiff": encoded(_FRAMES[0].convert("F"), "TIFF"),
    "avif": encoded(_FRAMES[0], "AVIF"),
    "heic": encoded(_ROWS, "HEIF"),
    "jpeg 2000": encoded(_FRAMES[0], "JPEG2000"),
}


def inspect(path: Path, data: bytes) -> ImageFacts:
    """Write the bytes and check them."""
    path.write_bytes(data)
    return inspect_image(path)


def refusal(path: Path) -> str:
    """Return the message of an unreadable file."""
    with pytest.raises(UnreadableImage) as caught:
        inspect_image(path)
    return str(caught.value)
