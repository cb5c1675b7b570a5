"""What was done to one image, call by call?

A result that was got with other words, or after another setting, is only to be understood by what came
before; so a line has every call in full. Pure: a record in, a line of ``prompt_evolution.json`` out. What
the calls achieved together is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from errors import ErrorKind
from models import Attempt, Parameter
from reports.tally import PriceFunction, result_of, unknown_price


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionStep:
    """One call, and the words it carried."""

    number: int
    started_at: datetime
    seconds: float
    prompt: str
    revision: int
    edits: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """Settings that were changed for it."""
    control: bool
    """The user's own words, kept by a coin where an edit would have had its turn."""
    result: str
    """``answered``, a class of failure, or the reason that ended the run."""
    detail: str
    http_status: int | None
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None where nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionEntry:
    """One line of ``images``: every call for an image that was asked about in more than one wording."""

    key: str
    outcome: str
    """``succeeded``, ``failed`` or ``deferred``."""
    kind: ErrorKind | None
    """The class of the failure; None when it succeeded."""
    attempts: tuple[EvolutionStep, ...]


def build_evolution_entry(
    key: str,
    attempts: Sequence[Attempt],
    *,
    succeeded: bool,
    kind: ErrorKind | None,
    price: PriceFunction = unknown_price,
) -> EvolutionEntry:
    """Return every call for an image, in order, with its words and how it ended.

    Args:
        key: the image.
        attempts: all calls of one run.
        succeeded: the image was answered in the end.
        kind: the class of failure when it failed; None when it was deferred before any.
        price: what each call cost.

    """
    return EvolutionEntry(
        key=key,
        outcome="succeeded" if succeeded else "failed" if kind else "deferred",
        kind=kind,
        attempts=tuple(_build_step(attempt, price) for attempt in attempts),
    )


def _build_step(attempt: Attempt, price: PriceFunction) -> EvolutionStep:
    cost = price(attempt.usage, attempt.started_at)
    return EvolutionStep(
        number=attempt.number,
        started_at=attempt.started_at,
        seconds=attempt.seconds,
        prompt=attempt.prompt.text,
        revision=attempt.prompt.revision,
        edits=attempt.prompt.edits,
        parameters=attempt.prompt.parameters,
        control=attempt.prompt.is_control,
        result=result_of(attempt),
        detail=attempt.detail,
        http_status=attempt.http_status,
        input_tokens=attempt.usage.input_tokens,
        output_tokens=attempt.usage.output_tokens,
        cost_usd=None if cost is None else float(round(cost, 6)),
    )
