"""How do replies come in as they were sent, and what is it when none comes?

One HTTP session for the SDK, which refuses every reply but those with status 200 before anybody
interprets it, and the table of everything else that can break on the wire. This file knows neither
what is asked, nor what a reply means (``answers``, ``refusals``).
"""

import asyncio
import json
import os
import re
import ssl
from contextlib import suppress
from typing import Any

import aiohttp

from errors import ApiFailure, ErrorKind
from gemini.refusals import HttpError
from gemini.wire import splice
from gemini.words import one_sentence

_READ_BUFFER_BYTES = 4 * 2**20
"""As in the SDK's own session."""

_REFUSAL_S = 10.0
_REFUSAL_BYTES = 2**20
"""What reading the body of a refusal may take; its status alone says most."""

BROKEN_REPLIES = (ValueError, LookupError, RecursionError)
"""What is raised over a reply that is not JSON, not UTF-8, in a charset that is none, or nested without
end, and by the SDK over JSON that it cannot make sense of."""

_USER_INFO = re.compile(r"//[^/@]{0,500}@")
"""The name and password for a proxy."""

_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)


class Refused(Exception):
    """A reply with a status other than 200; shows nothing of its content, which may hold the key."""

    def __init__(self, http: HttpError) -> None:
        super().__init__(f"HTTP {http.status}")
        self.http = http


def open_session() -> aiohttp.ClientSession:
    """Return a session for the SDK, to be closed by the caller.

    Concurrency is bounded by the caller, so it is not bounded here. Proxies are taken from the
    environment, as the SDK's own session does.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=True,
        read_bufsize=_READ_BUFFER_BYTES,
        middlewares=(_refuse, splice),
    )


async def _refuse(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Raise for what is no plain success, before anybody acts upon it.

    aiohttp would follow a redirect, to any host and with Google's header, which holds the key; the SDK
    would lose the status of an error whose body is no JSON (errors.py in 3.4.0), and would send a chunk
    three times in seven seconds when the reply lacks the upload's status (_api_client.py:2835). Uploads
    answer 200 at every step, like everything else.
    """
    response = await handler(request)
    if response.status != 200:
        raise Refused(await _taken_apart(response))
    if "X-Goog-Upload-Offset" in request.headers and "X-Goog-Upload-Status" not in response.headers:
        response.close()
        raise ValueError("an upload was answered without its status")
    return response


async def _taken_apart(response: aiohttp.ClientResponse) -> HttpError:
    body = await _body_of(response)
    return HttpError(
        status=response.status,
        body=_json_or_text(body.decode("utf-8", "replace")),
        headers={name.lower(): value for name, value in response.headers.items()},
        about_file=not response.url.path.endswith(":generateContent"),
    )


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    """Return what comes of a body, in reasonable time and size, before it breaks off."""
    body = bytearray()
    try:
        with suppress(aiohttp.ClientError, OSError):  # a timeout is one of the latter
            async with asyncio.timeout(_REFUSAL_S):
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > _REFUSAL_BYTES:
                        break
    finally:
        response.release()
    return bytes(body)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text


def broken_reply() -> ApiFailure:
    """Return the failure for a reply with status 200 that nobody can make sense of."""
    detail = "the reply is not what the service would send (a proxy may have answered)"
    return ApiFailure(kind=ErrorKind.NETWORK, detail=detail)


def lost(error: aiohttp.ClientError | OSError) -> ApiFailure:
    """Return the failure for a reply that never came, or not whole."""
    return ApiFailure(
        kind=ErrorKind.NETWORK,
        detail=one_sentence(_what_broke(error)),
        reached_server=not isinstance(error, _BEFORE_SENDING),
    )


def _what_broke(error: aiohttp.ClientError | OSError) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy does not let the connection through (HTTP {error.status} {error.message})"
    if isinstance(error, aiohttp.ClientConnectorError):
        proxy = "the proxy at " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        # A refused certificate has no os_error.
        cause = getattr(error, "certificate_error", None) or error.os_error
        return f"no connection to {proxy}{error.host}:{error.port} ({reason_of(cause)})"
    if isinstance(error, aiohttp.InvalidURL):
        url = _USER_INFO.sub("//", str(error))
        return f"the address of the service, or of a proxy, is no URL: {url}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the reply is no HTTP: {error.message}"
    return f"the connection was lost ({reason_of(error)})"


def reason_of(error: BaseException) -> str:
    """Return the cause in the system's own words, without the library's names, codes and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        if error.errno and error.errno > 0:
            return os.strerror(error.errno)
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
