"""Simulation of one client against one scenario, in virtual time.

An endless supply of images, the program's own retry rule for each of them, exact instants and a seeded
random source.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import retry_handler
from errors import ApiFailure, ErrorKind, FatalError, StopReason
from retry_handler import RetryState
from tests.simulation.rate_limit.policies import ClientSettings, Permit, Policy, PolicyFactory
from tests.simulation.rate_limit.scenarios import MINUTE_S, Scenario, loop_clock
from tests.simulation.rate_limit.server import Server
from tests.support.virtual_loop import run_virtual

_OFTEN = 5
_TIMEOUT_S = 120.0
_UPLOAD_BYTES = 600_000
_TOKENS = (300, 6_000)
_MEDIAN_TOKENS = 1_500
_TOKENS_SPREAD = 0.6
_BILLED = (1.02, 1.12)
"""Billed tokens as a multiple of the estimate: wrong for all images, and a little different for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of the endless supply."""

    estimated_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of one simulation."""

    scenario: Scenario
    minutes: float
    share_of_limit: float
    """What the quota let through (503s too) of what it left to us, in requests or tokens, whichever bound."""
    refused_share: float
    """Calls that were answered with 429, of all calls."""
    accepted_at_s: tuple[float, ...]
    refused_at_s: tuple[float, ...]
    images_answered: int
    images_failed: int
    """Given up for other reasons than the service's unavailability."""
    images_deferred: int
    """Given up because of rejections or 503s."""
    images_refused_often: int
    """Images with more than five rejections each, however they ended."""
    others_share: float
    """Of its calls, what the other client got through; 1 where there is none."""
    stopped: StopReason | None
    learned: object

    @property
    def accepted_per_minute(self) -> list[int]:
        """Return the series of calls that the quota let through."""
        return count_per_step(self.accepted_at_s, MINUTE_S, self.minutes)

    @property
    def refused_per_minute(self) -> list[int]:
        """Return the series of rejections."""
        return count_per_step(self.refused_at_s, MINUTE_S, self.minutes)


def count_per_step(instants_s: tuple[float, ...], step_s: float, minutes: float) -> list[int]:
    """Return how many instants lie in each step."""
    steps = [0] * round(minutes * MINUTE_S / step_s)
    for instant_s in instants_s:
        steps[min(int(instant_s / step_s), len(steps) - 1)] += 1
    return steps


def simulate(
    policy: PolicyFactory, scenario: Scenario, seed: int, minutes: float = 20, *, learned: object = None
) -> Result:
    """Play the policy against the scenario; the same arguments give the same result to the last digit."""
    return run_virtual(_Simulation(policy, scenario, seed, learned).run(minutes))


