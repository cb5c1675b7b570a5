"""Rules of utils/image_effort.py: what holds a decoder is found, and no ordinary image is."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from tests.support.hostile_images import encoded, picture
from tests.support.slow_images import (
    bmp_of_runs,
    gif_of_blocks,
    jp2_of_layers,
    jpeg_of_scans,
    png_of_chunks,
)
from utils.image_effort import MAX_SCANS, may_take_long
from utils.image_formats import ImageFormat, UnreadableImage

LARGE = picture(1, (3_000, 2_000))
ORDINARY: Mapping[str, tuple[str, ImageFormat, dict[str, Any]]] = {
    "jpeg": ("JPEG", ImageFormat.JPEG, {}),
    "progressive jpeg": ("JPEG", ImageFormat.JPEG, {"progressive": True, "quality": 95}),
    "png": ("PNG", ImageFormat.PNG, {"compress_level": 1}),
    "gif": ("GIF", ImageFormat.GIF, {"save_all": True, "append_images": [LARGE.rotate(90)]}),
    "bmp": ("BMP", ImageFormat.BMP, {}),
    "tiff": ("TIFF", ImageFormat.TIFF, {"compression": "jpeg"}),
    "jpeg 2000": ("JPEG2000", ImageFormat.JPEG_2000, {"tile_size": (512, 512)}),
    "webp": ("WEBP", ImageFormat.WEBP, {}),
    "heic": ("HEIF", ImageFormat.HEIC, {}),
    "avif": ("AVIF", ImageFormat.AVIF, {"speed": 10}),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_image_is_decoded_here(name: str) -> None:
    """Six megapixels of every format are far below each bound."""
    file_format, kind, options = ORDINARY[name]

    assert not may_take_long(encoded(LARGE, file_format, **options), kind)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jpeg_of_scans(scans=500), ImageFormat.JPEG),
        (png_of_chunks(chunks=310_000), ImageFormat.PNG),
        (png_of_chunks(chunks=310_000, name=b"tEXt"), ImageFormat.PNG),
        (gif_of_blocks(blocks=310_000), ImageFormat.GIF),
        (bmp_of_runs(edge=1_100), ImageFormat.BMP),
        (jp2_of_layers(edge=512), ImageFormat.JPEG_2000),
        (b"\0\0\0\x18ftypheic" + b"iovl", ImageFormat.HEIC),
        (b"\0\0\0\x18ftypavif" + b"ispe" + bytes(4) + b"\0\0\x40\0\0\0\x40\0", ImageFormat.AVIF),
    ],
    ids=["scans", "chunks", "texts", "blocks", "runs", "layers", "overlays", "pixels"],
)
def test_what_may_take_long_is_found(data: bytes, kind: ImageFormat) -> None:
    """Few bytes that mean much work are counted, not timed."""
    assert may_take_long(data, kind)


def test_scans_that_no_encoder_writes_are_refused() -> None:
    """A JPEG of more scans is not decoded at all, and the sentence says how many there are."""
    data = jpeg_of_scans(scans=MAX_SCANS, edge=64)

    with pytest.raises(UnreadableImage, match=r"1,001 scans"):
        may_take_long(data, ImageFormat.JPEG)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 30, 45])
@pytest.mark.parametrize("kind", ImageFormat)
def test_a_cut_file_is_counted_all_the_same(kind: ImageFormat, length: int) -> None:
    """Counting raises nothing over damage: the decoder tells what is wrong."""
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, "PNG")

    assert may_take_long(buffer.getvalue()[:length], kind) in {True, False}
