"""Sending a reply, and the faults of the connection: resets, closes, stalls and trickles."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from tests.emulator.faults import Fault
from tests.emulator.replies import Reply

_DRIP_PIECES = 16
_HALF_IS_READ_S = 0.02
"""Time for the client to read the first half before the reset arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long the slow faults last, in seconds."""

    hang_s: float
    drip_s: float


async def send(request: web.Request, reply: Reply, fault: Fault | None, pace: Pace) -> web.StreamResponse:
    """Send a reply, in the way of a fault of the wire where `fault` is one."""
    way = WIRE_FAULTS.get(fault) if fault else None
    return await way(request, reply, pace) if way else as_response(reply)


def as_response(reply: Reply) -> web.Response:
    """Return the reply as aiohttp sends it whole."""
    headers = {"Content-Type": reply.content_type, **reply.headers}
    return web.Response(status=reply.status, body=reply.body or None, headers=headers)


async def _reset(request: web.Request, _reply: Reply, _pace: Pace) -> web.StreamResponse:
    _cut(request, rst=True)
    return web.Response()


async def _close(request: web.Request, _reply: Reply, _pace: Pace) -> web.StreamResponse:
    _cut(request, rst=False)
    return web.Response()


async def _cut_body(request: web.Request, reply: Reply, _pace: Pace) -> web.StreamResponse:
    response = await _begin(request, reply)
    await response.write(reply.body[: len(reply.body) // 2])
    _cut(request, rst=False)
    return response


async def _reset_body(request: web.Request, reply: Reply, _pace: Pace) -> web.StreamResponse:
    response = await _begin(request, reply)
    await response.write(reply.body[: len(reply.body) // 2])
    await asyncio.sleep(_HALF_IS_READ_S)
    _cut(request, rst=True)
    return response


async def _hang(request: web.Request, _reply: Reply, pace: Pace) -> web.StreamResponse:
    # A client that gives up cancels this handler (handler_cancellation of the server).
    await asyncio.sleep(pace.hang_s)
    _cut(request, rst=False)
    return web.Response()


async def _slow_drip(request: web.Request, reply: Reply, pace: Pace) -> web.StreamResponse:
    response = await _begin(request, reply)
    step = max(1, -(-len(reply.body) // _DRIP_PIECES))
    for at in range(0, len(reply.body), step):
        await response.write(reply.body[at : at + step])
        await asyncio.sleep(pace.drip_s / _DRIP_PIECES)
    return response


async def _begin(request: web.Request, reply: Reply) -> web.StreamResponse:
    headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), **reply.headers}
    response = web.StreamResponse(status=reply.status, headers=headers)
    await response.prepare(request)
    return response


def _cut(request: web.Request, *, rst: bool) -> None:
    """End the connection: with RST (linger 0, so the kernel drops what is unsent), or in order."""
    transport = request.transport
    if transport is None:
        return
    if rst:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


_Way = Callable[[web.Request, Reply, Pace], Awaitable[web.StreamResponse]]

WIRE_FAULTS: Mapping[Fault, _Way] = {
    Fault.RESET: _reset,
    Fault.CLOSE: _close,
    Fault.CUT_BODY: _cut_body,
    Fault.RESET_BODY: _reset_body,
    Fault.HANG: _hang,
    Fault.SLOW_DRIP: _slow_drip,
}
