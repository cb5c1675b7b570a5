"""Image conversion: finds out whether a picture is whole, and encodes it in another format or size."""

import contextlib
import io
from typing import Final

from PIL import Image

from utils.image_brightness import DEEP_MODES
from utils.image_decoding import open_picture
from utils.image_formats import (
    CONTAINERS,
    Conversion,
    ImageFormat,
    NotEnoughMemory,
    TooLargeImage,
    Traits,
    UnreadableImage,
)
from utils.image_heads import SIDEWAYS, read_container_head
from utils.image_structure import ImageStructure, is_container_whole, read_structure

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAX_CHECKED_BYTES: Final = 100_000_000
"""Pixels of these that take more are not decoded for a check: libwebp holds them four times."""

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"})
_JPEG_QUALITY = 95

Size = tuple[int, int]


def examine(data: bytes, kind: ImageFormat) -> Traits:
    """Check that the (first) picture in ``data`` is whole; return its traits.

    It is decoded only if ``image_structure`` gives None, or if its shades may have to be spread.

    Raises:
        UnreadableImage: it is damaged or cut off, of a kind that cannot be read here, or too large.
        NotEnoughMemory: it needs more memory than there is now.

    """
    return judge(data, kind, read_structure(data, kind))


def judge(data: bytes, kind: ImageFormat, structure: ImageStructure | None) -> Traits:
    """Return and raise what :func:`examine` does, of a file whose structure is known."""
    known: Traits | None = None
    if structure is not None:
        # If the decoder rejects the minimal file, the whole file decides below.
        with contextlib.suppress(UnreadableImage):
            known = decode_traits(structure.minimal_file, kind, size=(structure.width, structure.height))
            if known.mode not in DEEP_MODES:
                return known
    try:
        return decode_traits(data, kind, max_bytes=_MAX_CHECKED_BYTES if kind in CONTAINERS else None)
    except (TooLargeImage, NotEnoughMemory):
        if known is not None:
            return known
        # What is sent as it is need not be decoded; the size of the container says whether it is cut off.
        if kind not in CONTAINERS:
            raise
        if not is_container_whole(data, kind):
            raise UnreadableImage("The image is cut off: the end of the file is missing.") from None
        return read_container_head(data, kind)


def decode_traits(
    data: bytes, kind: ImageFormat, *, size: Size | None = None, max_bytes: int | None = None
) -> Traits:
    """Return the traits of a decoded picture; ``size`` is the real one if ``data`` is a minimal file."""
    with open_picture(data, kind, min_pixels=0, max_bytes=max_bytes) as picture:
        width, height = size or picture.size
        if picture.orientation in SIDEWAYS:
            width, height = height, width
        return Traits(
            width=width,
            height=height,
            mode=picture.image.mode,
            is_turned=picture.orientation in _TRANSPOSITIONS,
            frames=picture.frames,
            has_transparency=picture.image.has_transparency_data,
            is_stretched=picture.is_stretched,
            unsent_samples=picture.unsent_samples,
        )


def convert(data: bytes, kind: ImageFormat, conversion: Conversion, size: Size | None = None) -> bytes:
    """Return the (first) picture in ``data`` upright, in colours that the new format has.

    Equal bytes give equal bytes. Besides the pixels, only the colour profile and the transparency are
    kept: no camera data, no location.

    Args:
        data: the file.
        kind: its format.
        conversion: the new format.
        size: width and height of the result, seen upright; None for those of the picture.

    Raises:
        UnreadableImage: as :func:`examine` does.

    """
    with open_picture(data, kind, min_pixels=size and size[0] * size[1]) as picture:
        is_sideways = picture.orientation in SIDEWAYS
        image = picture.image
        if size is not None:
            image = _downscale(image, (size[1], size[0]) if is_sideways else size)
        transposition = _TRANSPOSITIONS.get(picture.orientation)
        upright = image if transposition is None else image.transpose(transposition)
        if conversion is Conversion.TO_JPEG:
            converted = upright if upright.mode in {"L", "RGB"} else upright.convert("RGB")
        else:
            converted = _convert_for_png(upright)
        profile = _matching_profile(picture.image, converted)
        buffer = io.BytesIO()
        if conversion is Conversion.TO_JPEG:
            converted.save(buffer, "JPEG", quality=_JPEG_QUALITY, icc_profile=profile)
        else:
            converted.save(buffer, "PNG", icc_profile=profile)
        return buffer.getvalue()


def _downscale(image: Image.Image, size: Size) -> Image.Image:
    """Return the picture in a smaller size and in a mode that has shades between the colours it has."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _convert_for_png(image: Image.Image) -> Image.Image:
    """Return the image in a mode that PNG has."""
    if image.mode in _PNG_MODES:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _matching_profile(before: Image.Image, after: Image.Image) -> bytes | None:
    """Return the colour profile if it still describes the pixels, else None."""
    profile = before.info.get("icc_profile")
    same_colours = before.mode.startswith(("RGB", "P")) == after.mode.startswith(("RGB", "P"))
    return profile if isinstance(profile, bytes) and same_colours else None
