"""Image diagnosis: a sentence for the user about a file that is no readable image.

The sentence is chosen by the file's first bytes and says what to do, if anything can be done.
"""

from typing import Final

DIAGNOSIS_BYTES: Final = 1024
"""Number of a file's first bytes that :func:`describe_unsupported` needs."""

_RAW = "the raw data of a camera; develop it to JPEG or PNG first"
_ARCHIVE = "a compressed archive, not an image"

_KNOWN_FORMATS = (
    (0, b"%PDF-", "a PDF document, not an image; export its pages as PNG or JPEG first"),
    (0, b"8BPS", "a Photoshop file; export it as PNG or JPEG first"),
    (0, b"%!PS", "a PostScript drawing; export it as PNG first"),
    (0, b"II*\0\x10\0\0\0CR", _RAW),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"IIU\0", _RAW),
    (4, b"ftypcrx ", _RAW),
    (4, b"ftyp", "a film, not an image; export one of its frames first"),
    (0, b"\x1aE\xdf\xa3", "a film, not an image; export one of its frames first"),
    (0, b"\xff\x0a", "a JPEG XL picture, which cannot be read here; convert it to PNG or JPEG first"),
    (4, b"JXL \r\n", "a JPEG XL picture, which cannot be read here; convert it to PNG or JPEG first"),
    (0, b"\0\0\1\0", "an icon file; export it as PNG first"),
    (0, b"PK\3\4", _ARCHIVE),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"\0\5\x16\7", "an AppleDouble file, which holds a Mac's notes on a file and no picture"),
)


def describe_unsupported(head: bytes) -> str:
    """Return one sentence about a file that is no readable image, by its first ``DIAGNOSIS_BYTES`` bytes."""
    for offset, magic, words in _KNOWN_FORMATS:
        if head[offset : offset + len(magic)] == magic:
            return f"This is {words}."
    if not head.strip(b"\0"):
        return "This is not an image: it begins with nothing but zero bytes, as a failed copy leaves them."
    text = _as_text(head)
    if text is None:
        return f"This is not an image of a kind known here: it begins with the bytes {head[:8].hex(' ')}."
    return _describe_text(text)


def _describe_text(text: str) -> str:
    """Return the sentence for a text file, which may be a drawing or a web page."""
    start = text.lower()
    if start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in start):
        return "This is an SVG drawing, which cannot be sent; export it as PNG first."
    if start.startswith(("<!doctype html", "<html")):
        return "This is a web page, not an image, as a failed download leaves it."
    return f'This is text, not an image: it begins with "{text[:32]}".'


def _as_text(head: bytes) -> str | None:
    """Return ``head`` as text with single spaces, or None if it is no text."""
    # The last character may be cut in half, so a few undecodable bytes are accepted.
    decoded = head.removeprefix(b"\xef\xbb\xbf").decode(errors="ignore")
    if len(decoded.encode()) < len(head) - 6:
        return None
    words = " ".join(decoded.split())
    return words if words.isprintable() else None
