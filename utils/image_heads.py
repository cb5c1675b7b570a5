"""Image heads: what a file says before its pixels, for images that need not be or cannot be decoded."""

import contextlib
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from utils.image_decoding import (
    DECODING_ERRORS,
    PILLOW_FORMATS,
    decoded_bytes,
    parse_orientation,
    prepare_pillow,
)
from utils.image_formats import HEAD_BYTES, ImageFormat, Traits, UnreadableImage
from utils.image_structure import read_webp_head

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""


def read_container_head(data: bytes, kind: ImageFormat) -> Traits:
    """Return the traits of a WebP or HEIF by what stands before its pixels.

    Raises:
        UnreadableImage: it makes no sense.
    """
    if kind is ImageFormat.WEBP and (head := read_webp_head(data)):
        (width, height), orientation = head.size, 1
        with contextlib.suppress(*DECODING_ERRORS):
            exif = Image.Exif()
            exif.load(head.exif)
            orientation = parse_orientation(exif)
        return Traits(
            width=height if orientation in SIDEWAYS else width,
            height=width if orientation in SIDEWAYS else height,
            mode="RGBA" if head.has_transparency else "RGB",
            is_turned=orientation in range(2, 9),
            frames=2 if head.is_animated else 1,
            has_transparency=head.has_transparency,
        )
    prepare_pillow(kind)
    try:
        with Image.open(BytesIO(data), formats=[PILLOW_FORMATS[kind]]) as image:
            return Traits(
                width=image.width,
                height=image.height,
                mode=image.mode,
                is_turned=False,
                frames=2 if getattr(image, "is_animated", False) else 1,
                has_transparency=image.mode.endswith("A"),
            )
    except DECODING_ERRORS as exc:
        raise UnreadableImage(
            f"The image is damaged: it begins as {kind.label} but its head makes no sense."
        ) from exc


def estimate_decoding(file: BinaryIO, kind: ImageFormat, size_bytes: int) -> int:
    """Return about how much memory it takes to decode a file, by its head."""
    if kind is ImageFormat.WEBP:
        head = read_webp_head(file.read(HEAD_BYTES))
        return decoded_bytes(head.size, "RGBA", kind) if head else size_bytes
    prepare_pillow(kind)
    try:
        with Image.open(file, formats=[PILLOW_FORMATS[kind]]) as image:
            return decoded_bytes(image.size, image.mode, kind)
    except (*DECODING_ERRORS, MemoryError):
        # Unknown to Pillow: put together from samples that are hardly compressed, or rejected at once.
        return 4 * size_bytes if kind is ImageFormat.TIFF else 0
