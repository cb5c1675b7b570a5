"""Image metadata: removed from a file's bytes without touching its pixels.

What goes: EXIF with place and serial numbers, XMP, IPTC, comments, texts, times, thumbnails, further pictures
behind the first. What stays: all that says how the pixels look, such as the colour profile. The caller sends
files that need turning re-encoded, so that no turn is lost with the EXIF data.
"""

import struct
from collections.abc import Iterator
from typing import Final

from utils.image_formats import ImageFormat
from utils.image_structure import find_scan_end

_JFIF: Final = 0xE0
_PROFILE: Final = 0xE2
_ADOBE: Final = 0xEE
_COMMENT: Final = 0xFE
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_ICC_NAME: Final = b"ICC_PROFILE\0"
_ADOBE_NAME: Final = b"Adobe"

_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP"}
    | {b"mDCV", b"cLLI", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT"}
)
"""Chunks of the third edition of the PNG specification (W3C, June 2025) that say how the pixels look."""

_WEBP_LEFT_OUT: Final = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS: Final = 0x08 | 0x04
"""Bits of the chunk VP8X that announce both."""

_IN_FILE, _IN_META = 0, 1
"""Construction methods of an item: offsets count from the file's begin, or within the box of metadata."""
_EMPTY_EXIF: Final = b"\0\0\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
"""EXIF item of a HEIF file without any entry: the offset of the TIFF header, and an empty directory."""

Removed = bytes | None


def remove_metadata(data: bytes, kind: ImageFormat) -> Removed:
    """Return the file without its metadata, with the same pixels; None if that cannot be done losslessly."""
    match kind:
        case ImageFormat.JPEG:
            return _clean_jpeg(data)
        case ImageFormat.PNG:
            return _clean_png(data)
        case ImageFormat.WEBP:
            return _clean_webp(data)
        case ImageFormat.HEIC | ImageFormat.HEIF:
            return _clean_heif(data)
        case _:
            return None


def _clean_jpeg(data: bytes) -> Removed:
    parts, position = [data[:2]], 2
    while position + 2 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == _EOI:
            return b"".join((*parts, data[position : position + 2]))
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if end > len(data) or end < position + 4:
            return None
        if marker == _SOS:
            end = find_scan_end(data, end)
        if _says_how_it_looks(marker, data[position + 4 : position + 20]):
            parts.append(data[position:end])
        position = end
    return None


def _says_how_it_looks(marker: int, content: bytes) -> bool:
    if marker == _PROFILE:
        return content.startswith(_ICC_NAME)
    if marker == _ADOBE:  # the colour transform
        return content.startswith(_ADOBE_NAME)
    return marker == _JFIF or not (0xE1 <= marker <= 0xEF or marker == _COMMENT)


def _clean_png(data: bytes) -> Removed:
    if not data.startswith(_PNG_HEAD):
        return None
    parts, position = [_PNG_HEAD], len(_PNG_HEAD)
    while position + 12 <= len(data):
        length, name = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            return None
        if name in _PNG_KEPT or name[:1].isupper():  # critical chunks begin with a capital
            parts.append(data[position:end])
        if name == b"IEND":
            return b"".join(parts)
        position = end
    return None


def _clean_webp(data: bytes) -> Removed:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    parts, position = [], 12
    stop = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= stop:
        name = data[position : position + 4]
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length + length % 2
        if position + 8 + length > stop:
            return None
        chunk = data[position : min(end, stop)]
        if name == b"VP8X" and length >= 10:
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if name not in _WEBP_LEFT_OUT:
            parts.append(chunk)
        position = end
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _clean_heif(data: bytes) -> Removed:
    """Return the file with its metadata overwritten where they stand: nothing moves, all offsets hold."""
    try:
        stretches = list(_metadata_stretches(data))
    except (IndexError, KeyError, StopIteration, RuntimeError):  # a box or an item is missing or unusual
        return None
    cleaned = bytearray(data)
    for first, length, filler in stretches:
        cleaned[first : first + length] = filler[:length].ljust(length, filler[-1:])
    return bytes(cleaned)


def _metadata_stretches(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield where metadata stand in a HEIF file, how long they are, and what is to stand there.

    Raises:
        IndexError, KeyError: a box or an item is missing, or lies beyond the end of the file.
    """
    top = {name: (first, last) for name, first, last in _boxes(data, 0, len(data))}
    start, end = top[b"meta"]
    inside = {name: (first, last) for name, first, last in _boxes(data, start + 4, end)}
    places = _item_places(data, *inside[b"iloc"])
    for item, kind in _metadata_items(data, *inside[b"iinf"]).items():
        method, extents = places[item]
        base = {_IN_FILE: 0, _IN_META: inside.get(b"idat", (0, 0))[0]}[method]
        for number, (offset, length) in enumerate(extents):
            if length == 0 or base + offset + length > len(data):
                raise IndexError
            is_exif = kind == b"Exif" and number == 0 and length >= len(_EMPTY_EXIF)
            yield base + offset, length, _EMPTY_EXIF if is_exif else b"\0" if kind == b"Exif" else b" "


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes of a stretch: their names, and where their content begins and ends."""
    position = start
    while position + 8 <= end:
        length, head = int.from_bytes(data[position : position + 4]), 8
        name = data[position + 4 : position + 8]
        if length == 1:
            length, head = int.from_bytes(data[position + 8 : position + 16]), 16
        elif length == 0:
            length = end - position
        if length < head or position + length > end:
            return
        yield name, position + head, position + length
        position += length


def _metadata_items(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Return the numbers of the items that are metadata, with their kind."""
    is_long = data[start] > 0
    found = {}
    for name, first, _ in _boxes(data, start + (8 if is_long else 6), end):
        version = data[first]
        if name != b"infe" or version < 2:
            continue
        width = 4 if version > 2 else 2
        number = int.from_bytes(data[first + 4 : first + 4 + width])
        kind = data[first + 6 + width : first + 10 + width]
        if kind in {b"Exif", b"mime"}:
            found[number] = kind
    return found


def _item_places(data: bytes, start: int, end: int) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Return for each item its construction method, and offset and length of its extents."""
    version = data[start]
    sizes = int.from_bytes(data[start + 4 : start + 6])
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version else 0
    position = start + 6

    def take(size: int) -> int:
        nonlocal position
        if position + size > end:
            raise IndexError
        value = int.from_bytes(data[position : position + size])
        position += size
        return value

    count = take(4 if version == 2 else 2)
    places = {}
    for _ in range(count):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        take(2)  # where the data are; 0 stands for this file
        base = take(base_size)
        extents = []
        for _ in range(take(2)):
            take(index_size)
            offset, length = take(offset_size), take(length_size)
            extents.append((base + offset, length))
        places[number] = method, extents
    return places
