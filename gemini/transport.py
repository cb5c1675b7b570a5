"""How do replies come in as they were sent, and what is it when none comes?

One HTTP session for all requests, the SDK's too, which refuses every reply but those with status 200
before anybody interprets it, and the table of everything else that can break on the wire. The way to the
service (proxy, certificates) is found once: aiohttp would read environment and ``.netrc`` anew for every
request, in a thread. This file knows neither what is asked, nor what a reply means (``answers``,
``refusals``).
"""

import asyncio
import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import certifi
from aiohttp import hdrs, helpers
from yarl import URL

from errors import ApiFailure, ErrorKind
from gemini.error_mapping import HttpError
from gemini.text import sanitize_sentence

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_READ_BUFFER_BYTES = 2**18
"""At most twice as much waits for a task to take it. With the 4 MB of the SDK's session and eight replies
with pictures at a time, what they bring in one turn of the loop was a standstill of 48 ms."""

_READ_AT_ONCE_BYTES = 2**19
"""Of a reply, joined at once; 14 MB take 12 ms, and those of several calls may arrive together."""

_MAX_BODY_BYTES = 2**27
"""Of a reply; ten pictures of 10 MB are less. One gone wild would fill the memory until the deadline."""

_ERROR_BODY_TIMEOUT_S = 10.0
_MAX_ERROR_BODY_BYTES = 2**20
"""What reading the body of a refusal may take; its status alone says most."""

BROKEN_REPLY_ERRORS = (ValueError, LookupError, RecursionError)
"""What is raised over a reply that is not JSON, not UTF-8, in a charset that is none, or nested without
end, and by the SDK over JSON that it cannot make sense of."""

_USER_INFO = re.compile(r"//[^/@]{0,500}@")
"""The name and password for a proxy."""

_NOT_SENT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)


class HttpStatusError(Exception):
    """A reply with a status other than 200; shows nothing of its content, which may hold the key."""

    def __init__(self, http: HttpError) -> None:
        super().__init__(f"HTTP {http.status}")
        self.http = http


class UnusableNetrc(Exception):
    """``.netrc`` cannot be read as text, or holds a name or a password that no header can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """The way to the service: the same for all requests, which all go to one host."""

    proxy: URL | None = field(default=None, repr=False)
    """With name and password, where it wants them."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Name and password that ``.netrc`` has for the host: some gateways want them."""
    certificates: ssl.SSLContext | bool = True


def find_route(base_url: str) -> HttpRoute:
    """Return the way that environment and ``.netrc`` name; reads files, so not on the event loop.

    Raises:
        OSError: the certificates cannot be read.
        UnusableLogin: ``.netrc`` is no text, or its word for the host fits into no header.
        ValueError: a variable names a proxy that cannot be asked.
    """
    try:
        url = URL(base_url)
    except ValueError:  # an address that is none is told by the first request
        return HttpRoute()
    headers = {} if url.user else _read_netrc_header(url.host or "")
    proxy: URL | None = None
    with suppress(LookupError):
        found, user = helpers.get_env_proxy_for_url(url)
        proxy = _check_proxy(found, user)
    certificates = _load_certificates() if url.scheme == "https" else True
    return HttpRoute(proxy=proxy, headers=headers, certificates=certificates)


def _read_netrc_header(host: str) -> dict[str, str]:
    """Return the header with the name and password that ``.netrc`` has for a host, if it has any."""
    try:
        return {hdrs.AUTHORIZATION: helpers.basicauth_from_netrc(helpers.netrc_from_env(), host).encode()}
    except LookupError:
        return {}
    except ValueError:
        # Not chained: the words of the error may hold the password.
        raise UnusableNetrc from None


def _check_proxy(proxy: URL, user: aiohttp.BasicAuth | None) -> URL:
    """Return the proxy with name and password, also where it is named without ``http://``, as curl takes it.

    aiohttp speaks HTTP to it whatever its address says, and would find out with every request what cannot be.
    """
    if not proxy.host and proxy.scheme != "http":
        proxy = URL(f"http://{proxy}")
    if not proxy.host or proxy.scheme not in {"http", ""}:
        raise ValueError("not the address of an HTTP proxy")
    if user:
        proxy = proxy.with_user(user.login).with_password(user.password)
    if proxy.user is not None:
        aiohttp.encode_basic_auth(proxy.user, proxy.password or "", "latin1")  # raises: no header holds it
    return proxy


