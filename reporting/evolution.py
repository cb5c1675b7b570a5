"""What is to be told about other words than the user's: what were they worth, and over what?

Pure: counts and records in, parts of ``prompt_evolution.json`` out. A share without its interval, or a
rescue that asking again would have brought as well, would say too much; so each share has its interval
and the worth of edits is their difference to a control. Where the counts come from is not known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from errors import ErrorKind
from models import Attempt, RunInfo
from repair.evidence import Interval, Uplift, wilson
from reporting.tally import Tally, result_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An estimate, and the interval that holds it in 95 of 100 cases."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCount:
    """One side of the comparison of edits with asking again."""

    tried: int
    """Images."""
    rescued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpliftSection:
    """What the first edit did over asking again, among images that failed twice alike."""

    edited: ArmCount
    asked_again: ArmCount
    """The control: a coin kept the user's own words."""
    difference: Share | None
    """Of the shares of rescues; None where there is nothing to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewordedCalls:
    """What other words took."""

    total: int
    input_tokens: int
    output_tokens: int
    per_rescue: float | None
    """None where nothing was rescued."""
    tokens_per_rescue: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCount:
    """What one edit of the prompt came to in this run."""

    tried: int
    """Images."""
    rescued: int
    share: Share
    """Of rescues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEvolution:
    """``prompt_evolution.json`` without its list ``images``: what other words have achieved."""

    prompt: str
    """The user's own."""
    reworded: int
    """Images of this run that were asked about in other words."""
    rescued: int
    """Of these, answered."""
    edits: Mapping[str, EditCount]
    calls: RewordedCalls
    uplift: UpliftSection | None
    """None without prompt optimization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionStep:
    """One call, and the words it carried."""

    number: int
    started_at: datetime
    seconds: float
    prompt: str
    revision: int
    edits: tuple[str, ...]
    control: bool
    """The user's own words, kept by a coin where an edit would have had its turn."""
    result: str
    """``answered``, a class of failure, or the reason that ended the run."""
    detail: str
    http_status: int | None
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionEntry:
    """One line of ``images``: every call for an image that was asked about in more than one wording."""

    key: str
    outcome: str
    """``succeeded``, ``failed`` or ``deferred``."""
    kind: ErrorKind | None
    """The class of the failure; None when it succeeded."""
    attempts: tuple[EvolutionStep, ...]


def prompt_evolution(run: RunInfo, tally: Tally, uplift: Uplift | None = None) -> PromptEvolution:
    """Return the head of the document about other words; its list of images is streamed."""
    by_tries = sorted(tally.edits_tried.items(), key=lambda item: (-item[1], item[0]))
    return PromptEvolution(
        prompt=run.prompt,
        reworded=tally.reworded,
        rescued=tally.rescued,
        edits={name: _edit_count(tried, tally.edits_rescued[name]) for name, tried in by_tries},
        calls=_calls(tally),
        uplift=_uplift(uplift) if uplift else None,
    )


def _edit_count(tried: int, rescued: int) -> EditCount:
    return EditCount(tried=tried, rescued=rescued, share=_share(wilson(rescued, tried)))


def _share(interval: Interval) -> Share:
    return Share(
        estimate=round(interval.estimate, 4), low=round(interval.low, 4), high=round(interval.high, 4)
    )


def _calls(tally: Tally) -> RewordedCalls:
    used, rescued = tally.reworded_usage, tally.rescued
    tokens = used.input_tokens + used.output_tokens
    return RewordedCalls(
        total=tally.reworded_calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        per_rescue=round(tally.reworded_calls / rescued, 2) if rescued else None,
        tokens_per_rescue=round(tokens / rescued, 1) if rescued else None,
    )


def _uplift(measured: Uplift) -> UpliftSection:
    edited, again = measured.edited, measured.asked_again
    return UpliftSection(
        edited=ArmCount(tried=edited.tries, rescued=edited.rescues),
        asked_again=ArmCount(tried=again.tries, rescued=again.rescues),
        difference=_share(measured.difference) if measured.difference else None,
    )


def evolution_entry(
    key: str, attempts: Sequence[Attempt], *, succeeded: bool, kind: ErrorKind | None
) -> EvolutionEntry:
    """Return every call for an image, in order, with its words and how it ended.

    Args:
        key: the image.
        attempts: all calls of one run.
        succeeded: the image was answered in the end.
        kind: the class of failure when it failed; None when it was deferred before any.

    """
    return EvolutionEntry(
        key=key,
        outcome="succeeded" if succeeded else "failed" if kind else "deferred",
        kind=kind,
        attempts=tuple(map(_step, attempts)),
    )


def _step(attempt: Attempt) -> EvolutionStep:
    return EvolutionStep(
        number=attempt.number,
        started_at=attempt.started_at,
        seconds=attempt.seconds,
        prompt=attempt.prompt.text,
        revision=attempt.prompt.revision,
        edits=attempt.prompt.edits,
        control=attempt.prompt.is_control,
        result=result_of(attempt),
        detail=attempt.detail,
        http_status=attempt.http_status,
        input_tokens=attempt.usage.input_tokens,
        output_tokens=attempt.usage.output_tokens,
    )
