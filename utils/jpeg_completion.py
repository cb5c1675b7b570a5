"""JPEG completion: where the picture of a JPEG without an end mark may end.

Samsung's panoramas lack it (https://github.com/libjpeg-turbo/libjpeg-turbo/issues/163, November 2026).
Only decoding tells whether all rows are there: see ``image_decoding``.
"""

import re
from collections.abc import Iterator
from typing import Final

from utils.image_structure import find_scan_end, read_segment

END_MARK: Final = b"\xff\xd9"

_SOS: Final = 0xDA
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = 0xC2
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})

_SAMSUNG_BLOCK: Final = re.compile(rb"\0\0..[\x04-\x40]\0\0\0[A-Z][A-Za-z]+_[A-Za-z_]{3}", re.DOTALL)
"""The first block behind a Samsung picture: kind, length of the name, name, such as ``Image_UTC_Data``."""
_FILL_BYTES: Final = 16
"""So many zeros at the end are no picture: a download that broke off leaves them."""

TAILS: Final = tuple(
    b"".join(bytes((0xFF, 0xD0 + number % 8)) + pattern for number in range(-1, 16))[2:]
    for pattern in (b"\x53\xca\x17\x96\xe4\x3d\x81\x6a" * 64, b"\xac\x35\xe8\x69\x1b\xc2\x7e\x95" * 64)
)
"""Two continuations of a scan with opposite bits; restart markers between, at one of which the scan may end.

A picture that is all there looks the same with both, since nothing behind its last row is decoded.
"""


def find_ends(data: bytes) -> Iterator[int]:
    """Yield the positions at which the end mark may be missing, the likeliest first; none if it is not."""
    scan = _find_last_scan(data)
    if scan is None:
        return
    start, end = scan
    if data[end : end + 2] == END_MARK:
        return
    block = _SAMSUNG_BLOCK.search(data, start, end)
    if block is not None:
        yield block.start()
        return
    filled = start + len(data[start:end].rstrip(b"\0"))
    if end - filled >= _FILL_BYTES:
        # A zero may belong to the picture; behind FF one does.
        first = filled + (data[filled - 1 : filled] == b"\xff")
        yield from (first, first + 1)
        return
    # Half of the mark may be there.
    yield end - (data[end - 1 : end] == b"\xff")


def describe_rarity(data: bytes) -> str:
    """Return what is rare about a JPEG, with its article; empty if it is an ordinary one."""
    position = 2
    while (head := data[position : position + 5])[:1] == b"\xff" and len(head) == 5:
        mark, length = head[1], int.from_bytes(head[2:4], "big")
        if mark in _FRAMES:
            if head[4] != 8:
                return f"one of {head[4]} bits"
            return "" if mark in _SEQUENTIAL or mark == _PROGRESSIVE else "a lossless or arithmetic-coded one"
        if length < 2 or mark in {_SOS, END_MARK[1]}:
            return ""
        position += 2 + length
    return ""


def _find_last_scan(data: bytes) -> tuple[int, int] | None:
    """Return start and end of the last scan; None if it cannot be the last one of a whole picture."""
    last: tuple[int, int] | None = None
    frame = b""
    refined: dict[tuple[int, int], int] = {}
    position = 2
    while (segment := read_segment(data, position)) is not None:
        position += len(segment)
        mark = segment[1]
        if mark in _SEQUENTIAL or mark == _PROGRESSIVE:
            frame = segment
        elif mark == _SOS and frame:
            last = position, find_scan_end(data, position)
            position = last[1]
            refined |= _refined_by(segment)
            if _is_last(frame, refined):
                return last
    return None


def _refined_by(scan: bytes) -> dict[tuple[int, int], int]:
    """Return the bits that are still missing of each coefficient of each component after a scan."""
    count = scan[4]
    components, spectrum = scan[5 : 5 + 2 * count : 2], scan[5 + 2 * count :]
    if len(spectrum) < 3:
        return {}
    coefficients = range(spectrum[0], min(spectrum[1], 63) + 1)
    return {(component, number): spectrum[2] & 0xF for component in components for number in coefficients}


def _is_last(frame: bytes, refined: dict[tuple[int, int], int]) -> bool:
    """Return whether all coefficients of all components of a frame are there with all their bits."""
    components = frame[10 : 10 + 3 * frame[9] : 3] if len(frame) > 9 else b""
    numbers = range(64) if frame[1] == _PROGRESSIVE else range(1)
    return bool(components) and all(
        refined.get((component, number), 1) == 0 for component in components for number in numbers
    )
