"""What does the imaging library say of these bytes, and what does it make of them?

This is the only file that meets Pillow. Importing it is slow (a tenth of a second), so its one user
does so with the first image. It knows no path and no rule on what is sent: it decodes and encodes.
"""

import contextlib
import io
import math
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import ExifTags, Image

from utils.image_formats import Conversion, ImageFormat, Traits, UnreadableImage
from utils.image_structure import read_structure

_PILLOW_FORMATS = {
    ImageFormat.JPEG: "JPEG",
    ImageFormat.PNG: "PNG",
    ImageFormat.WEBP: "WEBP",
    ImageFormat.HEIC: "HEIF",
    ImageFormat.HEIF: "HEIF",
    ImageFormat.HEIF_SEQUENCE: "HEIF",
    ImageFormat.GIF: "GIF",
    ImageFormat.BMP: "BMP",
    ImageFormat.TIFF: "TIFF",
    ImageFormat.AVIF: "AVIF",
    ImageFormat.JPEG_2000: "JPEG2000",
}

# Every way in which Pillow's decoders fail on damaged bytes; found by feeding them such (see the tests).
_DECODING_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
    zlib.error,
)

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"})
_JPEG_QUALITY = 95

# Decoded pixels take four bytes each. Larger images are decoded one at a time, so that memory is
# bounded by one giant (400 MB at 100 megapixels) and not by as many as there are threads.
_LARGE_PIXELS = 25_000_000
_large_image_lock = threading.Lock()

_PILLOW_MODULES = r"(PIL|pillow_heif)\."


def examine(data: bytes, kind: ImageFormat, *, max_pixels: int) -> Traits:
    """Make sure that the (first) picture in ``data`` is whole and return what it is.

    It is decoded, unless its structure shows as much (see ``image_outline``).

    Raises:
        UnreadableImage: when it is damaged or cut off, declares more than ``max_pixels``, or
            needs more memory than there is.

    """
    structure = read_structure(data, kind)
    if structure is not None and structure.width * structure.height <= min(max_pixels, _pillow_pixel_limit()):
        # What the decoder makes of the whole file, should it mind the outline, is for it to say.
        with contextlib.suppress(UnreadableImage):
            return _decode_traits(
                structure.minimal_file,
                kind,
                max_pixels=max_pixels,
                declared=(structure.width, structure.height),
            )
    return _decode_traits(data, kind, max_pixels=max_pixels)


def _decode_traits(
    data: bytes, kind: ImageFormat, *, max_pixels: int, declared: tuple[int, int] | None = None
) -> Traits:
    """Decode wholly; ``declared`` is the size of the picture that ``data`` is the outline of."""
    with _open_decoded(data, kind, max_pixels=max_pixels) as (image, has_more_frames):
        orientation = _orientation(image, kind)
        width, height = declared or image.size
        if orientation in {5, 6, 7, 8}:
            width, height = height, width
        return Traits(
            width=width,
            height=height,
            mode=image.mode,
            is_turned=orientation in _TRANSPOSITIONS,
            has_more_frames=has_more_frames,
            has_transparency=image.has_transparency_data,
        )


def convert(data: bytes, kind: ImageFormat, conversion: Conversion) -> bytes:
    """Return the (first) picture in ``data`` upright, in colours that the new format has.

    The same bytes in give the same bytes out. Of what the file says besides its pixels, only the
    colour profile and the transparency are kept: no camera data, no place.

    Raises:
        UnreadableImage: as :func:`examine` does.

    """
    with _open_decoded(data, kind, max_pixels=_pillow_pixel_limit()) as (image, _):
        transposition = _TRANSPOSITIONS.get(_orientation(image, kind))
        upright = image if transposition is None else image.transpose(transposition)
        buffer = io.BytesIO()
        if conversion is Conversion.TO_JPEG:
            converted = upright if upright.mode in {"L", "RGB"} else upright.convert("RGB")
            converted.save(
                buffer, "JPEG", quality=_JPEG_QUALITY, icc_profile=_matching_profile(upright, converted)
            )
        else:
            converted = _convert_for_png(upright)
            converted.save(buffer, "PNG", icc_profile=_matching_profile(upright, converted))
        return buffer.getvalue()


@contextlib.contextmanager
def _open_decoded(data: bytes, kind: ImageFormat, *, max_pixels: int) -> Iterator[tuple[Image.Image, bool]]:
    """Open and decode; every failure inside the block, too, is one of this image."""
    _silence_pillow()
    if _PILLOW_FORMATS[kind] == "HEIF":
        _register_heif()
    try:
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(Image.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[kind]]))
            _check_size(image.size, max_pixels)
            if image.width * image.height > _LARGE_PIXELS:
                stack.enter_context(_large_image_lock)
            # Asked before decoding, which lets go of the source.
            has_more_frames = bool(getattr(image, "is_animated", False))
            image.load()
            yield image, has_more_frames
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as exc:
        raise UnreadableImage(
            f"The image declares more than {_pillow_pixel_limit():,} pixels; it would fill the memory."
        ) from exc
    except MemoryError as exc:
        raise UnreadableImage("There is not enough memory to decode the image.") from exc
    except _DECODING_ERRORS as exc:
        raise UnreadableImage(
            f"The image is damaged or cut off: it begins as {kind.label} but cannot be decoded to its end."
        ) from exc


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"The image declares {width:,} x {height:,} pixels; at most {max_pixels:,} in all are decoded."
        )


def _pillow_pixel_limit() -> int:
    """Return the number of pixels above which Pillow itself refuses to open an image."""
    return 2 * (Image.MAX_IMAGE_PIXELS or 0)


def _orientation(image: Image.Image, kind: ImageFormat) -> int:
    """Return the EXIF orientation, 1 when there is none or the camera's data are damaged."""
    if _PILLOW_FORMATS[kind] == "HEIF":
        return 1  # the container itself says how to turn it, and the decoder has done so
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _convert_for_png(image: Image.Image) -> Image.Image:
    """Return the image in a mode that PNG has; measurements (``I``, ``F``) become shades of grey."""
    if image.mode in _PNG_MODES:
        return image
    if image.mode in {"I", "F"}:
        return _stretch_brightness(image.convert("F"))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _stretch_brightness(image: Image.Image) -> Image.Image:
    """Spread the values between black and white: cut at 255 most would be all white, or all black."""
    low, high = (float(str(bound)) for bound in image.getextrema())
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return image.convert("L")
    scale = 255 / (high - low)
    return image.point(lambda value: value * scale - low * scale).convert("L")


def _matching_profile(before: Image.Image, after: Image.Image) -> bytes | None:
    """Return the colour profile if it still describes the pixels."""
    profile = before.info.get("icc_profile")
    same_colours = before.mode.startswith(("RGB", "P")) == after.mode.startswith(("RGB", "P"))
    return profile if isinstance(profile, bytes) and same_colours else None


def _silence_pillow() -> None:
    """Keep Pillow's warnings (odd tags, large sizes) off the terminal: what matters is checked here.

    Looked up each time, since whoever saves and restores the filters (pytest does) undoes it.
    """
    ours = ("ignore", None, Warning, re.compile(_PILLOW_MODULES), 0)
    if ours not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)


def _register_heif() -> None:
    """Teach Pillow HEIC; only who has such pictures pays for it."""
    import pillow_heif  # noqa: PLC0415 -- a heavy library that most runs never need

    pillow_heif.register_heif_opener()
