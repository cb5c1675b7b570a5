"""Image validator: checks that a file is a whole image, and returns the bytes to send.

All functions block, so call them in a thread. Pixels are read in ``image_conversion``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from utils.files import read_regular
from utils.image_diagnosis import DIAGNOSIS_BYTES, describe_unsupported
from utils.image_formats import (
    SENT_AS_IS,
    SUFFIXES,
    Conversion,
    ImageFormat,
    Traits,
    UnavailableImage,
    UnreadableImage,
    is_truncated,
    sniff,
)

__all__ = [
    "Conversion",
    "ImageFacts",
    "UnavailableImage",
    "UnreadableImage",
    "inspect_image",
    "load_for_upload",
    "read_image",
]

MAX_PIXELS: Final = 100_000_000
"""The default limit, 100 megapixels: 400 MB when decoded, and more than most cameras make."""

MAX_FILE_BYTES: Final = 200_000_000
"""Larger files are rejected unread; one request to the service takes at most half of that.

Source: https://ai.google.dev/gemini-api/docs/file-input-methods (100 MB a request), January 2026.
"""

_MULTI_PAGE_FORMATS = frozenset({ImageFormat.TIFF})
_ANIMATED_FORMATS = frozenset(
    {ImageFormat.GIF, ImageFormat.WEBP, ImageFormat.AVIF, ImageFormat.HEIF_SEQUENCE}
)
_HEIF_FAMILY = frozenset({ImageFormat.HEIC, ImageFormat.HEIF, ImageFormat.HEIF_SEQUENCE})
_MEASUREMENT_MODES = frozenset({"I", "F"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Facts about a whole image."""

    sha256: str
    """Hash of the file's bytes on the disk, in hexadecimal digits."""
    mime_type: str
    """The true type, by content."""
    send_mime_type: str
    """The type of the bytes that :func:`load_for_upload` returns."""
    width: int
    """In pixels, seen upright."""
    height: int
    conversion: Conversion | None
    """None if the file's own bytes are sent."""
    notes: tuple[str, ...]
    """Changes made before sending and oddities, each in a few words for the user."""


def inspect_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Read the image at ``path`` once, check that it is whole, and return its facts.

    ``max_pixels`` bounds width times height as the file declares them, before anything is decoded;
    above 178 million Pillow's own limit holds. Blocking: a JPEG or PNG of 25 MB takes about 30 ms; other
    formats are decoded, which takes up to about 1 s, mostly without the interpreter's lock.

    Raises:
        UnreadableImage: the file is gone, unreadable, empty, too large, not an image, damaged or cut
            off; the message is one sentence for the user.

    """
    return read_image(path, max_pixels=max_pixels)[0]


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[ImageFacts, bytes | None]:
    """Return the facts of :func:`inspect_image` and the bytes to send.

    The bytes are None if the image must be converted, because the result may be many times as large.
    """
    # Pillow is imported with the first image: --help is 0.1 s faster.
    from utils.image_conversion import examine  # noqa: PLC0415

    data = _read_file(path)
    kind = sniff(data)
    if kind is None:
        raise UnreadableImage(describe_unsupported(data[:DIAGNOSIS_BYTES]))
    traits = examine(data, kind, max_pixels=max_pixels)
    if is_truncated(data, kind):
        raise UnreadableImage("The image is cut off: the end of the file is missing.")
    conversion = _choose_conversion(kind, traits)
    facts = ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        mime_type=kind.value,
        send_mime_type=kind.value if conversion is None else conversion.value,
        width=traits.width,
        height=traits.height,
        conversion=conversion,
        notes=tuple(_describe_oddities(path, kind, traits, conversion)),
    )
    return facts, data if conversion is None else None


def load_for_upload(path: Path, facts: ImageFacts) -> bytes:
    """Return the bytes to send, of type ``facts.send_mime_type``; equal files give equal bytes.

    Raises:
        UnreadableImage: the file is gone or changed since ``facts`` were read; only checked bytes are
            sent.

    """
    data = _read_file(path)
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise UnavailableImage("The file changed after it was checked; run again to send it as it is now.")
    if facts.conversion is None:
        return data
    from utils.image_conversion import convert  # noqa: PLC0415 -- as above

    return convert(data, ImageFormat(facts.mime_type), facts.conversion)


def _read_file(path: Path) -> bytes:
    """Return the whole file; raise ``UnreadableImage`` with a sentence if that fails."""
    try:
        size, data = read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError as exc:
        raise UnavailableImage("The file is no longer there.") from exc
    except PermissionError as exc:
        raise UnavailableImage("The file may not be read: permission denied.") from exc
    except MemoryError as exc:
        raise UnavailableImage("There is not enough memory to read the file.") from exc
    except OSError as exc:
        raise UnavailableImage(f"The file cannot be read: {exc.strerror or exc}.") from exc
    _check_length(size, data)
    return data


def _check_length(size: int, data: bytes) -> None:
    if size == 0:
        raise UnreadableImage("The file is empty (0 bytes).")
    if size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 1_000_000
        raise UnreadableImage(
            f"The file has {size / 1_000_000:,.0f} MB; images of up to {limit} MB can be sent."
        )
    if len(data) != size:
        raise UnavailableImage("The file changed while it was read; run again when it is complete.")


def _choose_conversion(kind: ImageFormat, traits: Traits) -> Conversion | None:
    """Return the conversion that shows the model what a person sees, or None if none is needed."""
    is_animated = kind in _ANIMATED_FORMATS and traits.has_more_frames
    if kind not in SENT_AS_IS or is_animated:
        return Conversion.TO_PNG
    if kind is ImageFormat.JPEG and (traits.is_turned or traits.mode == "CMYK"):
        return Conversion.TO_JPEG
    if traits.is_turned:
        should_be_lossless = kind is ImageFormat.PNG or traits.has_transparency
        return Conversion.TO_PNG if should_be_lossless else Conversion.TO_JPEG
    return None


def _describe_oddities(
    path: Path, kind: ImageFormat, traits: Traits, conversion: Conversion | None
) -> Iterator[str]:
    """Yield what is unusual about the image, and what is changed."""
    suffix = path.suffix.lower()
    declared = SUFFIXES.get(suffix, kind)
    if declared is not kind and not {declared, kind} <= _HEIF_FAMILY:
        yield f"{kind.label} named {suffix}"
    if traits.has_more_frames and kind in _ANIMATED_FORMATS:
        yield "animated: only the first frame is sent"
    if traits.has_more_frames and kind in _MULTI_PAGE_FORMATS:
        yield "several pages: only the first is sent"
    if traits.is_turned:
        yield "turned upright"
    if conversion is not None and traits.mode == "CMYK":
        yield "colours converted from CMYK to RGB"
    if conversion is not None and traits.mode in _MEASUREMENT_MODES:
        yield "brightness stretched to 256 shades of grey"
    if conversion is not None and conversion.value != kind.value:
        yield f"sent as {ImageFormat(conversion.value).label}"
