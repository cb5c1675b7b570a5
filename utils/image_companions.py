"""Companions of a picture in its file: the film of a motion photo, further pictures."""

from collections.abc import Iterator
from typing import Final

from utils.image_formats import ImageFormat

_END: Final = b"\xff\xd9"
_FILM: Final = b"ftyp"
_BRANDS: Final = (b"mp4", b"isom", b"iso", b"qt  ", b"avc1", b"3gp", b"M4V", b"dash")
"""Beginnings of the names of film formats in the box ``ftyp``. Source: https://mp4ra.org, November 2026."""
_SEVERAL: Final = b"MPF\0"
"""Mark of the segment that lists the pictures of a JPEG with several (CIPA DC-007)."""
_MAX_GAP: Final = 65_536
"""Most bytes between picture and film, where some phones write a trailer of their own."""


def find_film(data: bytes) -> int | None:
    """Return the position behind the picture of a JPEG that a film follows; None if there is none."""
    if data.endswith(_END):  # as every ordinary JPEG does
        return None
    name = data.find(_FILM)
    while name > 0:
        end = data.rfind(_END, max(0, name - _MAX_GAP), name)
        if end > 0 and data.startswith(_BRANDS, name + len(_FILM)):
            return end + len(_END)
        name = data.find(_FILM, name + 1)
    return None


def describe_companions(data: bytes, kind: ImageFormat, *, film_at: int | None, frames: int) -> Iterator[str]:
    """Yield what is in the file besides the picture that is asked about."""
    if film_at is not None:
        yield "a motion photo: sent without its film"
    is_mpo = kind is ImageFormat.JPEG and data.find(_SEVERAL, 0, _MAX_GAP) > 0
    if is_mpo or (kind in {ImageFormat.HEIC, ImageFormat.HEIF} and frames > 1):
        yield "several pictures in one file: the main one is asked about"
