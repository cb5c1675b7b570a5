"""Response pictures: unwraps the pictures of an answer, and looks at each before it counts.

Gateways hand a picture on as a data URI, encoded twice, in lines, or within the text as Markdown; and what
is called a picture may be cut off, or a page. Source: docs/api-facts.md, section 2.9, November 2026.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from errors import ApiFailure, ErrorKind
from gemini.response_body import Encoded, decode_base64
from gemini.text import sanitize_sentence
from models import AnswerNote, Generation
from utils.image_formats import HEAD_BYTES, UnreadableImage, sniff
from utils.image_validator import check_picture

_MAX_WRAPPINGS = 3
_HEAD_CHARACTERS = 4096
_MAX_DATA_URIS = 200
"""More are no pictures: each may be searched for its end through the whole text."""
_MAX_PREFIX = 200
_TYPES_THAT_SAY_NOTHING = {"application/octet-stream", "binary/octet-stream", "png", "jpeg", "jpg", "webp"}
_BLANKS = b" \t\r\n"
_DATA_URI = re.compile(r"data:image/[\w.+-]{1,40}(?:;[\w=.-]{1,40}){0,3};base64,", re.IGNORECASE)
_MARKDOWN_START = re.compile(r"!\[[^\]\n]{0,500}\]\(\s{0,20}<?$")
_HTML_START = re.compile(r"<img\b[^<>]{0,500}$", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_CLOSERS = {"(": ")", '"': '"', "'": "'", "<": ">"}


class TextPictures(NamedTuple):
    """What stands in the text of an answer."""

    text: str
    """The text without its pictures."""
    encoded: tuple[str, ...]


def leave_out_damaged(answer: Generation, *, wants_images: bool) -> Generation:
    """Return an answer whose pictures are all whole; blocks, about 1 ms for each.

    Raises:
        ApiFailure: a picture is damaged, and without it nothing is left of the answer.
    """
    whole, damage = [], ""
    for image in answer.images:
        try:
            whole.append(replace(image, mime_type=check_picture(image.data).value))
        except UnreadableImage as error:
            damage = sanitize_sentence(str(error)).rstrip(".")
    if not damage:
        return answer
    if not whole and (wants_images or not answer.text.strip()):
        raise ApiFailure(
            kind=ErrorKind.MALFORMED,
            detail=f"a picture came that cannot be used: {damage}",
            http_status=200,
            api_status=answer.finish_reason or None,
            usage=answer.usage,
            partial_text=answer.text,
        )
    return replace(answer, images=tuple(whole), notes=(*answer.notes, AnswerNote.PICTURE_LEFT_OUT))


def is_picture_type(declared: str, encoded: Any) -> bool:
    """Return whether a part is a picture, by its declared type or, where that says nothing, by its data."""
    if declared.startswith("image/") or not declared:
        return True
    is_open = declared in _TYPES_THAT_SAY_NOTHING and isinstance(encoded, Encoded)
    return is_open and is_picture(encoded)


def is_picture(encoded: Encoded) -> bool:
    """Return whether the data begin like a picture, whatever type is declared."""
    data = encoded[:_HEAD_CHARACTERS]
    for _ in range(_MAX_WRAPPINGS):
        stripped = _strip(data)
        raw = decode_base64(stripped[: len(stripped) // 4 * 4])
        if sniff(raw[:HEAD_BYTES]):
            return True
        data = memoryview(raw)
    return False


def unwrap(encoded: Encoded) -> bytes:
    """Return the bytes of base64, also of a data URI, in lines, or encoded more than once; empty if none."""
    first = raw = decode_base64(_strip(encoded))
    for _ in range(_MAX_WRAPPINGS):
        if not raw or sniff(raw[:HEAD_BYTES]) or not _is_text(raw[:HEAD_BYTES]):
            break
        raw = decode_base64(_strip(memoryview(raw)))
    return raw if sniff(raw[:HEAD_BYTES]) else first


def _strip(encoded: Encoded) -> Encoded:
    """Return base64 without the prefix of a data URI and without blanks."""
    data = memoryview(encoded.encode("ascii", "replace")) if isinstance(encoded, str) else encoded
    head = bytes(data[:_MAX_PREFIX]).lstrip(_BLANKS)
    if head[:5].lower() == b"data:":
        comma = bytes(data[:_MAX_PREFIX]).find(b",")
        data = data[comma + 1 :] if comma >= 0 else data
    # Blanks come every 76 characters, or not at all.
    if any(blank in bytes(data[:1000]) or blank in bytes(data[-8:]) for blank in (b"\n", b"\r", b" ", b"\t")):
        data = memoryview(bytes(data).translate(None, _BLANKS))
    return data


def _is_text(head: bytes) -> bool:
    """Return whether decoded bytes can be base64 or a data URI once more."""
    return head.isascii() and re.fullmatch(rb"(?:data:[\w/;=.+-]*,)?[\w+/=\s-]+", head) is not None


def take_pictures(text: str) -> TextPictures:
    """Return a text without the pictures that stand in it as data URIs, and these.

    They stand there as Markdown, as HTML, or bare. What does not look like a picture stays in the text.
    """
    pieces, found, at = [], [], 0
    for start, end, encoded in _find_data_uris(text):
        if start >= at and is_picture(encoded):
            pieces.append(text[at:start])
            found.append(encoded)
            at = end
    return TextPictures("".join((*pieces, text[at:])) if found else text, tuple(found))


def _find_data_uris(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the start and end of each construct around a data URI, and its base64."""
    for match in islice(_DATA_URI.finditer(text), _MAX_DATA_URIS):
        before = text[max(0, match.start() - 600) : match.start()]
        opener = before[-1:]
        closer = _CLOSERS.get(opener)
        end = text.find(closer, match.end()) if closer else -1
        if end < 0:
            bare = _BARE.match(text, match.end())
            yield match.start(), bare.end() if bare else match.end(), bare[0] if bare else ""
            continue
        encoded = text[match.end() : end].partition('"')[0]
        start = match.start()
        if construct := (_MARKDOWN_START.search(before) or _HTML_START.search(before)):
            start -= len(before) - construct.start()
            tail = text.find(")" if construct[0].startswith("!") else ">", end)
            end = tail if tail >= 0 else end
            yield start, end + 1, encoded
        else:
            yield start, end, encoded
