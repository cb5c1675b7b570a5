"""HTTP server on loopback that reads each call as the emulator does, and sends exact bytes in reply."""

import asyncio
import contextlib
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.emulator import LoggedRequest
from tests.emulator.replies import Context
from tests.emulator.wire import GenerateCall, UnknownFile, parse

_MODEL = "gemini-3.5-flash-lite"
_PICTURE_PX = 16
_LATER_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """Bytes that are sent as they are."""

    data: bytes
    closes: bool = False
    """Whether the connection ends after them."""
    body: bytes | None = None
    """The whole body as its headers frame and encode it; None where no whole one is sent."""
    later: bytes = b""
    """Sent a moment after the reply, where the connection is idle then."""
    endless: bytes = b""
    """Sent again and again after the rest, until the client goes."""
    pause_s: float = 0.0
    """Between two of them."""
    status: int = 200
    outcome: str = "mutated"
    """As in the emulator's log."""


Responder = Callable[[Context], RawReply]


@dataclass(eq=False)
class RawServer:
    """The server; ``async with RawServer(...)`` listens while the block lasts."""

    respond: Responder
    model: str = _MODEL
    calls: list[LoggedRequest] = field(default_factory=list)
    port: int = 0

    @property
    def base_url(self) -> str:
        """Return the address for ``--api-base-url``."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._on_client, "127.0.0.1", 0, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen, and end what never ends."""
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # a turn in which the connections are closed

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            reply = self._answer(await _read_request(reader))
            writer.write(reply.data)
            await writer.drain()
            while reply.endless:
                writer.write(reply.endless)
                await writer.drain()
                await asyncio.sleep(reply.pause_s)
            if reply.later:
                await asyncio.sleep(_LATER_S)
                if _is_idle(reader, writer):  # else the next call is under way: no client could tell
                    writer.write(reply.later)
            if reply.closes:
                break

    def _answer(self, body: bytes) -> RawReply:
        call = parse(body, _find_no_file)
        context = Context(
            call=call, model=self.model, index=len(self.calls), hint_s=0.0, picture_px=_PICTURE_PX
        )
        reply = self.respond(context)
        self.calls.append(_log(call, reply, len(self.calls)))
        return reply


def _log(call: GenerateCall, reply: RawReply, index: int) -> LoggedRequest:
    return LoggedRequest(
        at_s=float(index),
        wall_time="",
        operation="generateContent",
        image_sha256=call.sha256,
        prompt=call.prompt,
        outcome=reply.outcome,
    )


def _is_idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Return whether no byte of a next call has arrived, in this process or in the kernel."""
    connection = writer.get_extra_info("socket")
    has_arrived = bool(getattr(reader, "_buffer", b"")) or bool(select.select([connection], [], [], 0)[0])
    return not has_arrived


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return await reader.readexactly(int(length))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _find_no_file(name: str) -> bytes:
    raise UnknownFile(name)
