"""Policies that the prompt optimizer is compared with.

Asking again takes no account of anything; a round robin is what a list of prompts does; two oracles know
all the rates of the world, though not which image can be cured: one makes all its calls in the best order,
the other stops where a call is not worth it. All are bound by the same limits: five calls, four edits.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from bench.optimizer_world import PLAIN, Family, Image, Player, RunResult, World, play
from errors import ErrorKind
from prompts.edit_stats import EditStats
from prompts.history import Failure, FailureHistory
from prompts.policy import AskAgain, GiveUp, Policy, RepairLimits

MAX_CALLS = 5
MAX_EDITS = 4
WORTH_OF_A_CALL = 0.04
"""Smallest rate at which the oracle that stops still calls; docs/prompt-repair-evidence.md, 3.2: 4 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a comparison is made."""

    first_ask: bool = False
    """True: images failed once, and each policy's first call is a plain one. False: they failed twice."""
    in_rounds: bool = True


class NonLearner:
    """Learns nothing."""

    __slots__ = ()

    def observe(self, image: Image, failed: tuple[str, ...], arm: str, *, rescued: bool) -> None:
        """Record nothing."""


def _open(world: World, failed: tuple[str, ...]) -> list[str]:
    """Return the edits that may still be tried on an image."""
    edits = [arm for arm in failed if arm != PLAIN]
    return [edit for edit in world.edits if edit not in edits] if len(edits) < MAX_EDITS else []


@dataclass(slots=True, kw_only=True)
class AskingAgain(NonLearner):
    """The same words five times."""

    def choose(self, _number: int, _image: Image, failed: tuple[str, ...]) -> str | None:
        """Choose."""
        return PLAIN if len(failed) < MAX_CALLS else None


@dataclass(slots=True, kw_only=True)
class RoundRobin(NonLearner):
    """The next edit of the list, each class at its own place in it; when there is none, the same words."""

    world: World
    first_ask: bool
    places: Counter[ErrorKind] = field(default_factory=Counter)

    def choose(self, _number: int, image: Image, failed: tuple[str, ...]) -> str | None:
        """Choose."""
        if len(failed) >= MAX_CALLS:
            return None
        left = _open(self.world, failed)
        if not left or (self.first_ask and not failed):
            return PLAIN
        number = len(self.world.edits)
        place = next(
            self.places[image.kind] + step
            for step in range(number)
            if self.world.edits[(self.places[image.kind] + step) % number] in left
        )
        self.places[image.kind] = place + 1
        return self.world.edits[place % number]


@dataclass(slots=True, kw_only=True)
class Oracle(NonLearner):
    """The best of what is left, by the true rates at that moment; ``worth`` 0 never stops early."""

    world: World
    images: int
    first_ask: bool
    worth: float = 0.0
    over: bool = False

    def choose(self, number: int, image: Image, failed: tuple[str, ...]) -> str | None:
        """Choose."""
        if len(failed) >= MAX_CALLS:
            return None
        if self.first_ask and not failed:
            return PLAIN
        rate = partial(self.world.rate, image.kind, progress=1.0 if self.over else number / self.images)
        incurable = self.world.incurable[image.kind]
        withstood = 1.0 - incurable
        for arm in failed:
            withstood *= 1.0 - rate(arm)
        best = max((*_open(self.world, failed), PLAIN), key=rate)
        chance = withstood * rate(best) / (withstood + incurable)
        return best if chance >= self.worth and (chance > 0 or not self.worth) else None


class OptimizerPlayer:
    """The optimizer, as a run would ask it."""

    def __init__(self, world: World, edit_stats: EditStats, rng: random.Random, *, first_ask: bool) -> None:
        self._first_ask = first_ask
        self._policy = Policy(
            edit_stats=edit_stats,
            edits_by_kind=dict.fromkeys(world.shares, world.edits),
            rng=rng,
            limits=RepairLimits(max_edits=MAX_EDITS, max_calls=MAX_CALLS if first_ask else MAX_CALLS + 1),
        )

    def _history(self, image: Image, failed: tuple[str, ...]) -> FailureHistory:
        arms = failed if self._first_ask else (PLAIN, *failed)
        return FailureHistory(failures=(Failure(kind=image.kind),) * (len(arms) + 1), arms=arms)

    def choose(self, _number: int, image: Image, failed: tuple[str, ...]) -> str | None:
        """Choose."""
        step = self._policy.next_step(self._history(image, failed))
        return None if isinstance(step, GiveUp) else PLAIN if isinstance(step, AskAgain) else step.arm

    def observe(self, image: Image, failed: tuple[str, ...], arm: str, *, rescued: bool) -> None:
        """Learn."""
        self._policy.learn(self._history(image, failed), arm, rescued=rescued)


def play_world(
    world: World, number: int, seed: int, setting: Setting, *, runs: int = 1
) -> dict[str, list[RunResult]]:
    """Return the result of each policy in one run, or in two; the optimizer keeps its statistics between."""
    edit_stats, found = EditStats("model", "0" * 64), dict[str, list[RunResult]]()
    first = setting.first_ask
    for run in range(1, runs + 1):
        failing, over = world.images(number, random.Random(f"{seed} night {run}")), run > 1
        rng = random.Random(f"{seed} calls {run}")
        rivals: dict[str, Player] = {
            "asking again": AskingAgain(),
            "round robin": RoundRobin(world=world, first_ask=first),
            "oracle": Oracle(world=world, images=number, first_ask=first, over=over),
            "oracle that stops": Oracle(
                world=world, images=number, first_ask=first, over=over, worth=WORTH_OF_A_CALL
            ),
        }
        for name, player in rivals.items():
            made = play(world, failing, player, rng=rng, over=over)
            found.setdefault(name, []).append(made)
        # What is kept between runs passes through its rows, as it does in the program.
        edit_stats = EditStats.from_rows(edit_stats.model, edit_stats.prompt_sha256, edit_stats.rows())
        optimizer = OptimizerPlayer(world, edit_stats, random.Random(f"{seed} draws {run}"), first_ask=first)
        made = play(
            world,
            failing,
            optimizer,
            rng=rng,
            over=over,
            in_rounds=setting.in_rounds,
        )
        found.setdefault("optimizer", []).append(made)
    return found


def total(results: Iterable[RunResult]) -> RunResult:
    """Return all runs as one."""
    listed = list(results)
    return RunResult(
        images=sum(one.images for one in listed),
        curable=sum(one.curable for one in listed),
        rescues=sum(one.rescues for one in listed),
        calls=sum(one.calls for one in listed),
    )


HELPFUL = frozenset(Family) - {Family.NOTHING}
