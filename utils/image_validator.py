"""Image validator: checks that a file is a whole image, and returns the bytes to send.

All functions block, so call them in a thread. Pixels are read in ``image_conversion``.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from utils.files import open_regular, read_regular
from utils.image_companions import describe_companions, find_film
from utils.image_diagnosis import DIAGNOSIS_BYTES, describe_unsupported
from utils.image_formats import (
    CONTAINERS,
    HEAD_BYTES,
    SHORTAGE,
    SUFFIXES,
    UNSUPPORTED_SUFFIXES,
    BusyImage,
    Conversion,
    ImageFormat,
    NotEnoughMemory,
    SystemShortage,
    TooLargeImage,
    Traits,
    UnavailableImage,
    UnreadableImage,
    is_truncated,
    sniff,
)
from utils.image_metadata import remove_metadata
from utils.image_structure import read_structure
from utils.image_upload import ANIMATED_FORMATS, Upload, bytes_to_send, describe_changes, plan_upload
from utils.jpeg_completion import END_MARK
from utils.shortage import is_passing

__all__ = [
    "BusyImage",
    "Conversion",
    "ImageFacts",
    "SystemShortage",
    "UnavailableImage",
    "UnreadableImage",
    "check_picture",
    "estimate_inspection",
    "inspect_image",
    "load_decoder",
    "load_for_upload",
    "read_image",
]

MAX_FILE_BYTES: Final = 2_000_000_000
"""Larger files are rejected unread."""

_NOT_DECODED = frozenset({ImageFormat.JPEG, ImageFormat.PNG})
_HEIF_FAMILY = frozenset({ImageFormat.HEIC, ImageFormat.HEIF, ImageFormat.HEIF_SEQUENCE})


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
    """Conversions before sending and other remarks, each a few words for the user.

    What stands in brackets is of this image alone.
    """
    sent_size: tuple[int, int] | None = None
    """Width and height of what is sent, if it is downscaled."""
    end_mark_at: int | None = None
    """Position at which the end mark is added before sending; None if it is not missing."""
    film_at: int | None = None
    """Position at which the film of a motion photo begins, which is not sent; None if there is none."""
    is_stripped: bool = False
    """True if what is sent is the file without its metadata."""
    unsent_pages: int = 0
    """Pages of a TIFF after the first."""
    upload_memory: int = 0
    """About how many bytes of memory it takes to load and send it."""

    @property
    def upload_size(self) -> tuple[int, int]:
        """Width and height of what is sent."""
        return self.sent_size or (self.width, self.height)


def inspect_image(path: Path, *, max_edge: int | None = None) -> ImageFacts:
    """Read the image at ``path``, check that it is whole, and return its facts.

    A JPEG or PNG of 25 MB takes about 30 ms; other formats are decoded, which takes up to about a second,
    mostly without the interpreter's lock.

    Args:
        path: the file.
        max_edge: pixels of the longer side of what is sent, larger images are downscaled; None if only those
            that have to be converted are.

    Raises:
        UnreadableImage: the file is missing, unreadable, empty, too large, not an image, damaged or cut off;
            the message is one sentence for the user.

    """
    return read_image(path, max_edge=max_edge)[0]


def read_image(
    path: Path, *, max_edge: int | None = None, memory_bytes: int | None = None, strip_metadata: bool = False
) -> tuple[ImageFacts, bytes | None]:
    """Read and check an image as :func:`inspect_image` does; return its facts and the bytes to send.

    The bytes are None if the image is to be converted, because the result may be much larger. In less memory
    than ``memory_bytes`` a JPEG is made smaller than it would be; None if unlimited. With ``strip_metadata``
    an image is sent without EXIF data, texts and the like: what is converted never has them, of other files
    the pixels stay as they are.
    """
    file = _read_file(path)
    kind = sniff(file)
    if kind is None:
        raise UnreadableImage(describe_unsupported(file[:DIAGNOSIS_BYTES]))
    film_at = find_film(file) if kind is ImageFormat.JPEG else None
    data = file[:film_at]
    traits, end_mark_at = _examine(data, kind)
    to_send: bytes | None = _complete(data, end_mark_at)
    if strip_metadata and to_send is not None:
        to_send = remove_metadata(to_send, kind)
    limits = {"max_edge": max_edge, "memory_bytes": memory_bytes}
    upload = plan_upload(kind, traits, len(data), **limits, must_convert=to_send is None)
    if upload.conversion is not None:
        _check_convertible(data, kind, traits)
    notes = (
        *_describe_oddities(path, kind, traits, has_end_mark=end_mark_at is None),
        *describe_changes(kind, traits, upload),
        *(["sent without its metadata"] if strip_metadata else []),
        *describe_companions(data, kind, film_at=film_at, frames=traits.frames),
    )
    facts = replace(
        _to_facts(file, kind, traits, upload),
        notes=notes,
        end_mark_at=end_mark_at,
        film_at=film_at,
        is_stripped=strip_metadata and upload.conversion is None,
    )
    return facts, to_send if upload.conversion is None else None


def _check_convertible(data: bytes, kind: ImageFormat, traits: Traits) -> None:
    """Raise for an image that cannot be decoded; of some formats only the head or the structure was read."""
    if kind in CONTAINERS or kind is ImageFormat.JPEG:
        from utils.image_decoder import check_decodable  # noqa: PLC0415 -- as below

        check_decodable(data, kind, traits)


def _to_facts(file: bytes, kind: ImageFormat, traits: Traits, upload: Upload) -> ImageFacts:
    """Return the facts, without what is remarked on."""
    conversion = upload.conversion
    return ImageFacts(
        sha256=hashlib.sha256(file).hexdigest(),
        mime_type=kind.value,
        send_mime_type=kind.value if conversion is None else conversion.value,
        width=traits.width,
        height=traits.height,
        conversion=conversion,
        notes=(),
        sent_size=upload.size,
        unsent_pages=traits.frames - 1 if kind is ImageFormat.TIFF else 0,
        upload_memory=upload.memory_bytes,
    )


def load_decoder() -> None:
    """Import what decodes pictures; takes 0.1 s, and a MemoryError or ImportError if memory is short."""
    import utils.image_decoder  # noqa: F401, PLC0415


def estimate_inspection(path: Path, size_bytes: int) -> int:
    """Return about how many bytes of memory it takes to check an image; what is wrong with it is not told.

    A JPEG or PNG takes its file, as its structure is mostly enough; other formats are decoded.
    """
    try:
        with open_regular(path) as handle:
            kind = sniff(handle.read(HEAD_BYTES))
            if kind is None or kind in _NOT_DECODED:
                return size_bytes
            from utils.image_heads import estimate_decoding  # noqa: PLC0415 -- as below

            handle.seek(0)
            return size_bytes + estimate_decoding(handle, kind, size_bytes)
    except OSError:
        return size_bytes


def check_picture(data: bytes) -> ImageFormat:
    """Return the format of a picture that came in an answer, if it is whole; blocks, about 1 ms for a PNG.

    Raises:
        UnreadableImage: it is none, or is damaged or cut off; the message is one sentence.
    """
    from utils.image_decoder import judge_safely  # noqa: PLC0415 -- as above

    kind = sniff(data)
    if kind is None:
        raise UnreadableImage(describe_unsupported(data[:DIAGNOSIS_BYTES]))
    if is_truncated(data, kind):
        raise UnreadableImage("The image is cut off: the end of the file is missing.")
    with contextlib.suppress(NotEnoughMemory, TooLargeImage):  # which say nothing about the picture
        judge_safely(data, kind, read_structure(data, kind))
    return kind


def load_for_upload(path: Path, facts: ImageFacts) -> bytes:
    """Return the bytes to send, of the type ``facts.send_mime_type``; the same for the same file.

    Raises:
        UnreadableImage: the file is missing, or is not the one of ``facts`` any more; only checked bytes
            are sent.

    """
    data = _read_file(path)
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise UnavailableImage("The file changed after it was checked; run again to send it as it is now.")
    data = _complete(data[: facts.film_at], facts.end_mark_at)
    if facts.is_stripped:
        stripped = remove_metadata(data, ImageFormat(facts.mime_type))
        if stripped is None:
            raise UnreadableImage("Its metadata cannot be removed.")
        return stripped
    if facts.conversion is None:
        return data
    from utils.image_decoder import convert_safely  # noqa: PLC0415 -- as below
    from utils.image_decoding import check_memory  # noqa: PLC0415

    # Before it begins: a control group does not refuse memory, it ends the process.
    check_memory((facts.width, facts.height), facts.upload_memory - bytes_to_send(len(data)))
    return convert_safely(data, ImageFormat(facts.mime_type), facts.conversion, facts.sent_size)


def _examine(data: bytes, kind: ImageFormat) -> tuple[Traits, int | None]:
    """Return what an image is, and where its end mark is missing; None if it is there."""
    # Pillow is imported at the first image, so that --help starts fast.
    from utils.image_decoder import find_missing_end_safely, judge_safely  # noqa: PLC0415

    structure = read_structure(data, kind)
    if kind is ImageFormat.JPEG and structure is None and (end := find_missing_end_safely(data)) is not None:
        return judge_safely(whole := _complete(data, end), kind, read_structure(whole, kind)), end
    is_cut_off = is_truncated(data, kind)
    traits = judge_safely(data, kind, structure)
    if is_cut_off:
        raise UnreadableImage("The image is cut off: the end of the file is missing.")
    return traits, None


def _complete(data: bytes, end_mark_at: int | None) -> bytes:
    return data if end_mark_at is None else data[:end_mark_at] + END_MARK


def _read_file(path: Path) -> bytes:
    """Return the whole file; raise ``UnreadableImage`` with a sentence if that fails."""
    try:
        size, data = read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError as exc:
        raise UnavailableImage("The file is no longer there.") from exc
    except PermissionError as exc:
        raise UnavailableImage("The file may not be read: permission denied.") from exc
    except BlockingIOError as exc:
        raise BusyImage("The file cannot be read now: another program, or the share, holds it.") from exc
    except MemoryError as exc:
        raise UnavailableImage("There is not enough memory to read the file.") from exc
    except OSError as exc:
        if is_passing(exc):
            raise SystemShortage(SHORTAGE) from exc
        raise UnavailableImage(f"The file cannot be read: {exc.strerror or exc}.") from exc
    _check_length(size, data)
    return data


def _check_length(size: int, data: bytes) -> None:
    if size == 0:
        raise UnreadableImage("The file is empty (0 bytes).")
    if size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 1_000_000
        raise UnreadableImage(
            f"The file has {size / 1_000_000:,.0f} MB; images of up to {limit:,} MB are read."
        )
    if len(data) != size:
        raise UnavailableImage("The file changed while it was read; run again when it is complete.")


def _describe_oddities(path: Path, kind: ImageFormat, traits: Traits, *, has_end_mark: bool) -> Iterator[str]:
    """Yield what is unusual, and what is not sent for it."""
    suffix = path.suffix.lower()
    declared = SUFFIXES.get(suffix, kind)
    if (declared is not kind and not {declared, kind} <= _HEIF_FAMILY) or suffix in UNSUPPORTED_SUFFIXES:
        yield f"{kind.label} named {suffix}"
    if not has_end_mark:
        yield "the missing end mark was added"
    if traits.frames > 1 and kind in ANIMATED_FORMATS:
        yield "animated: only the first frame is sent"
    if traits.frames > 1 and kind is ImageFormat.TIFF:
        yield f"several pages: only the first is sent (of {traits.frames:,})"
    if traits.unsent_samples:
        yield "more than three channels: the first three are sent as red, green and blue"
