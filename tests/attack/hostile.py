"""Hostile replies, one builder for each: bombs, floods, odd numbers, odd pictures, odd words."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.attack.mutations import Parts, frame
from tests.attack.raw_server import RawReply
from tests.emulator.answers import answer
from tests.emulator.replies import Context
from tests.support.hostile_images import encoded, picture, pixel_bomb

_MB = 1 << 20
_JSON = ("Content-Type", "application/json; charset=UTF-8")
_START = b'{"candidates":[{"content":{"parts":[{"text":"'
_END = b'"}]},"finishReason":"STOP"}]}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n"
_NUMBER = b'{"usageMetadata":{"promptTokenCount":'
_NAME = 60
_PIECE = 65_536
_MANY = 100_000
_DEPTHS = (900, 100_000, 3_000_000)
_ITEMS = (b"[],", b'{"a":1},', b"1e9,", b'"abcdefgh",')
_DELAYS = ("1e309s", "-5s", "NaNs", "0s", "9" * 400 + "s", "1s\nx", "\u0661s")
_AFTERS = ("-1", "1e309", "NaN", "Mon, 99 Foo", "\u00b2")
_COUNTS: tuple[Any, ...] = (-1, 2**40, 2**70, "7", "x", 1.5, 1e300, None, [], {}, True)
_TYPES = (
    *("image/../../../x", "image/png\n", "", "image/", "/etc/passwd", "image/png;a=b", "x" * 9_000),
    *("IMAGE/PNG", "image/\u202e"),
)
_MESSAGES = ("\x1b[2J\x1b]0;x\x07", "\u202e\u2066", "a\r\nb: c", "\0", "\ud800", "x" * _MB, "%s%n{0}", "")
_TEXTS = ("\x1b[2J", "\0\0", "\ud800\udfff", "\r\n" * 9, "[DRY RUN]", " ", "\ufeff", "../../x", "a\u2028b")
_REASONS = ("\x1b[2J", "x" * 99_999, "\u202e", "STOP\n", "stop")
_VERSIONS = ("../../x", "\n", "x" * 99_999, "\ud800")
_TARGETS = ("file:///etc/passwd", "http://127.0.0.1:1/", "//x", "\u202e", "/v1beta/models")

Build = Callable[[Context], RawReply]
Headers = tuple[tuple[str, str], ...]
Pack = Callable[[bytes], bytes]


def _document(change: Callable[[dict[str, Any]], Any]) -> Build:
    """Return a builder of the right answer with a change."""

    def build(context: Context) -> RawReply:
        document = answer(context)
        change(document)
        return frame(Parts(document=None, body=json.dumps(document).encode()))

    return build


def _body(
    body: Callable[[], bytes], *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Build:
    return lambda _: frame(Parts(document=None, body=body(), status=status, headers=(_JSON, *headers)))


def _packed(
    coding: str, pack: Callable[[bytes], bytes], body: Callable[[], bytes], *, status: int = 200
) -> Build:
    """Return a builder of a reply that is small on the wire."""

    def build(_: Context) -> RawReply:
        headers = (_JSON, ("Content-Encoding", coding))
        return frame(Parts(document=None, sent=pack(body()), status=status, headers=headers))

    return build


def _candidate(**members: Any) -> Build:
    return _document(lambda document: document["candidates"][0].update(members))


def _parts(*parts: Any) -> Build:
    content = {"role": "model", "parts": list(parts)}
    return _document(lambda document: document["candidates"][0].update(content=content))


def _usage(**counts: Any) -> Build:
    return _document(lambda document: document["usageMetadata"].update(counts))


def _usage_of(count: Any) -> Build:
    return _usage(promptTokenCount=count, candidatesTokenCount=count, thoughtsTokenCount=count)


def _inline(mime_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def _text_of(size_mb: int) -> Callable[[], bytes]:
    return lambda: _START + b"a" * (size_mb * _MB) + _END


def _blanks(size_mb: int) -> Callable[[], bytes]:
    return lambda: b" " * (size_mb * _MB) + _START + b"x" + _END


def _list_of(item: bytes, size_mb: int) -> Callable[[], bytes]:
    return lambda: b'{"candidates":[' + item * (size_mb * _MB // len(item)) + b"0]}"


def _quota(delay: str, retry_after: str) -> Build:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    error: dict[str, Any] = {"code": 429, "message": f"Please retry in {delay}.", "details": [info]}
    body = json.dumps({"error": {**error, "status": "RESOURCE_EXHAUSTED"}}).encode()
    return _body(lambda: body, status=429, headers=(("Retry-After", retry_after),))


def _error(message: str, status: int = 400) -> Build:
    error = {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}
    return _body(lambda: json.dumps(error).encode(), status=status)


def _raw(data: bytes, endless: bytes = b"", pause_s: float = 0.0) -> Build:
    return lambda _: RawReply(data=data, endless=endless, pause_s=pause_s, closes=True)


def _redirect(target: str) -> Build:
    return _body(lambda: b"", status=302, headers=(("Location", target),))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1)


def _each(words: str, values: Iterable[Any], build: Callable[[Any], Build]) -> dict[str, Build]:
    """Return a reply for each value, under a name that shows it."""
    return {f"{words} {value!r}"[:_NAME]: build(value) for value in values}


def _nested(depth: int, before: bytes, after: bytes) -> Build:
    return _body(lambda: before * depth + after * depth)


BOMBS: Mapping[str, Build] = {
    **_each("gzip of MB of text", (20, 150), lambda size: _packed("gzip", _gzip, _text_of(size))),
    **_each("gzip of MB of blanks", (20, 150), lambda size: _packed("gzip", _gzip, _blanks(size))),
    **_each(
        "deflate of MB of text", (20, 150), lambda size: _packed("deflate", zlib.compress, _text_of(size))
    ),
    "gzip in gzip": _packed("gzip, gzip", lambda data: _gzip(_gzip(data)), _text_of(150)),
    "gzip of lists": _packed("gzip", _gzip, _list_of(b"[],", 60)),
    "gzip of zeros": _packed("gzip", _gzip, _list_of(b"0,", 60)),
    "gzip of objects": _packed("gzip", _gzip, _list_of(b'{"a":{}},', 60)),
    "gzip of an error": _packed("gzip", _gzip, _blanks(150), status=400),
    "gzip of an outage": _packed("gzip", _gzip, _blanks(150), status=503),
    **_each("3 MB of", _ITEMS, lambda item: _body(_list_of(item, 3))),
    **_each("30 MB of", _ITEMS, lambda item: _body(_list_of(item, 30))),
    **_each("MB of text", (1, 12, 60), lambda size: _body(_text_of(size))),
    **_each("lists nested", _DEPTHS, lambda depth: _nested(depth, b"[", b"]")),
    **_each("objects nested", _DEPTHS, lambda depth: _nested(depth, b'{"a":', b"}")),
    "a number of a million digits": _body(lambda: _NUMBER + b"9" * _MB + b"}}"),
    "a million escapes": _body(lambda: _START + b"\\u0041" * _MB + _END),
    "a million surrogates": _body(lambda: _START + b"\\ud800" * _MB + _END),
    "100,000 parts": _parts(*[{"text": "a"}] * _MANY),
    "20,000 candidates": _document(lambda one: one.update(candidates=one["candidates"] * (_MANY // 5))),
    "100,000 members of one name": _body(lambda: b"{" + b'"candidates":[],' * _MANY + b'"a":1}'),
}

FLOODS: Mapping[str, Build] = {
    "an endless body": _raw(_HEAD + b"\r\n" + _START, b"a" * _PIECE),
    "endless blanks": _raw(_HEAD + b"\r\n", b" " * _PIECE),
    "endless chunks": _raw(_CHUNKED + b"\r\n", b"1\r\na\r\n" * 4_096),
    "an endless chunk extension": _raw(_CHUNKED + b"\r\n1;", b"a" * _PIECE),
    "endless headers": _raw(_HEAD, b"X-A: " + b"b" * 1_000 + b"\r\n"),
    "an endless header": _raw(_HEAD + b"X-A: ", b"b" * _PIECE),
    "an endless status line": _raw(b"HTTP/1.1 200 ", b"O" * _PIECE),
    "endless interim replies": _raw(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    "endless trailers": _raw(_CHUNKED + b"\r\n0\r\n", b"X-A: b\r\n" * 500),
    "an endless error": _raw(b"HTTP/1.1 500 X\r\n\r\n", b"a" * _PIECE),
    "an endless refusal": _raw(b"HTTP/1.1 400 X\r\n\r\n", b"a" * _PIECE),
    "a dripping body": _raw(_HEAD + b"Content-Length: 99999\r\n\r\n", b" ", 0.2),
    "dripping headers": _raw(_HEAD, b"X", 0.2),
    "a length of 10^18": _raw(_HEAD + b"Content-Length: 999999999999999999\r\n\r\n", b" " * _PIECE),
    "200 headers": _raw(_HEAD + b"X-A: b\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}"),
    "a header of 1 MB": _raw(_HEAD + b"X-A: " + b"b" * _MB + b"\r\n\r\n"),
}

NUMBERS: Mapping[str, Build] = {
    **_each("a hint of", _DELAYS, lambda delay: _quota(delay, "1")),
    **_each("Retry-After", _AFTERS, lambda after: _quota("0.1s", after)),
    **_each("usage of", _COUNTS, _usage_of),
    "usage missing": _document(lambda one: one.pop("usageMetadata")),
    "usage in details": _usage(candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 2**60}] * 1_000),
    "index 2^70": _candidate(index=2**70),
}

PICTURES: Mapping[str, Build] = {
    "a pixel bomb as a picture": _parts(_inline("image/png", pixel_bomb())),
    "an empty picture": _parts(_inline("image/png", b"")),
    "a page as a picture": _parts(_inline("image/png", b"<html>")),
    "a script as a picture": _parts(_inline("image/svg+xml", b"<svg onload='alert(1)'/>")),
    "a program as a picture": _parts(_inline("application/x-elf", b"\x7fELF" * 9)),
    **_each("a picture of type", _TYPES, lambda kind: _parts(_inline(kind, encoded(picture(1), "PNG")))),
    "20,000 pictures": _parts(*[_inline("image/png", b"\x89PNG\r\n\x1a\n")] * 20_000),
    "a picture of 40 MB": _parts(_inline("image/png", encoded(picture(2), "PNG") + bytes(40 * _MB))),
    "bad base64": _parts({"inlineData": {"mimeType": "image/png", "data": "*" * 999}}),
    "base64 of surrogates": _parts({"inlineData": {"mimeType": "image/png", "data": "\ud800" * 99}}),
    "a picture in the text": _parts({"text": "![x](data:image/png;base64," + "A" * 4_000 + ")"}),
    "a file": _parts({"fileData": {"fileUri": "file:///etc/passwd", "mimeType": "text/plain"}}),
    "code": _parts({"executableCode": {"code": "import os"}}, {"functionCall": {"name": "rm"}}),
}

WORDS: Mapping[str, Build] = {
    **_each("a message of", _MESSAGES, _error),
    **_each("a text of", _TEXTS, lambda text: _parts({"text": text})),
    **_each("a reason of", _REASONS, lambda text: _candidate(finishReason=text, finishMessage=text)),
    **_each(
        "a version of",
        _VERSIONS,
        lambda text: _document(lambda one: one.update(modelVersion=text, responseId=text)),
    ),
    **_each("a redirect to", _TARGETS, _redirect),
}

HOSTILE: Mapping[str, Build] = {**BOMBS, **FLOODS, **NUMBERS, **PICTURES, **WORDS}
"""All of them, by name."""
