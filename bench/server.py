"""Server of the benchmarks, fast enough that the clients are what is measured.

The tests' emulator checks, parses and plans every call, which costs more than the clients do. This one
looks for the image in the body, answers with its SHA-256, so that every result can be checked, and
notes when. ``python -m bench.server`` prints its base URL as a line of JSON; ``POST /_bench/world``
says what the next client meets, ``GET /_bench/log`` what the last one did.
"""

import asyncio
import base64
import hashlib
import json
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.images import noise_png
from bench.mishaps import Mishap, Quota, mishap_of, refusal
from bench.uploads import Uploads

_MAX_BODY_BYTES = 1 << 28
_THREAD_FROM_BYTES = 500_000
"""Longer bodies are decoded in a thread: another client's answer need not wait for them."""


@dataclass(slots=True, kw_only=True)
class World:
    """World that a client meets."""

    latency_s: float = 0.0
    per_minute: float = 0.0
    """0 for no quota."""
    burst: int = 1
    mishaps: bool = False
    picture_bytes: int = 0
    """0 for answers without a picture."""


@dataclass(slots=True)
class Server:
    """One world at a time, and what was seen in it."""

    world: World = field(default_factory=World)
    quota: Quota | None = None
    seen: Counter[str] = field(default_factory=Counter)
    log: list[tuple[float, float, str, str]] = field(default_factory=list)
    """For each call: when it arrived and ended, in seconds of the machine's monotonic clock; the image's
    hash; ``answered`` or what went wrong."""
    uploads: Uploads = field(default_factory=Uploads)
    picture: bytes = b""
    """As it stands in every answer; the client cannot know that it is always the same."""

    def application(self) -> web.Application:
        """Return what listens."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_get("/_bench/log", self._show)
        application.router.add_post("/_bench/world", self._begin)
        self.uploads.add_routes(application.router)
        # Clients differ in what stands before the model's name.
        application.router.add_post("/{anything:.*}:generateContent", self._generate)
        return application

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response([*self.log, *self.uploads.log])

    async def _begin(self, request: web.Request) -> web.Response:
        self.world = World(**await request.json())
        self.picture = base64.b64encode(noise_png(self.world.picture_bytes))
        now_s = asyncio.get_running_loop().time()
        limited = self.world.per_minute > 0
        self.quota = Quota(self.world.per_minute / 60, self.world.burst, now_s) if limited else None
        self.seen, self.log, self.uploads.log = Counter(), [], []
        return web.json_response({})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        clock = asyncio.get_running_loop().time
        arrived_s, log = clock(), self.log
        if self.quota and (wait_s := self.quota.wait_s(arrived_s)) > 0:
            await request.read()
            log.append((arrived_s, arrived_s, "", "quota"))
            return refusal(Mishap.QUOTA, wait_s)
        body = await request.read()
        sha256 = await self._hash(body)
        self.seen[sha256] += 1
        mishap = mishap_of(sha256, self.seen[sha256]) if self.world.mishaps and sha256 else None
        await asyncio.sleep(self.world.latency_s + (mishap.slower_s if mishap else 0.0))
        response = await self._send(request, sha256, mishap)
        log.append((arrived_s, clock(), sha256, mishap.value if mishap else "answered"))
        return response

    async def _hash(self, body: bytes) -> str:
        if len(body) < _THREAD_FROM_BYTES:
            return self._sha256(body)
        return await asyncio.to_thread(self._sha256, body)

    def _sha256(self, body: bytes) -> str:
        """Return the hash of the image in a body, or of the uploaded one that it names; empty for none."""
        if encoded := _string_behind(body, b'"data"'):
            return hashlib.sha256(base64.urlsafe_b64decode(encoded)).hexdigest()
        for name in (b'"fileUri"', b'"file_uri"'):
            if uri := _string_behind(body, name):
                return self.uploads.sha256(uri.decode())
        return ""

    async def _send(self, request: web.Request, sha256: str, mishap: Mishap | None) -> web.StreamResponse:
        if mishap is None or mishap is Mishap.SLOW:
            response = web.Response(body=self._answer(sha256), content_type="application/json")
            await response.prepare(request)
            await response.write_eof()
            return response
        if mishap is Mishap.EMPTY:
            return web.json_response({"candidates": [], "usageMetadata": {"promptTokenCount": 1120}})
        if mishap is Mishap.CUT:
            whole = self._answer(sha256)
            stream = web.StreamResponse(headers={"Content-Length": str(len(whole))})
            stream.content_type = "application/json"
            await stream.prepare(request)
            await stream.write(whole[: len(whole) // 2])
        if mishap in {Mishap.CUT, Mishap.RESET}:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return refusal(mishap, 1.0)

    def _answer(self, sha256: str) -> bytes:
        if not self.world.picture_bytes:
            return _answer(sha256)
        head, place, tail = _answer(sha256, {"inlineData": {"mimeType": "image/png", "data": ""}}).partition(
            b'"data": "'
        )
        return b"".join((head, place, self.picture, tail))


def _string_behind(body: bytes, name: bytes) -> bytes:
    """Return the string that is the value of this name: a search, since parsing would copy megabytes."""
    found = body.find(name)
    if found < 0:
        return b""
    start = body.index(b'"', found + len(name)) + 1
    return body[start : body.index(b'"', start)]


def _answer(sha256: str, *more: Mapping[str, Any]) -> bytes:
    words = f"A field in soft light, two paths that meet, and a sky of many colours. sha256:{sha256}"
    candidate = {
        "content": {"role": "model", "parts": [{"text": words}, *more]},
        "finishReason": "STOP",
        "index": 0,
    }
    usage = {"promptTokenCount": 1120, "candidatesTokenCount": 300, "totalTokenCount": 1420}
    document: dict[str, Any] = {"candidates": [candidate], "usageMetadata": usage}
    document |= {"modelVersion": "gemini-3.5-flash-lite", "responseId": sha256[:22] or "none"}
    return json.dumps(document).encode()


async def serve() -> None:
    """Listen until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runner = web.AppRunner(Server().application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    sys.stdout.write(json.dumps({"base_url": f"http://127.0.0.1:{runner.addresses[0][1]}"}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
