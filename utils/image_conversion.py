"""Image conversion: decodes and encodes images; the only module that uses Pillow.

Importing Pillow takes 0.1 s, so ``image_validator`` imports this module at the first image.
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

# All errors of Pillow's decoders on damaged bytes, as found by tests/unit/utils/test_image_damage.py.
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

# Larger images are decoded one at a time, not one per thread: a decoded pixel takes four bytes, so one
# image of 100 megapixels takes 400 MB.
_LARGE_PIXELS = 25_000_000
_large_image_lock = threading.Lock()

_PILLOW_MODULES = r"(PIL|pillow_heif)\."


def examine(data: bytes, kind: ImageFormat, *, max_pixels: int) -> Traits:
    """Check that the (first) picture in ``data`` is whole; return its traits.

    It is decoded only if ``image_structure`` gives None.

    Raises:
        UnreadableImage: it is damaged or cut off, declares more than ``max_pixels``, or needs more
            memory than there is.

    """
    structure = read_structure(data, kind)
    if structure is not None and structure.width * structure.height <= min(max_pixels, _pillow_pixel_limit()):
        # If the decoder rejects the minimal file, the whole file decides below.
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
    """Return the traits of a decoded picture; ``declared`` is the real size if ``data`` is a minimal file."""
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

    Equal bytes give equal bytes. Besides the pixels, only the colour profile and the transparency are
    kept: no camera data, no location.

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
    """Open and decode an image; errors inside the block become ``UnreadableImage``, too."""
    _silence_pillow()
    if _PILLOW_FORMATS[kind] == "HEIF":
        _register_heif()
    try:
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(Image.open(io.BytesIO(data), formats=[_PILLOW_FORMATS[kind]]))
            _check_size(image.size, max_pixels)
            if image.width * image.height > _LARGE_PIXELS:
                stack.enter_context(_large_image_lock)
            # Read before decoding, which closes the source.
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
    """Return the number of pixels above which Pillow itself does not open an image."""
    return 2 * (Image.MAX_IMAGE_PIXELS or 0)


def _orientation(image: Image.Image, kind: ImageFormat) -> int:
    """Return the EXIF orientation (1 to 8); 1 if there is none or the EXIF data are damaged."""
    if _PILLOW_FORMATS[kind] == "HEIF":
        return 1  # the decoder has turned it as the container says
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _convert_for_png(image: Image.Image) -> Image.Image:
    """Return the image in a mode that PNG has; measured values (``I``, ``F``) become shades of grey."""
    if image.mode in _PNG_MODES:
        return image
    if image.mode in {"I", "F"}:
        return _stretch_brightness(image.convert("F"))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _stretch_brightness(image: Image.Image) -> Image.Image:
    """Return the values spread from black to white; cut off at 255, most images would be all white."""
    low, high = (float(str(bound)) for bound in image.getextrema())
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return image.convert("L")
    scale = 255 / (high - low)
    return image.point(lambda value: value * scale - low * scale).convert("L")


def _matching_profile(before: Image.Image, after: Image.Image) -> bytes | None:
    """Return the colour profile if it still describes the pixels, else None."""
    profile = before.info.get("icc_profile")
    same_colours = before.mode.startswith(("RGB", "P")) == after.mode.startswith(("RGB", "P"))
    return profile if isinstance(profile, bytes) and same_colours else None


def _silence_pillow() -> None:
    """Add a filter for Pillow's warnings (odd tags, large sizes); what matters is checked here.

    Checked each time, because code that restores the filters (such as pytest) removes it.
    """
    ours = ("ignore", None, Warning, re.compile(_PILLOW_MODULES), 0)
    if ours not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)


def _register_heif() -> None:
    """Add HEIC to Pillow, at the first such image only."""
    import pillow_heif  # noqa: PLC0415 -- a heavy library that most runs never need

    pillow_heif.register_heif_opener()
