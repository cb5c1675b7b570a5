"""Connector: makes connections, and never reuses one on which something came that was not asked for.

A reply to no request would be taken for the answer to the next image (docs/adr/0008).
"""

import asyncio
import logging
import select
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_SECOND = 2

_log = logging.getLogger(__name__)


class WatchedProtocol(ResponseHandler):
    """A connection that is not used again once something comes on it that is about no request of ours.

    Args:
        loop: the event loop.
        on_stray: called when something does.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_stray: Callable[[], None]) -> None:
        super().__init__(loop)
        self._on_stray = on_stray
        self._is_request_sent = False
        self._requests = 0

    def set_response_params(self, **params: Any) -> None:
        """Begin to send a request."""
        self._requests += 1
        self._payload = None  # of the reply before, whose end says nothing about this one
        self._is_request_sent = False
        super().set_response_params(**params)

    def start_timeout(self) -> None:
        """Begin to wait for the reply, the request being sent."""
        self._is_request_sent = True
        super().start_timeout()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer; close the connection if they cannot be about its request."""
        is_surplus = bool(data) and self._payload is not None and self._payload.is_eof()
        is_early = not self._is_request_sent
        super().data_received(data)
        if is_surplus or len(self._buffer) > 1:
            self.force_close()
            self._on_stray()
        # Only an error may come before its request is complete.
        elif is_early and self._buffer and self._buffer[0][0][0].code == 200:
            self._buffer.clear()
            self.set_exception(aiohttp.ClientConnectionError("an answer came before its question was sent"))
            self._on_stray()

    def refuse_stray_bytes(self) -> bool:
        """Close the connection if something came on it between two requests; return whether it did."""
        if self._requests < _SECOND or not self.holds_stray_bytes:  # TLS begins with bytes of its own
            return False
        self.set_exception(aiohttp.ClientConnectionError("something came that was not asked for"))
        self.force_close()
        self._on_stray()
        return True

    @property
    def holds_stray_bytes(self) -> bool:
        """True if something came since the last reply, read or not yet read."""
        return self.should_close or (self._parser is not None and _has_unread_bytes(self.transport))


class WatchedRequest(aiohttp.ClientRequest):
    """A request that looks at its connection once more, right before its first byte is written.

    It was taken from the pool some turns of the event loop ago. A call that is not sent costs nothing.
    """

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: "Connection", content_length: int | None = None
    ) -> None:
        """Send the request, unless something came on the connection that was not asked for."""
        protocol = conn.protocol
        if not (isinstance(protocol, WatchedProtocol) and protocol.refuse_stray_bytes()):
            await super().write_bytes(writer, conn, content_length)


class Connector(aiohttp.TCPConnector):
    """A connector that reports how long the first connections took, and drops those with stray bytes."""

    def __init__(self, *, on_connected: Callable[[float], None], certificates: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, ssl=certificates)
        self._factory = partial(WatchedProtocol, loop=self._loop, on_stray=self._warn)  # type: ignore[assignment]
        self._on_connected = on_connected
        self._has_connected = False
        self._has_warned = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- the library's signature
    ) -> "Connection":
        """Return a connection; those begun before the first one was made are new, so they are timed."""
        while self._has_connected:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not (isinstance(protocol, WatchedProtocol) and protocol.holds_stray_bytes):
                return connection
            connection.close()
        clock = asyncio.get_running_loop().time
        started_s = clock()
        connection = await super().connect(req, traces, timeout)
        self._has_connected = True
        self._on_connected(clock() - started_s)
        return connection

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "a server on the way sent a reply to no request: its connection is dropped, so that it is not"
                " taken for the answer to another image"
            )


def _has_unread_bytes(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether bytes, or the end of the connection, wait to be read."""
    connection = transport.get_extra_info("socket") if transport else None
    if connection is None or connection.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
