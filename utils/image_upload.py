"""Image upload: what is made of an image before it is sent, so that the model sees what a person sees."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from utils.image_formats import SENT_AS_IS, Conversion, ImageFormat, Traits

MAX_SENT_BYTES: Final = 200_000_000
"""Larger files are not sent as they are; one request to the service takes at most half of that.

Source: https://ai.google.dev/gemini-api/docs/file-input-methods (100 MB a request), January 2026.
"""

MAX_SENT_PIXELS: Final = 25_000_000
"""What has to be converted is sent with no more, unless the user asks for a size: a model looks at far less.

Google bills an image with the same tokens whatever its pixels (docs/api-facts.md, November 2026).
"""

ANIMATED_FORMATS: Final = frozenset(
    {ImageFormat.GIF, ImageFormat.WEBP, ImageFormat.AVIF, ImageFormat.HEIF_SEQUENCE}
)
_LOSSLESS_FORMATS: Final = frozenset({ImageFormat.PNG, ImageFormat.GIF})
_FEW_COLOURS: Final = frozenset({"1", "P", "PA"})
"""Modes of drawings and texts, which JPEG blurs."""

_COPIES: Final = 3
"""What is sent is held so often while it is made: resized, turned, encoded."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is sent of an image."""

    conversion: Conversion | None
    """None if the file's own bytes are sent."""
    size: Size | None
    """Width and height, if it is downscaled."""
    memory_bytes: int
    """About how much memory it takes to load and send it."""


def plan_upload(
    kind: ImageFormat,
    traits: Traits,
    size_bytes: int,
    *,
    max_edge: int | None,
    memory_bytes: int | None = None,
    must_convert: bool = False,
) -> Upload:
    """Return what is sent of an image.

    Args:
        kind: the format of the file.
        traits: of the picture.
        size_bytes: of the file.
        max_edge: pixels of the longer side of what is sent; None if images go as they are, if they can.
        memory_bytes: what loading and sending it may take; None if unlimited.
        must_convert: the file's own bytes must not be sent.
    """
    conversion = _required_conversion(kind, traits)
    is_heavy = size_bytes > MAX_SENT_BYTES or (must_convert and conversion is None)
    size = _choose_size(traits, max_edge=max_edge, is_converted=conversion is not None or is_heavy)
    if size is not None or is_heavy:
        is_lossless = traits.has_transparency or traits.mode in _FEW_COLOURS or kind in _LOSSLESS_FORMATS
        conversion = Conversion.TO_PNG if is_lossless else Conversion.TO_JPEG
    file_bytes = bytes_to_send(size_bytes)
    if conversion is None:
        return Upload(conversion=None, size=None, memory_bytes=file_bytes)
    need = file_bytes + _estimate_conversion(kind, traits, size)
    for smaller in _fractions(traits, size):
        if memory_bytes is None or need <= memory_bytes:
            break
        size, need = smaller, file_bytes + _estimate_conversion(kind, traits, smaller)
    return Upload(conversion=conversion, size=size, memory_bytes=need)


def bytes_to_send(size_bytes: int) -> int:
    """Return about how much memory it takes to send so many bytes: a part of them is held twice."""
    return size_bytes + size_bytes // 2


def describe_changes(kind: ImageFormat, traits: Traits, upload: Upload) -> Iterator[str]:
    """Yield what is done to the picture before it is sent."""
    if upload.conversion is None:
        return
    if traits.is_turned:
        yield "turned upright"
    if traits.mode == "CMYK":
        yield "colours converted from CMYK to RGB"
    if traits.is_stretched:
        yield f"brightness stretched to 256 shades of {'grey' if traits.mode == 'L' else 'each colour'}"
    if upload.size is not None:
        before, after = f"{traits.width:,} x {traits.height:,}", f"{upload.size[0]:,} x {upload.size[1]:,}"
        yield f"downscaled for sending ({before} to {after} pixels)"
    if upload.conversion.value != kind.value:
        yield f"sent as {ImageFormat(upload.conversion.value).label}"


def _required_conversion(kind: ImageFormat, traits: Traits) -> Conversion | None:
    """Return the conversion that is needed whatever the size."""
    is_animated = kind in ANIMATED_FORMATS and traits.frames > 1
    if kind not in SENT_AS_IS or is_animated or traits.is_stretched:
        return Conversion.TO_PNG
    if kind is ImageFormat.JPEG and (traits.is_turned or traits.mode == "CMYK"):
        return Conversion.TO_JPEG
    if traits.is_turned:
        should_be_lossless = kind is ImageFormat.PNG or traits.has_transparency
        return Conversion.TO_PNG if should_be_lossless else Conversion.TO_JPEG
    return None


def _choose_size(traits: Traits, *, max_edge: int | None, is_converted: bool) -> Size | None:
    """Return the size to send if it is smaller than the picture's, else None."""
    width, height = traits.width, traits.height
    if max_edge is not None:
        scale = max_edge / max(width, height)
    else:
        scale = math.sqrt(MAX_SENT_PIXELS / (width * height)) if is_converted else 1.0
    if scale >= 1.0:
        return None
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _fractions(traits: Traits, size: Size | None) -> Iterator[Size]:
    """Yield smaller sizes, which take less memory; a JPEG is even decoded at them."""
    for divisor in (2, 4, 8):
        smaller = traits.width // divisor, traits.height // divisor
        if min(smaller) > 0 and (size is None or smaller < size):
            yield smaller


def _estimate_conversion(kind: ImageFormat, traits: Traits, size: Size | None) -> int:
    """Return about how many bytes of memory a conversion takes, the file aside (measured, November 2026)."""
    from utils.image_decoding import decoded_bytes, fraction_of  # noqa: PLC0415 -- imports Pillow

    whole = (traits.width, traits.height)
    width, height = size or whole
    decoded = fraction_of(whole, width * height) if kind is ImageFormat.JPEG else whole
    pixel_bytes = 1 if traits.mode in {"1", "L"} else 4
    return decoded_bytes(decoded, traits.mode, kind) + _COPIES * pixel_bytes * width * height
