"""Random mutations of a reply: of its document, its text, its encoding, its frame and its headers."""

import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.attack.raw_server import RawReply

_JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**40, 2**63, 10**400, 1.5, -0.0, float("nan"), float("inf"), "", " ", "0",
    "-7", "1e9", "\ud800", "\0", "a\r\nb", "STOP", "SAFETY", "MAX_TOKENS", "ERROR", [], [None], [[]], {},
    {"": ""}, {"error": {"code": 500}}, "x" * 5_000, "\u202e", "data:image/png;base64,AAAA",
)  # fmt: skip
_CHARSETS = ("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7")
_MOST_FLIPPED = 12
NO_IMAGE = "0" * 64
_OTHER_ANSWER = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": f"image {NO_IMAGE}"}]}, "finishReason": "STOP"}
    ]
}
"""An answer that belongs to no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A reply in the making."""

    document: Any
    """What the body says."""
    body: bytes = b""
    status: int = 200
    reason: str = "OK"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json; charset=UTF-8"),)
    sent: bytes | None = None
    """The body as it travels, where that is not the body itself."""


def mutate(document: Mapping[str, Any], draw: random.Random, *, frames: float = 0.5) -> tuple[str, RawReply]:
    """Return a random mutation of a reply, and its name; so many of them are of the frame."""
    name = draw.choice(sorted(FRAMES if draw.random() < frames else BODIES))
    parts = Parts(document=document, body=json.dumps(document).encode())
    if name in BODIES:
        return name, frame(BODIES[name](parts, draw))
    return name, FRAMES[name](parts, draw)


def frame(parts: Parts, *, closes: bool = False) -> RawReply:
    """Return the reply whole and framed as it should be."""
    sent = parts.body if parts.sent is None else parts.sent
    data = _head(parts, ("Content-Length", str(len(sent)))) + sent
    return RawReply(data=data, body=parts.body, status=parts.status, closes=closes)


