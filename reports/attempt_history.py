"""Lines of ``prompt_evolution.json``: every call for one image, in order, in full.

A result with an edited prompt, or after a changed setting, makes sense only with the calls before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from errors import ErrorKind
from models import Attempt, Parameter
from reports.formatting import round_dollars
from reports.tally import PriceFunction, result_of, unknown_price


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionStep:
    """One call with its prompt and result."""

    number: int
    started_at: datetime
    seconds: float
    prompt: str
    revision: int
    edits: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """Settings that were changed for this call."""
    control: bool
    """Whether the image is in the control group: the user's own prompt in place of a first edit."""
    result: str
    """``answered``, a class of failure, or the reason that ended the run."""
    detail: str
    http_status: int | None
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionEntry:
    """One line of ``images``: an image with an edit, with a changed setting, or in the control group."""

    key: str
    outcome: str
    """``succeeded``, ``failed`` or ``deferred``."""
    kind: ErrorKind | None
    """The class of the failure; None if it succeeded, or was deferred before any call."""
    attempts: tuple[EvolutionStep, ...]


def build_evolution_entry(
    key: str,
    attempts: Sequence[Attempt],
    *,
    succeeded: bool,
    kind: ErrorKind | None,
    price: PriceFunction = unknown_price,
) -> EvolutionEntry:
    """Return every call for an image, in order.

    Args:
        key: key of the image.
        attempts: all calls for it.
        succeeded: the image was answered in the end.
        kind: the class of failure if it failed; else None.
        price: computes the cost of a call.

    """
    return EvolutionEntry(
        key=key,
        outcome="succeeded" if succeeded else "failed" if kind else "deferred",
        kind=kind,
        attempts=tuple(_build_step(attempt, price) for attempt in attempts),
    )


def _build_step(attempt: Attempt, price: PriceFunction) -> EvolutionStep:
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
        cost_usd=round_dollars(price(attempt.usage, attempt.started_at)),
    )
