"""How do an image's bytes reach the wire without holding up everything else?

The SDK encodes an image to base64, wraps it in JSON and encodes that, all at once on the event loop:
it stood still for 35 ms with an image of 4 MB, 114 ms with one of 14 MB (google-genai 3.4.0, 2 cores,
November 2026; 6 and 8 ms this way). So the SDK is given a stand-in for the image, and the body it
made is cut open on its way out: the image is encoded piece by piece while it is sent. This file knows
neither what is asked nor what is answered.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    TCPConnector,
    hdrs,
    payload,
)
from aiohttp.abc import AbstractStreamWriter

STAND_IN = b"the image itself is put in here while it is sent"
_ENCODED_STAND_IN = base64.urlsafe_b64encode(STAND_IN)
_PIECE_BYTES = 3 * 2**17
"""Of the image, encoded at once: half a millisecond. A multiple of 3, so that pieces join."""

_READ_BUFFER_BYTES = 4 * 2**20
"""As in the SDK's own session."""

_PORTS = {"http": 80, "https": 443}

_image: ContextVar[bytes | None] = ContextVar("image", default=None)


def open_session(base_url: str) -> ClientSession:
    """Return a session for the SDK, to be closed by the caller.

    The key goes to the host of ``base_url`` and, after a redirect, to no other.
    Concurrency is bounded by the caller, so it is not bounded here. Proxies are taken from the
    environment, as the SDK's own session does.
    """
    return ClientSession(
        connector=TCPConnector(limit=0),
        trust_env=True,
        read_bufsize=_READ_BUFFER_BYTES,
        middlewares=(_key_only_to(base_url), _splice, _refuse_upload_retries),
    )


@contextmanager
def in_place_of(image: bytes) -> Iterator[bytes]:
    """Lend the stand-in for an image; what this task sends meanwhile carries the image instead."""
    token = _image.set(image)
    try:
        yield STAND_IN
    finally:
        _image.reset(token)


def _key_only_to(base_url: str) -> Callable[[ClientRequest, ClientHandlerType], Awaitable[ClientResponse]]:
    """Guard the key: at a redirect to another host aiohttp drops ``Authorization``, not Google's header."""
    parts = urlsplit(base_url)
    home = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))

    async def guard(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        url = request.url
        if home not in {(url.scheme, host, url.port) for host in (url.host, url.raw_host)}:
            request.headers.pop("x-goog-api-key", None)
        return await handler(request)

    return guard


async def _splice(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    image = _image.get()
    # A redirect keeps the body that was made here, or makes a GET of it, which has none.
    is_cut = isinstance(request.body, _Spliced)
    if image is not None and request.method == hdrs.METH_POST and not is_cut:
        if not isinstance(request.body, payload.Payload):
            raise RuntimeError("the SDK made a body of a kind that cannot be cut open")
        # The image is the first part; nothing that a user writes comes before it.
        head, found, tail = (await request.body.as_bytes()).partition(_ENCODED_STAND_IN)
        if not found:
            raise RuntimeError("the SDK made a body without the image's place in it")
        await request.update_body(_Spliced(head, image, tail))
    return await handler(request)


async def _refuse_upload_retries(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Raise at once what an upload is refused with.

    The SDK would send the chunk three times in seven seconds (_api_client.py:2835 in 3.4.0) whenever
    a reply lacks the upload's status, as those of an overloaded service do.
    """
    from google.genai import errors  # noqa: PLC0415

    response = await handler(request)
    if "X-Goog-Upload-Offset" in request.headers and "X-Goog-Upload-Status" not in response.headers:
        await errors.APIError.raise_for_async_response(response)  # type: ignore[no-untyped-call,unused-ignore]
        response.close()
        raise ValueError("an upload was answered without its status")
    return response


class _Spliced(payload.Payload):
    """A JSON body with an image in its middle, which is encoded while it is sent."""

    def __init__(self, head: bytes, image: bytes, tail: bytes) -> None:
        super().__init__(image, content_type="application/json")
        self._head, self._image, self._tail = head, image, tail
        self._size = len(head) + -(-len(image) // 3) * 4 + len(tail)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the whole body; nobody asks for it while sending."""
        body = self._head + base64.b64encode(self._image) + self._tail
        return body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body, giving way to others after each piece."""
        await writer.write(self._head)
        view = memoryview(self._image)
        for start in range(0, len(view), _PIECE_BYTES):
            await writer.write(binascii.b2a_base64(view[start : start + _PIECE_BYTES], newline=False))
            await asyncio.sleep(0)
        await writer.write(self._tail)
