"""Scenario for tests of the prompt policy: statistics, a policy, images that fail in given ways."""

import random
from collections.abc import Iterator, Sequence

from errors import ErrorKind
from models import Parameter
from prompts.candidates import CandidatePool
from prompts.edit_stats import EditStats
from prompts.edits import ASK_AGAIN
from prompts.history import Failure, FailureHistory
from prompts.policy import GiveUp, Policy, RepairLimits, Step
from prompts.rules import CURABLE_KINDS

EDITS = tuple(f"edit_{n}" for n in range(10))
NO_CONTROL = RepairLimits(control_share=0.0)
PLAIN_KINDS = sorted(CURABLE_KINDS)


def empty_stats() -> EditStats:
    """Return empty statistics."""
    return EditStats("model", "0" * 64)


def policy(
    edit_stats: EditStats | None = None,
    *,
    seed: int = 0,
    limits: RepairLimits | None = None,
    edits: Sequence[str] = EDITS,
    neutral_edits: Sequence[str] = (),
    parameters: Sequence[Parameter] = (),
    candidates: CandidatePool | None = None,
) -> Policy:
    """Return a policy with the same edits for every kind of error."""
    return Policy(
        edit_stats=edit_stats or empty_stats(),
        edits_by_kind=dict.fromkeys(CURABLE_KINDS, tuple(edits)),
        rng=random.Random(seed),
        limits=limits,
        neutral_edits=neutral_edits,
        parameters=parameters,
        candidates=candidates,
    )


def failed_once(kind: ErrorKind, reason: str = "") -> FailureHistory:
    """Return the history of an image that failed once."""
    return FailureHistory(failures=(Failure(kind=kind, reason=reason),))


def failed_twice(kind: ErrorKind) -> FailureHistory:
    """Return the history of an image that failed in the same way every time."""
    return failed_once(kind).with_failure(ASK_AGAIN, Failure(kind=kind))


def steps(
    chooser: Policy, failures: Sequence[Failure], *, learn: bool = True
) -> Iterator[tuple[FailureHistory, Step]]:
    """Let an image fail in these ways; yield each step with the history it was chosen for."""
    history = FailureHistory(failures=(failures[0],))
    for failure in [*failures[1:], failures[-1]]:
        step = chooser.next_step(history)
        yield history, step
        if isinstance(step, GiveUp):
            return
        if learn:
            chooser.learn(history, step.arm, rescued=False)
        history = history.with_failure(step.arm, failure)


def teach(
    edit_stats: EditStats, arm: str, *, rescues: int, failures: int, kind: ErrorKind = ErrorKind.BLOCKED
) -> None:
    """Let an arm have these outcomes, each the first on its image."""
    for n in range(rescues + failures):
        edit_stats.learn(kind, (), arm, rescued=n < rescues)
