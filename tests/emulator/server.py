"""The emulator's HTTP server: aiohttp around `Service`, with every request logged."""

import asyncio
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

from tests.emulator import bodies
from tests.emulator.files_api import FilesApi
from tests.emulator.log import LoggedRequest, RequestLog
from tests.emulator.plan import FaultPlan
from tests.emulator.replies import RejectedRequest, Reply, json_reply
from tests.emulator.scenario import plan_from
from tests.emulator.service import Service, Verdict
from tests.emulator.transport import Pace, as_response, send
from tests.emulator.wire import GenerateCall

_PARSE_OFF_LOOP_BYTES = 2**20
_GRACE_S = 0.05
"""For handlers at the end; 0 would mean for ever to aiohttp, and a hang hangs on purpose."""
_MODEL_METHODS = ("generateContent", "countTokens")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _utcnow() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a server's log shows the wall clock; no decision depends on it


@dataclass(kw_only=True, eq=False)
class Emulator(Service):
    """The server; `async with Emulator(...) as emulator` listens on loopback while the block lasts.

    The fields of `Service` (keys, models, plan, quotas ...) are its options too.
    """

    latency_s: float | tuple[float, float] = 0.0
    """Time before an answer: fixed, or a range to draw from."""
    hang_s: float = 3600.0
    """How long `Fault.HANG` waits for the client to give up."""
    drip_s: float = 0.3
    """How long `Fault.SLOW_DRIP` takes."""
    seed: int = 0
    """Of the latencies; faults have their own in the plan."""
    body_limit_bytes: int = 120 * 2**20
    """Bigger bodies get 413; above the API's own 100 MB, so that base64 and JSON around it fit."""
    port: int = 0
    """0 = any that is free."""
    utcnow: Callable[[], datetime] = _utcnow
    log: RequestLog = field(default_factory=RequestLog, init=False)

    @property
    def base_url(self) -> str:
        """Return what clients take for their base URL, without an ending slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[LoggedRequest]:
        """Return every request so far, in order of decision."""
        return self.log.requests

    @property
    def calls(self) -> list[LoggedRequest]:
        """Return the generateContent calls among the requests."""
        return [row for row in self.requests if row.operation == "generateContent"]

    @property
    def max_in_flight(self) -> int:
        """Return the most generateContent calls that were ever in flight at once."""
        return self.log.max_in_flight

    def answered(self, sha256: str) -> int:
        """Return how many usable answers were given for the image with this hash."""
        return self.log.answered(sha256)

    def reset(self, plan: FaultPlan | None = None) -> None:
        """Begin the plan (this, or the same again), the quotas and the log anew."""
        self.plan = plan or self.plan
        self._random = random.Random(self.seed)
        super().reset()
        self.log.reset()

    async def __aenter__(self) -> Self:
        """Start to listen."""
        self._started_s = asyncio.get_running_loop().time()
        # Cancellation is how a hanging handler learns that its client gave up.
        self._runner = web.AppRunner(
            self._application(), handler_cancellation=True, shutdown_timeout=_GRACE_S, access_log=None
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; whatever still hangs is cut."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._logged])
        add = application.router.add_route
        add("POST", "/v1beta/models/{model:[^/:]+}:generateContent", self._generate, name="generateContent")
        add("POST", "/v1beta/models/{model:[^/:]+}:countTokens", self._count_tokens, name="countTokens")
        add("GET", "/v1beta/models/{model:[^/:]+}", self._get_model, name="models.get")
        add("GET", "/v1beta/models", self._list_models, name="models.list")
        FilesApi(self, self.utcnow, self._pace).add_routes(application.router)
        add("GET", "/_emulator/requests", self._show_requests, name="_requests")
        add("GET", "/_emulator/stats", self._show_stats, name="_stats")
        add("POST", "/_emulator/reset", self._do_reset, name="_reset")
        add("*", "/{anything:.*}", self._not_spoken, name="unknown")
        return application

    @web.middleware
    async def _logged(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer refusals, and log all that is neither generateContent (logs itself) nor control."""
        arrival = self._arrival(request)
        try:
            response = await handler(request)
        except RejectedRequest as refused:
            response = as_response(refused.reply)
        if arrival.operation != "generateContent" and not arrival.operation.startswith("_"):
            self.requests.append(dataclasses.replace(arrival, outcome=f"http {response.status}"))
        return response

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        with self.log.flight() as in_flight:
            arrival = dataclasses.replace(self._arrival(request), in_flight=in_flight)
            row, verdict = await self._decide(request, arrival)
            self.requests.append(row)
            if row.outcome != "quota":
                await asyncio.sleep(self._latency())
            return await send(request, verdict.reply, verdict.fault, self._pace)

    @property
    def _pace(self) -> Pace:
        return Pace(hang_s=self.hang_s, drip_s=self.drip_s)

    async def _decide(self, request: web.Request, row: LoggedRequest) -> tuple[LoggedRequest, Verdict]:
        """Return the row as it stands when all is known, with the verdict."""
        try:
            body = await _body(request, self.body_limit_bytes)
            row = dataclasses.replace(row, bytes_received=len(body))
            call = await self._read_off_loop(body)
            row = _with_call(row, call)
            verdict = self._judge(request, call)
        except RejectedRequest as refused:
            verdict = Verdict(outcome=f"http {refused.reply.status}", reply=refused.reply)
        return dataclasses.replace(row, outcome=verdict.outcome), verdict

    async def _read_off_loop(self, body: bytearray) -> GenerateCall:
        if len(body) < _PARSE_OFF_LOOP_BYTES:
            return self.read(body)
        return await asyncio.to_thread(self.read, body)

    def _judge(self, request: web.Request, call: GenerateCall) -> Verdict:
        model = request.match_info["model"]
        self.check_timeout(request.headers.get("X-Server-Timeout"))
        self.check_key(_key(request))
        self.check_model(model)
        return self.generate(self._now_s(), model, call)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._started_s

    def _latency(self) -> float:
        if isinstance(self.latency_s, tuple):
            return self._random.uniform(*self.latency_s)
        return self.latency_s

    def _arrival(self, request: web.Request) -> LoggedRequest:
        return LoggedRequest(
            at_s=self._now_s(),
            wall_time=self.utcnow().isoformat(),
            operation=request.match_info.route.name or "",
            model=request.match_info.get("model", ""),
            key_ok=_key(request) in self.keys,
            in_flight=self.log.in_flight,
            bytes_received=request.content_length or 0,
        )

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        call = await self._read_off_loop(await _body(request, self.body_limit_bytes))
        self.check_key(_key(request))
        self.check_model(request.match_info["model"])
        return as_response(json_reply({"totalTokens": call.input_tokens}))

    async def _get_model(self, request: web.Request) -> web.StreamResponse:
        self.check_key(_key(request))
        self.check_model(request.match_info["model"])
        return as_response(json_reply(_model_document(request.match_info["model"])))

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        self.check_key(_key(request))
        return as_response(json_reply({"models": [_model_document(model) for model in self.models]}))

    async def _show_requests(self, _: web.Request) -> web.StreamResponse:
        return as_response(json_reply([dataclasses.asdict(row) for row in self.requests]))

    async def _show_stats(self, _: web.Request) -> web.StreamResponse:
        outcomes = Counter(row.outcome for row in self.calls)
        stats = {"calls": len(self.calls), "max_in_flight": self.max_in_flight, "outcomes": outcomes}
        return as_response(json_reply(stats))

    async def _do_reset(self, request: web.Request) -> web.StreamResponse:
        """Begin anew; a body, if any, is the plan part of a scenario and replaces the plan."""
        body = await request.read()
        try:
            self.reset(plan_from(json.loads(body)) if body else None)
        except ValueError as error:
            raise RejectedRequest(bodies.invalid_argument(str(error))) from error
        return as_response(Reply(status=204))

    async def _not_spoken(self, request: web.Request) -> web.StreamResponse:
        return as_response(bodies.unsupported_path(f"{request.method} {request.path}"))


def _key(request: web.Request) -> str | None:
    return request.headers.get("x-goog-api-key") or request.query.get("key")


def _with_call(row: LoggedRequest, call: GenerateCall) -> LoggedRequest:
    return dataclasses.replace(row, image_sha256=call.sha256, prompt=call.prompt, mime_type=call.mime_type)


async def _body(request: web.Request, limit_bytes: int) -> bytearray:
    """Read the whole body, so that a refusal does not meet a client that is still sending."""
    body, size = bytearray(), 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size <= limit_bytes:
            body += piece
    if size > limit_bytes:
        raise RejectedRequest(bodies.too_large())
    return body


def _model_document(model: str) -> dict[str, Any]:
    return {
        "name": f"models/{model}",
        "version": "emulated",
        "displayName": model,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": list(_MODEL_METHODS),
    }
