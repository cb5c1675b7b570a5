"""Scenarios: twenty minutes of a service with quotas, and its rejections.

Google does not publish how it counts, so each scenario can be played under the emulator's three ways to
count and with three kinds of rejection.
"""

import asyncio
import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.emulator.quotas import FixedWindow, Meter, Quota, SlidingWindow, TokenBucket, Unit

MINUTE_S = 60.0


class Kind(StrEnum):
    """How the service counts."""

    FIXED = "fixed"
    SLIDING = "sliding"
    BUCKET = "bucket"


class Hints(StrEnum):
    """Details that a rejection carries."""

    NAMED = "named"
    """The quota's id, its value and when to come back."""
    UNNAMED = "unnamed"
    """The same without the value, as body B (docs/api-facts.md, section 3.4)."""
    SILENT = "silent"
    """Nothing but the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How long things take on the way to the service and there; all in seconds."""

    upload_s: tuple[float, float] = (0.05, 0.2)
    """What passes until a request is counted: paced requests do not arrive as evenly as they are sent."""
    refused_after_s: float = 0.25
    latency_s: tuple[float, float] = (2.0, 40.0)
    """Between these lie all answers."""
    connect_s: float | None = None
    """What the client knows of it."""


NEAR = Distance(upload_s=(0.001, 0.006), refused_after_s=0.008, latency_s=(0.2, 0.2), connect_s=0.002)
"""As on the same machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Twenty minutes of a service."""

    name: str
    rpm: int
    """Requests a minute."""
    tpm: int | None = None
    """Input tokens a minute; None if unlimited."""
    kind: Kind = Kind.FIXED
    hints: Hints = Hints.UNNAMED
    median_s: float = 5.0
    """Of the latency of an answer, within the bounds of the distance."""
    distance: Distance = Distance()
    burst_s: float = 10.0
    """What a bucket holds, in seconds of its rate."""
    images: int | None = None
    """Number of images; None if unlimited."""
    fault_share: float = 0.03
    """Calls that the quota lets through and that get a 503 all the same."""
    halved_s: tuple[float, float] | None = None
    """From when until when all limits are half of what they were."""
    others_rpm: float = 0.0
    """What another client asks for, evenly spread over the whole time, whatever it gets."""
    max_concurrent: int = 200
    requests_before: int = 0
    """Requests that another client sent the moment before."""

    def quotas(self, clock: Callable[[], float]) -> tuple[Quota, ...]:
        """Return the quotas of a fresh project."""
        requests = Quota(meter=self._meter(self.rpm, clock))
        if self.tpm is None:
            return (requests,)
        return requests, Quota(meter=self._meter(self.tpm, clock), unit=Unit.TOKENS)

    def left_to_us(self, minutes: float) -> tuple[float, float | None]:
        """Return the requests, and the tokens, that the limits let us have in so many minutes."""
        full = minutes
        if self.halved_s:
            begin_s, end_s = (min(instant_s, minutes * MINUTE_S) for instant_s in self.halved_s)
            full -= (end_s - begin_s) / MINUTE_S / 2
        tokens = self.tpm * full if self.tpm else None
        return self.rpm * full - self.others_rpm * minutes, tokens

    def with_service(self, kind: Kind, hints: Hints = Hints.UNNAMED) -> "Scenario":
        """Return the same under another way to count and to refuse."""
        return dataclasses.replace(self, kind=kind, hints=hints)

    def with_slots(self, max_concurrent: int) -> "Scenario":
        """Return the same for a user who set another --max-concurrent."""
        return dataclasses.replace(self, max_concurrent=max_concurrent)

    def _meter(self, limit: int, clock: Callable[[], float]) -> Meter:
        whole = _meter(self.kind, limit, self.burst_s)
        if self.halved_s is None:
            return whole
        return Halving(whole, _meter(self.kind, limit // 2, self.burst_s), self.halved_s, clock)


class Halving:
    """A limit that is lower for a while; what was taken counts against both values, as far as it fits."""

    def __init__(
        self, whole: Meter, half: Meter, halved_s: tuple[float, float], clock: Callable[[], float]
    ) -> None:
        self._whole = whole
        self._half = half
        self._halved_s = halved_s
        self._clock = clock

    @property
    def limit(self) -> int:
        """Return the limit that holds now."""
        return self._active().limit

    def wait_s(self, now_s: float, amount: int) -> float:
        """Return the seconds until the amount fits under the present limit."""
        return self._active().wait_s(now_s, amount)

    def take(self, now_s: float, amount: int) -> None:
        """Count an amount that fits the present limit."""
        for meter in (self._whole, self._half):
            # A bucket that is not in force yet would go into debt for the time before.
            if meter is self._active() or not meter.wait_s(now_s, amount):
                meter.take(now_s, amount)

    def __deepcopy__(self, memo: dict[int, object]) -> "Halving":
        """Copy the counters; the clock is the loop's and cannot be copied."""
        whole, half = copy.deepcopy(self._whole, memo), copy.deepcopy(self._half, memo)
        return Halving(whole, half, self._halved_s, self._clock)

    def _active(self) -> Meter:
        begin_s, end_s = self._halved_s
        return self._half if begin_s <= self._clock() < end_s else self._whole


def loop_clock() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


def _meter(kind: Kind, limit: int, burst_s: float) -> Meter:
    if kind is Kind.FIXED:
        return FixedWindow(limit)
    if kind is Kind.SLIDING:
        return SlidingWindow(limit)
    return TokenBucket(limit, burst=max(1, round(limit * burst_s / MINUTE_S)))


_SCENARIOS = (
    Scenario(name="10", rpm=10, median_s=8.0),
    Scenario(name="60", rpm=60, median_s=18.0),
    Scenario(name="300", rpm=300),
    Scenario(name="2000", rpm=2_000, median_s=4.0, max_concurrent=300),
    Scenario(name="tokens", rpm=300, tpm=250_000),
    Scenario(name="halved", rpm=300, halved_s=(360.0, 780.0)),
    Scenario(name="shared", rpm=300, others_rpm=150.0),
)
SHORT = Scenario(
    name="short",
    rpm=600,
    kind=Kind.BUCKET,
    burst_s=1.0,
    images=150,
    max_concurrent=32,
    fault_share=0.0,
    median_s=0.2,
    distance=NEAR,
)
"""A quarter of a minute beside a service on the same machine, as in ``bench.sidebyside``."""
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _SCENARIOS}
"""By name; the fault share, the ways to count and the hints are the same in all unless played otherwise."""
