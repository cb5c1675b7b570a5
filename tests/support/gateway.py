"""A small HTTP server between a client and the service; a test decides what it answers.

It can answer by itself, or pass a request on to an emulator and change what comes back.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Yield the base URL of a server that hands every request to ``handler``, with TLS if given."""
    application = web.Application(client_max_size=64 * 2**20)
    application.router.add_route("*", "/{anything:.*}", handler)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def always_answer(
    status: int, body: bytes | str = b"", content_type: str = "application/json", **headers: str
) -> Handler:
    """Return a handler that always gives the same reply."""

    async def answer(_: web.Request) -> web.StreamResponse:
        content = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=content, headers={"Content-Type": content_type, **named})

    return answer


Change = Callable[[str, str, bytes], bytes]
"""(method, path, body of the reply) -> the body that the client sees."""


def _unchanged(_method: str, _path: str, body: bytes) -> bytes:
    return body


@dataclass(kw_only=True)
class Gateway:
    """Gateway that passes requests below a path prefix on, and records them."""

    target: str
    """The base URL of the server behind it."""
    prefix: str = ""
    change: Change = _unchanged
    seen: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of every request."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        self.seen.append((request.method, request.path))
        if not request.path.startswith(self.prefix):
            return web.Response(status=404, text="no such route")
        url = self.target + request.path_qs.removeprefix(self.prefix)
        headers = {name: value for name, value in request.headers.items() if _is_forwarded(name)}
        async with aiohttp.ClientSession() as session:
            sent = session.request(
                request.method, url, data=aiohttp.BytesPayload(await request.read()), headers=headers
            )
            async with sent as response:
                body = self.change(request.method, request.path, await response.read())
                back = {
                    name: self._outward(value)
                    for name, value in response.headers.items()
                    if _is_forwarded(name)
                }
                return web.Response(status=response.status, body=body, headers=back)

    def _outward(self, value: str) -> str:
        """Return a header's value with this gateway in place of the server behind it."""
        return value.replace("/upload/", f"{self.prefix}/upload/") if value.startswith(self.target) else value


def _is_forwarded(header: str) -> bool:
    return header.lower() not in {"host", "content-length", "transfer-encoding", "date", "server"}
