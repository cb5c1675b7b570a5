"""Hidden worlds: which images fail in a simulated run, and which edits would rescue them.

A world is drawn from a seed: which classes there are and how often, how many images of each nothing can
rescue, and for each class and edit how often it rescues one of the others. A policy sees only how calls
end. Families of worlds differ in what makes them hard; rates of one class say nothing about another.
The outcome of each edit and of each plain second try is drawn beforehand for each image, so that all
policies meet the same luck.
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Protocol

from errors import ErrorKind
from prompts.rules import CURABLE_KINDS

PLAIN = "ask_again"
SLOTS = 16
"""Calls in flight at the same time."""


class Family(StrEnum):
    """What kind of world."""

    MIXED = "mixed"
    """Most edits weak, one to three of each class good."""
    BARREN = "barren"
    """A third of the classes has no good edit."""
    TWO = "two edits"
    """There are only two edits, with nought to two good ones."""
    DRIFT = "drift"
    """All rates change in a straight line to quite other ones during the run."""
    GRADED = "graded"
    """No weak and good ones: rates of all sizes, the small ones more often."""
    NOTHING = "nothing helps"
    """No call rescues any image."""


_ORDER = (
    Family.MIXED,
    Family.BARREN,
    Family.TWO,
    Family.DRIFT,
    Family.GRADED,
    Family.MIXED,
    Family.NOTHING,
    Family.MIXED,
    Family.BARREN,
    Family.DRIFT,
)
Rates = Mapping[tuple[ErrorKind, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image that failed, and what would come of each try."""

    kind: ErrorKind
    curable: bool
    luck: Mapping[str, float]
    """For each edit a number between 0 and 1: the try rescues where the edit's rate is above it."""
    plain_luck: Sequence[float]
    """The same for each plain try, first to last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is true, and hidden."""

    family: Family
    shares: Mapping[ErrorKind, float]
    edits: tuple[str, ...]
    incurable: Mapping[ErrorKind, float]
    """The share of images of a class that nothing can rescue."""
    start_rates: Rates
    end_rates: Rates

    def rate(self, kind: ErrorKind, arm: str, progress: float) -> float:
        """Return how often an arm rescues a curable image, at 0 (start of the run) to 1 (its end)."""
        return self.start_rates[kind, arm] * (1.0 - progress) + self.end_rates[kind, arm] * progress

    def images(self, number: int, rng: random.Random) -> list[Image]:
        """Return so many images that failed."""
        return [self._image(rng) for _ in range(number)]

    def _image(self, rng: random.Random) -> Image:
        kind = rng.choices(list(self.shares), list(self.shares.values()))[0]
        return Image(
            kind=kind,
            curable=rng.random() >= self.incurable[kind],
            luck={edit: rng.random() for edit in self.edits},
            plain_luck=[rng.random() for _ in range(8)],
        )


def draw_world(seed: int) -> World:
    """Return the world of this number; the families take turns."""
    rng = random.Random(seed)
    family = _ORDER[seed % len(_ORDER)]
    kinds = rng.sample(sorted(CURABLE_KINDS), rng.randint(3, 6))
    edits = tuple(f"edit_{n}" for n in range(2 if family is Family.TWO else rng.randint(8, 12)))
    barren = set(rng.sample(kinds, max(1, len(kinds) // 3))) if family is Family.BARREN else set[ErrorKind]()
    evening, morning = (
        {
            key: rate
            for kind in kinds
            for key, rate in _rates(family, kind, edits, rng, barren=kind in barren).items()
        }
        for _ in range(2)
    )
    return World(
        family=family,
        shares={kind: rng.gammavariate(1.5, 1.0) for kind in kinds},
        edits=edits,
        incurable={kind: rng.uniform(0.05, 0.6) for kind in kinds},
        start_rates=evening,
        end_rates=morning if family is Family.DRIFT else evening,
    )


def _rates(
    family: Family, kind: ErrorKind, edits: Sequence[str], rng: random.Random, *, barren: bool
) -> dict[tuple[ErrorKind, str], float]:
    """Return the rates of one class."""
    if family is Family.NOTHING:
        return dict.fromkeys([(kind, arm) for arm in (PLAIN, *edits)], 0.0)
    most = min(2, len(edits)) if family is Family.TWO else 3
    number = 0 if barren else rng.randint(0 if family is Family.TWO else 1, most)
    good = set(rng.sample(edits, number))
    rates = {(kind, PLAIN): rng.uniform(0.03, 0.25)}
    for edit in edits:
        weak = rng.betavariate(1.0, 9.0)
        if family is Family.GRADED:
            rates[kind, edit] = rng.betavariate(1.0, 3.0)
        else:
            rates[kind, edit] = rng.uniform(0.4, 0.85) if edit in good else weak
    return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Result of one policy in one run."""

    images: int
    curable: int
    rescues: int
    calls: int
    """After those with which the images came."""


class Player(Protocol):
    """A policy at play."""

    def choose(self, number: int, image: Image, failed: tuple[str, ...]) -> str | None:
        """Return the next arm for an image on which ``failed`` failed, or None to give it up."""
        ...

    def observe(self, image: Image, failed: tuple[str, ...], arm: str, *, rescued: bool) -> None:
        """Record how a call ended."""
        ...


def play(
    world: World,
    images: Sequence[Image],
    player: Player,
    *,
    rng: random.Random,
    over: bool = False,
    in_rounds: bool = False,
) -> RunResult:
    """Let a policy spend its calls on the images, many at a time: outcomes reach it late.

    Args:
        world: the true rates.
        images: failed images, in the order of the run.
        player: the policy.
        rng: how long calls take.
        over: the world stays as it was at the end of the first run (a second run).
        in_rounds: an image that fails again waits until all others had their turn; else it goes on at once.
    """
    ready = [(0, number, tuple[str, ...]()) for number in range(len(images))]
    flying: list[tuple[float, int, int, tuple[str, ...], str]] = []
    tickets, rescues, calls, now = count(), 0, 0, 0.0
    while True:
        while ready and len(flying) < SLOTS:
            _, number, failed = heapq.heappop(ready)
            arm = player.choose(number, images[number], failed)
            if arm is not None:
                heapq.heappush(flying, (now + 0.3 + rng.expovariate(1.0), next(tickets), number, failed, arm))
        if not flying:
            curable = sum(one.curable for one in images)
            return RunResult(images=len(images), curable=curable, rescues=rescues, calls=calls)
        now, _, number, failed, arm = heapq.heappop(flying)
        image, calls, progress = images[number], calls + 1, 1.0 if over else number / len(images)
        luck = image.plain_luck[failed.count(PLAIN)] if arm == PLAIN else image.luck[arm]
        rescued = image.curable and luck < world.rate(image.kind, arm, progress)
        player.observe(image, failed, arm, rescued=rescued)
        rescues += rescued
        if not rescued:
            turn = len(failed) + 1 if in_rounds else -1  # -1: before all that were not begun
            heapq.heappush(ready, (turn, number, (*failed, arm)))