class _Simulation:
    """One simulation."""

    def __init__(self, create_policy: PolicyFactory, scenario: Scenario, seed: int, learned: object) -> None:
        self._scenario = scenario
        # Each has its own source, so that one policy's draws do not shift another's world.
        self._images = islice(_images(random.Random(f"images {seed}")), scenario.images)
        self._server = Server(scenario, random.Random(f"server {seed}"))
        self._rng = random.Random(f"client {seed}")
        self._create_policy = create_policy
        self._learned = learned
        self.policy: Policy
        self.answered = 0
        self._failed = 0
        self._deferred = 0
        self._refused_often = 0

    async def run(self, minutes: float) -> Result:
        self.policy = self._create_policy(
            ClientSettings(
                max_concurrent=self._scenario.max_concurrent,
                right_rpm=self._scenario.rpm,
                right_tpm=self._scenario.tpm,
                rng=random.Random(self._rng.random()),
                connect_s=self._scenario.distance.connect_s,
                learned=self._learned,
            )
        )
        workers = [asyncio.create_task(self._work()) for _ in range(self.policy.workers)]
        done, _ = await asyncio.wait(workers, timeout=minutes * MINUTE_S, return_when=asyncio.FIRST_EXCEPTION)
        stopped = _find_stop_reason(done)
        # Before the rest is cancelled, since a policy may learn from that.
        learned = self.policy.limits_to_save()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return self._result(minutes, stopped, learned)

    async def _work(self) -> None:
        for image in self._images:
            async with self.policy.hold_image():
                await self._process_image(image)

    async def _process_image(self, image: Image) -> None:
        tries: list[ErrorKind] = []
        try:
            await self._attempt(image, tries)
        except ApiFailure as failure:
            await self._retry(image, tries, failure)
        self._refused_often += tries.count(ErrorKind.RATE_LIMITED) > _OFTEN

    async def _retry(self, image: Image, tries: list[ErrorKind], first: ApiFailure) -> None:
        """Let the program's own rule take the image on from its first failure.

        Images that are answered at once need no rule, and most of a simulation's time would go into it.
        """
        budget = RetryState(
            max_retries=self.policy.max_retries, timeout_s=_TIMEOUT_S, max_timeout_s=_TIMEOUT_S
        )
        known_failures = [first]
        answered_before = 0

        async def attempt(_timeout_s: float) -> None:
            if known_failures:
                raise known_failures.pop()
            await self._attempt(image, tries)

        def is_crowded() -> bool:
            """Return, as the processor does, whether others were answered since this was last called."""
            nonlocal answered_before
            before, answered_before = answered_before, self.answered
            return self.policy.is_lenient and self.answered > before

        try:
            await retry_handler.run(
                attempt,
                retry_state=budget,
                rng=self._rng,
                sleep=lambda advised_s: asyncio.sleep(self.policy.wait_s(advised_s, len(tries))),
                on_retry=lambda _: None,
                others_are_served=is_crowded,
            )
        except ApiFailure as failure:
            self._deferred += failure.is_unavailability
            self._failed += not failure.is_unavailability

    async def _attempt(self, image: Image, tries: list[ErrorKind]) -> None:
        permit = await self.policy.acquire(tokens=image.estimated_tokens, retry=bool(tries))
        begun_s = loop_clock()
        permit.on_sent()
        try:
            tokens = await self._server.call(image.tokens)
        except ApiFailure as failure:
            tries.append(failure.kind)
            _report_failure(permit, failure, loop_clock() - begun_s)
            raise
        self.answered += 1
        permit.on_success(input_tokens=tokens, seconds=loop_clock() - begun_s)

    def _result(self, minutes: float, stopped: StopReason | None, learned: object) -> Result:
        server = self._server
        accepted, refused = len(server.accepted_at_s), len(server.refused_at_s)
        requests, tokens = self._scenario.left_to_us(minutes)
        return Result(
            scenario=self._scenario,
            minutes=minutes,
            share_of_limit=max(accepted / requests, server.accepted_tokens / tokens if tokens else 0.0),
            refused_share=refused / max(1, accepted + refused),
            accepted_at_s=tuple(server.accepted_at_s),
            refused_at_s=tuple(server.refused_at_s),
            images_answered=self.answered,
            images_failed=self._failed,
            images_deferred=self._deferred,
            images_refused_often=self._refused_often,
            others_share=server.others_accepted / server.others_asked if server.others_asked else 1.0,
            stopped=stopped,
            learned=learned,
        )


def _report_failure(permit: Permit, failure: ApiFailure, seconds: float) -> None:
    permit.on_failure(failure, seconds=seconds, upload_bytes=_UPLOAD_BYTES)


def _find_stop_reason(done: set[asyncio.Task[None]]) -> StopReason | None:
    """Return why the client ended the run itself; anything else that a worker raised is a bug."""
    for worker in done:
        error = worker.exception()
        if isinstance(error, FatalError):
            return error.reason
        if error is not None:
            raise error
    return None


def _images(rng: random.Random) -> Iterator[Image]:
    bias, spread = sum(_BILLED) / 2, (_BILLED[1] - _BILLED[0]) / 2
    lowest, highest = _TOKENS
    while True:
        drawn = _MEDIAN_TOKENS * rng.lognormvariate(0.0, _TOKENS_SPREAD)
        estimated = min(max(drawn, lowest), highest)
        billed = estimated * rng.uniform(bias - spread, bias + spread)
        yield Image(estimated_tokens=round(estimated), tokens=round(billed))