def _head(parts: Parts, *more: tuple[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {parts.status} {parts.reason}", *(f"{n}: {v}" for n, v in (*parts.headers, *more))]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _with_document(parts: Parts, document: Any) -> Parts:
    return replace(parts, document=document, body=json.dumps(document).encode())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from _paths(item, (*path, name))


def _holder(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path[:-1]:
        document = document[name]
    return document


def change_types(parts: Parts, draw: random.Random) -> Parts:
    """Put other things in the place of one to three members."""
    document = copy.deepcopy(parts.document)
    for _ in range(draw.randint(1, 3)):
        paths = list(_paths(document))
        if paths:
            path = draw.choice(paths)
            _holder(document, path)[path[-1]] = copy.deepcopy(draw.choice(_JUNK))
    return _with_document(parts, document)


def drop_members(parts: Parts, draw: random.Random) -> Parts:
    """Remove a member."""
    document = copy.deepcopy(parts.document)
    path = draw.choice(list(_paths(document)))
    del _holder(document, path)[path[-1]]
    return _with_document(parts, document)


def rename_members(parts: Parts, draw: random.Random) -> Parts:
    """Give a member another name."""
    document = copy.deepcopy(parts.document)
    path = draw.choice([path for path in _paths(document) if isinstance(path[-1], str)])
    holder = _holder(document, path)
    name = draw.choice([path[-1].upper(), path[-1] + " ", "", "__proto__", path[-1][::-1], "thought"])
    holder[name] = holder.pop(path[-1])
    return _with_document(parts, document)


def nest(parts: Parts, draw: random.Random) -> Parts:
    """Wrap it in lists or objects, up to very deep."""
    depth = draw.choice([1, 2, 50, 5_000, 200_000])
    before, after = draw.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return replace(parts, document=None, body=before * depth + parts.body + after * depth)


def repeat_members(parts: Parts, draw: random.Random) -> Parts:
    """Say it twice: two documents, two members of one name, or a list of both."""
    body = parts.body
    twice = draw.choice(
        [body + body, body + b"\n" + body, b"[" + body + b"," + body + b"]", body[:-1] + b"," + body[1:]]
    )
    return replace(parts, body=twice)


def flip_bits(parts: Parts, draw: random.Random) -> Parts:
    """Flip some bits of the text."""
    data = bytearray(parts.body)
    for _ in range(draw.randint(1, _MOST_FLIPPED)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return replace(parts, body=bytes(data))


def cut_text(parts: Parts, draw: random.Random) -> Parts:
    """End the document early, in a frame that is whole."""
    return replace(parts, body=parts.body[: draw.randrange(len(parts.body))])


def insert_bytes(parts: Parts, draw: random.Random) -> Parts:
    """Put random bytes somewhere."""
    at = draw.randrange(len(parts.body) + 1)
    return replace(parts, body=parts.body[:at] + draw.randbytes(draw.randint(1, 30)) + parts.body[at:])


def change_charset(parts: Parts, draw: random.Random) -> Parts:
    """Write the text in another charset, and say so or not."""
    name = draw.choice(_CHARSETS)
    told = draw.choice([name, "utf-8", "klingon", "", "ascii"])
    body = parts.body.decode("latin-1").encode(name, "replace")
    return replace(parts, body=body, headers=(("Content-Type", f"application/json; charset={told}"),))


def change_type(parts: Parts, draw: random.Random) -> Parts:
    """Say that it is something else."""
    told = draw.choice(
        ["text/html", "text/event-stream", "image/png", "", "a" * 9_000, "application/json;" * 40]
    )
    return replace(parts, headers=(("Content-Type", told),))


def change_status(parts: Parts, draw: random.Random) -> Parts:
    """Give it another status."""
    return replace(
        parts, status=draw.choice([201, 202, 203, 206, 207, 226, 299, 300, 408, 425, 500, 502, 503, 599])
    )


def compress(parts: Parts, draw: random.Random) -> Parts:
    """Compress it in a way that its headers tell."""
    coding, packed = draw.choice(
        [
            ("gzip", gzip.compress(parts.body)),
            ("deflate", zlib.compress(parts.body)),
            ("GZIP", gzip.compress(parts.body)),
        ]
    )
    return replace(parts, sent=packed, headers=(*parts.headers, ("Content-Encoding", coding)))


def _damaged_coding(parts: Parts, draw: random.Random) -> RawReply:
    packed = gzip.compress(parts.body)
    coding, sent = draw.choice(
        [
            ("gzip", packed[: draw.randrange(len(packed))]),
            ("gzip", parts.body),
            ("br", parts.body),
            ("gzip, gzip", packed),
            ("zstd", draw.randbytes(200)),
            ("gzip", packed[:12] + draw.randbytes(len(packed))),
        ]
    )
    reply = frame(replace(parts, sent=sent, headers=(*parts.headers, ("Content-Encoding", coding))))
    return replace(reply, body=_unpack_whole(parts.body, sent) if coding == "gzip" else None)


def _unpack_whole(body: bytes, packed: bytes) -> bytes | None:
    """Return the body if all of it can be unpacked: only what checks it is cut off then."""
    try:
        return body if zlib.decompressobj(31).decompress(packed) == body else None
    except zlib.error:
        return None


def _wrong_length(parts: Parts, draw: random.Random) -> RawReply:
    length = draw.choice(
        [str(len(parts.body) + draw.randint(1, 999)), "-5", "x", "1e3", "9" * 40, "0x10", ""]
    )
    return RawReply(data=_head(parts, ("Content-Length", length)) + parts.body, closes=True)


def _short_length(parts: Parts, draw: random.Random) -> RawReply:
    """The frame ends early, and the rest of the body follows as stray bytes."""
    length = draw.randrange(len(parts.body))
    data = _head(parts, ("Content-Length", str(length))) + parts.body
    return RawReply(data=data, body=parts.body[:length], closes=draw.random() < 0.5)


def _two_lengths(parts: Parts, draw: random.Random) -> RawReply:
    lengths = [str(len(parts.body)), str(draw.randint(0, 99))]
    draw.shuffle(lengths)
    data = _head(parts, *(("Content-Length", length) for length in lengths)) + parts.body
    return RawReply(data=data, closes=True)


def _stray_bytes(parts: Parts, draw: random.Random) -> RawReply:
    """Bytes after the reply, at once or later: garbage, or another reply with an answer to no call."""
    other = frame(Parts(document=None, body=json.dumps(_OTHER_ANSWER).encode())).data
    stray = draw.choice([other, other, draw.randbytes(20), b"\r\n" * 9])
    whole = frame(parts)
    if draw.random() < 0.5:
        return replace(whole, data=whole.data + stray)
    return replace(whole, later=stray)


def _chunked(parts: Parts, draw: random.Random) -> RawReply:
    """Chunks of random sizes, whole."""
    data, rest = _head(parts, ("Transfer-Encoding", "chunked")), parts.body
    while rest:
        size = draw.randint(1, 400)
        piece, rest = rest[:size], rest[size:]
        extension = draw.choice([b"", b";a=b", b" "])
        data += b"%x" % len(piece) + extension + b"\r\n" + piece + b"\r\n"
    return RawReply(data=data + b"0\r\n\r\n", body=parts.body)


def _broken_chunks(parts: Parts, draw: random.Random) -> RawReply:
    """Chunks whose sizes are no numbers, are wrong, or that never end."""
    size = draw.choice(
        [b"-1", b"zz", b"", b"0x10", b"F" * 30, b"%x" % (len(parts.body) + 5), b"%x" % (len(parts.body) // 2)]
    )
    end = draw.choice([b"", b"0\r\n", b"\r\n0\r\n\r\n"])
    data = _head(parts, ("Transfer-Encoding", "chunked")) + size + b"\r\n" + parts.body + end
    return RawReply(data=data, closes=True)


def _cut_anywhere(parts: Parts, draw: random.Random) -> RawReply:
    data = frame(parts).data
    return RawReply(data=data[: draw.randrange(len(data))], closes=True)


def _noise(_: Parts, draw: random.Random) -> RawReply:
    data = draw.choice(
        [
            draw.randbytes(300),
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.1 999999 X\r\n\r\n",
            b"\0" * 50,
            b"SSH-2.0-x\r\n",
        ]
    )
    return RawReply(data=data, closes=True)


def _odd_headers(parts: Parts, draw: random.Random) -> RawReply:
    """Headers that are odd, many or long; the body is whole."""
    more = draw.choice(
        [
            [("X-Long", "x" * 7_000)],
            [(f"X-{n}", "y") for n in range(90)],
            [("Set-Cookie", "a=b"), ("Retry-After", "-1"), ("Date", "never")],
            [("X-Bytes", "\xff\xfe")],
            [("Keep-Alive", "timeout=-1"), ("Upgrade", "h2c")],
        ]
    )
    return frame(replace(parts, headers=(*parts.headers, *more)))


def _interim(parts: Parts, draw: random.Random) -> RawReply:
    """Interim replies before the real one."""
    first = draw.choice([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
    whole = frame(parts)
    return replace(whole, data=first * draw.randint(1, 5) + whole.data)


def _without_length(parts: Parts, _: random.Random) -> RawReply:
    """The body ends with the connection."""
    return RawReply(data=_head(parts) + parts.body, body=parts.body, closes=True)


BODIES: Mapping[str, Callable[[Parts, random.Random], Parts]] = {
    "other types": change_types,
    "other types again": change_types,
    "dropped": drop_members,
    "renamed": rename_members,
    "nested": nest,
    "said twice": repeat_members,
    "flipped bits": flip_bits,
    "cut text": cut_text,
    "inserted": insert_bytes,
    "charset": change_charset,
    "content type": change_type,
    "status": change_status,
    "compressed": compress,
}
"""Mutations of what is said; the frame around it is right."""

FRAMES: Mapping[str, Callable[[Parts, random.Random], RawReply]] = {
    "damaged coding": _damaged_coding,
    "wrong length": _wrong_length,
    "short length": _short_length,
    "two lengths": _two_lengths,
    "stray bytes": _stray_bytes,
    "chunked": _chunked,
    "broken chunks": _broken_chunks,
    "cut anywhere": _cut_anywhere,
    "noise": _noise,
    "odd headers": _odd_headers,
    "interim": _interim,
    "without length": _without_length,
}
"""Mutations of how it travels."""
