"""Scenarios of the comparison, one row of data each: images, server, arguments of our program."""

from dataclasses import asdict, dataclass, field
from typing import Any

_PATIENT = ("--max-retries", "8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meets:
    """The world of ``bench.server``; see there."""

    latency_s: float = 0.0
    per_minute: float = 0.0
    burst: int = 1
    mishaps: bool = False
    picture_bytes: int = 0

    def document(self) -> dict[str, Any]:
        """Return what the server is sent."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One comparison."""

    name: str
    title: str
    images: int
    image_bytes: int
    in_flight: int = 16
    meets: Meets = field(default_factory=Meets)
    bound_s: float = 0.0
    """From first to last answer, no client can be faster; 0 where only its own work bounds it."""
    ours: tuple[str, ...] = ()
    """Arguments of our program."""
    first_night: bool = False
    """Also a row of our program without anything that it learned in earlier runs."""
    paced: bool = False
    """Also a row of the bare script with the limit configured."""
    watched: bool = False
    """The event loop is watched, which is what counts; only clients that are comparable in it take part."""


def _spread(images: int, in_flight: int, latency_s: float) -> float:
    """Return how long it is from the first to the last answer when nothing but the latency takes time."""
    return (-(-images // in_flight) - 1) * latency_s


START = Scenario(name="start-up", title="One image", images=1, image_bytes=20_000)

SCENARIOS = (
    START,
    Scenario(
        name="throughput",
        title="300 images of 200 KB, 200 ms, 16 in flight",
        images=300,
        image_bytes=200_000,
        meets=Meets(latency_s=0.2),
        bound_s=_spread(300, 16, 0.2),
        first_night=True,
    ),
    Scenario(
        name="rate-limit",
        title="150 images of 20 KB, 600 a minute with a burst of 10, 200 ms, 32 in flight",
        images=150,
        image_bytes=20_000,
        in_flight=32,
        meets=Meets(latency_s=0.2, per_minute=600, burst=10),
        bound_s=(150 - 10) / 10,
        ours=_PATIENT,
        first_night=True,
        paced=True,
    ),
    Scenario(
        name="faults",
        title="200 images of 20 KB, a quarter of them with a mishap, 50 ms, 16 in flight",
        images=200,
        image_bytes=20_000,
        meets=Meets(latency_s=0.05, mishaps=True),
    ),
    Scenario(name="small-500", title="500 images of 20 KB, no latency", images=500, image_bytes=20_000),
    Scenario(name="small-3000", title="3,000 images of 20 KB, no latency", images=3_000, image_bytes=20_000),
    Scenario(
        name="big",
        title="60 images of 4 MB, 200 ms, 16 in flight",
        images=60,
        image_bytes=4_000_000,
        meets=Meets(latency_s=0.2),
    ),
    Scenario(
        name="stalls",
        title="Longest stall: 150 images of 200 KB, 200 ms, 16 in flight",
        images=150,
        image_bytes=200_000,
        meets=Meets(latency_s=0.2),
        watched=True,
    ),
    Scenario(
        name="stalls-big",
        title="Longest stall: 12 images of 25 MB, 200 ms, 8 in flight",
        images=12,
        image_bytes=25_000_000,
        in_flight=8,
        meets=Meets(latency_s=0.2),
        watched=True,
    ),
    Scenario(
        name="stalls-pictures",
        title="Longest stall: 24 images of 200 KB, 200 ms, 8 in flight, answers with a picture of 10 MB",
        images=24,
        image_bytes=200_000,
        in_flight=8,
        meets=Meets(latency_s=0.2, picture_bytes=10_000_000),
        watched=True,
    ),
)

RESUME_DONE = 10_000
RESUME_NEW = 10

RESUME = Scenario(
    name="resume",
    title=f"{RESUME_NEW} new images beside {RESUME_DONE:,} answered ones",
    images=RESUME_NEW,
    image_bytes=100,
)
