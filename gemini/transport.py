"""HTTP transport: one session for all requests, also the SDK's, and the failures of connections.

The session raises for every status but 200 before the SDK or the client reads the reply. See docs/adr/0006
and 0008.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import aiohttp
from aiohttp import hdrs

from errors import ApiFailure, ErrorKind
from gemini.connector import Connector, WatchedRequest
from gemini.error_mapping import HttpError
from gemini.reply_room import ReplyLease
from gemini.route import HttpRoute

_READ_BUFFER_BYTES = 2**18
"""Twice as much is buffered at most. With the SDK's 4 MB, eight replies with pictures at a time stopped the
event loop for 48 ms."""

_READ_AT_ONCE_BYTES = 2**19
"""Longer replies are joined as they arrive: at the end it takes 12 ms for 14 MB (docs/adr/0008)."""

_MAX_BODY_BYTES = 80_000_000
"""Longest reply that is read, two pictures of 30 MB; with its decoded pictures it takes less than 300 MB."""

_REFUSALS = {400, 401, 403, 404}
"""After these the connection is closed: a VPN may let single ones out elsewhere, and the next be served."""

_GIVEN_UP = {408, 499, 502, 504}
"""After these too: what a server on the way no longer waited for may still come."""

_ERROR_BODY_TIMEOUT_S = 10.0
_MAX_ERROR_BODY_BYTES = 2**18
"""Most time and bytes for the body of an error; its status alone says most."""

BROKEN_REPLY_ERRORS = (ValueError, LookupError, RecursionError)
"""Errors over a reply that is no JSON, not in its charset, in an unknown charset or nested too deeply, and
those of the SDK over JSON of another shape."""


class HttpStatusError(Exception):
    """A reply whose status is not 200; its text shows no content, which may hold the key."""

    def __init__(self, http: HttpError) -> None:
        super().__init__(f"HTTP {http.status}")
        self.http = http


def open_session(route: HttpRoute, on_connected: Callable[[float], None]) -> aiohttp.ClientSession:
    """Return a session for this route; the caller closes it, and bounds the concurrency.

    ``on_connected`` is called with the seconds that each of the first connections took.
    """
    return aiohttp.ClientSession(
        connector=Connector(on_connected=on_connected, certificates=route.certificates),
        request_class=WatchedRequest,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        proxy=route.proxy,
        headers=route.headers,
        read_bufsize=_READ_BUFFER_BYTES,
        middlewares=(_raise_for_status,),
    )


async def _raise_for_status(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Raise for every reply that is not a plain success, before aiohttp or the SDK acts upon it.

    aiohttp would follow a redirect to any host, with the key in a header. The SDK loses the status of an
    error whose body is no JSON, and sends a chunk three times if the reply lacks the upload's status
    (docs/api-facts.md, sections 1.4 and 2.8). Every step of an upload has status 200 as well.
    """
    response = await handler(request)
    if response.status != 200:
        raise HttpStatusError(await _to_http_error(response))
    if not response.url.path.endswith(":generateContent"):
        await _hold_body(response)
    if "X-Goog-Upload-Offset" in request.headers and "X-Goog-Upload-Status" not in response.headers:
        response.close()
        raise ValueError("an upload was answered without its status")
    return response


async def _hold_body(response: aiohttp.ClientResponse) -> None:
    """Read a reply that the SDK will ask for, since it would read one without end.

    Raises:
        ValueError: it is longer than any reply about a file.
    """
    body = bytearray()
    with ExitStack() as on_failure:
        on_failure.callback(response.close)
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > _MAX_ERROR_BODY_BYTES:
                raise ValueError("a reply about a file is longer than any")
        on_failure.pop_all()
    response._body = bytes(body)  # noqa: SLF001 - where aiohttp keeps what it has read


async def _to_http_error(response: aiohttp.ClientResponse) -> HttpError:
    body = await _read_error_body(response)
    return HttpError(
        status=response.status,
        body=_json_or_text(body.decode("utf-8", "replace")),
        headers={name.lower(): value for name, value in response.headers.items()},
        about_file=not response.url.path.endswith(":generateContent"),
    )


async def _read_error_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an error, or as much as arrives within the limits of time and size."""
    body = bytearray()
    try:
        with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > _MAX_ERROR_BODY_BYTES:
                        break
    finally:
        if response.status in _REFUSALS | _GIVEN_UP:
            response.close()
        else:
            response.release()
    return bytes(body)


async def read_body(response: aiohttp.ClientResponse, lease: ReplyLease) -> tuple[bytes | bytearray, str]:
    """Return a reply's body and its charset; a long one is joined piece by piece, as there is room for it.

    Raises:
        ValueError: it is longer than any answer can be.
    """
    if (response.content_length or 0) > _MAX_BODY_BYTES:
        raise ValueError("a reply is longer than any answer")
    is_compressed = hdrs.CONTENT_ENCODING in response.headers  # then its length is unknown
    if (
        not is_compressed
        and response.content_length is not None
        and response.content_length <= _READ_AT_ONCE_BYTES
    ):
        return await response.read(), response.get_encoding()
    body = bytearray()
    async for piece in response.content.iter_any():
        if len(body) + len(piece) > _MAX_BODY_BYTES:
            raise ValueError("a reply is longer than any answer")
        if len(body) + len(piece) > _READ_AT_ONCE_BYTES:
            await lease.grow(len(body) + len(piece))
            await asyncio.sleep(0)  # what is decompressed comes without a wait, and others have their turn
        body += piece
    try:
        return body, response.get_encoding()
    except RuntimeError:  # no charset and no JSON type: decode as aiohttp does
        return body, "utf-8"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text


def broken_reply_failure() -> ApiFailure:
    """Return the failure for a reply with status 200 that cannot be parsed."""
    detail = "the reply is not what the service would send (a proxy may have answered)"
    return ApiFailure(kind=ErrorKind.NETWORK, detail=detail)