def _load_certificates() -> ssl.SSLContext:
    """Return whom to trust: what SSL_CERT_FILE names, else the system's authorities and Mozilla's.

    Many systems have none where Python looks for them, hence Mozilla's.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile and paths.cafile != paths.openssl_cafile:
        directory = paths.capath if paths.capath != paths.openssl_capath else None
        return ssl.create_default_context(cafile=paths.cafile, capath=directory)
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


class _Connector(aiohttp.TCPConnector):
    """Makes connections, and tells how long the first ones took."""

    def __init__(self, *, on_connected: Callable[[float], None], certificates: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, ssl=certificates)
        self._on_connected = on_connected
        self._has_connected = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- as the library calls it
    ) -> "Connection":
        """Return a connection; one that is begun before any was there cannot be one that waited for use."""
        if self._has_connected:
            return await super().connect(req, traces, timeout)
        clock = asyncio.get_running_loop().time
        started_s = clock()
        connection = await super().connect(req, traces, timeout)
        self._has_connected = True
        self._on_connected(clock() - started_s)
        return connection


def open_session(route: HttpRoute, on_connected: Callable[[float], None]) -> aiohttp.ClientSession:
    """Return a session that takes this way, to be closed by the caller, who bounds concurrency too.

    ``reached`` hears how many seconds it took to reach the service, of each of the first connections.
    """
    return aiohttp.ClientSession(
        connector=_Connector(on_connected=on_connected, certificates=route.certificates),
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
    """Raise for what is no plain success, before anybody acts upon it.

    aiohttp would follow a redirect, to any host and with Google's header, which holds the key; the SDK
    would lose the status of an error whose body is no JSON (errors.py in 3.4.0), and would send a chunk
    three times in seven seconds when the reply lacks the upload's status (_api_client.py:2835). Uploads
    answer 200 at every step, like everything else.
    """
    response = await handler(request)
    if response.status != 200:
        raise HttpStatusError(await _to_http_error(response))
    if "X-Goog-Upload-Offset" in request.headers and "X-Goog-Upload-Status" not in response.headers:
        response.close()
        raise ValueError("an upload was answered without its status")
    return response


async def _to_http_error(response: aiohttp.ClientResponse) -> HttpError:
    body = await _read_error_body(response)
    return HttpError(
        status=response.status,
        body=_json_or_text(body.decode("utf-8", "replace")),
        headers={name.lower(): value for name, value in response.headers.items()},
        about_file=not response.url.path.endswith(":generateContent"),
    )


async def _read_error_body(response: aiohttp.ClientResponse) -> bytes:
    """Return what comes of a body, in reasonable time and size, before it breaks off."""
    body = bytearray()
    try:
        with suppress(aiohttp.ClientError, OSError):  # a timeout is one of the latter
            async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > _MAX_ERROR_BODY_BYTES:
                        break
    finally:
        response.release()
    return bytes(body)


async def read_body(response: aiohttp.ClientResponse) -> tuple[bytes | bytearray, str]:
    """Return a reply's body and its charset; one with pictures is put together piece by piece.

    Raises:
        ValueError: it is longer than any answer.
    """
    is_compressed = hdrs.CONTENT_ENCODING in response.headers  # then its length says little
    if (
        not is_compressed
        and response.content_length is not None
        and response.content_length <= _READ_AT_ONCE_BYTES
    ):
        return await response.read(), response.get_encoding()
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            raise ValueError("a reply is longer than any answer")
    try:
        return body, response.get_encoding()
    except RuntimeError:  # it names none, and is not called JSON: as aiohttp takes it
        return body, "utf-8"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text


def broken_reply_failure() -> ApiFailure:
    """Return the failure for a reply with status 200 that nobody can make sense of."""
    detail = "the reply is not what the service would send (a proxy may have answered)"
    return ApiFailure(kind=ErrorKind.NETWORK, detail=detail)


def to_network_failure(error: aiohttp.ClientError | OSError) -> ApiFailure:
    """Return the failure for a reply that never came, or not whole."""
    return ApiFailure(
        kind=ErrorKind.NETWORK,
        detail=sanitize_sentence(_describe_error(error)),
        reached_server=not isinstance(error, _NOT_SENT_ERRORS),
    )


def _describe_error(error: aiohttp.ClientError | OSError) -> str:
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
