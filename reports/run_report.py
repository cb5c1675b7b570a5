"""What is to be told about a run: as documents for programs, and in a few lines for people?

Pure: counts and records in, documents and text out. This file must not know where anything is written,
what time it is, or how the counts came about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice

from costs.price_book import Costs
from errors import ErrorKind, FatalError
from models import RunInfo
from rate_limit.types import PacingFigures
from reports import prompt_suggestion, quota_forecast
from reports.advice import STOPPED_BECAUSE, advice_for
from reports.cost_report import cost_section
from reports.documents import (
    Accounting,
    Counted,
    ErrorAnalysis,
    ErrorGroup,
    Example,
    FailureEntry,
    OtherWords,
    PassedOver,
    ProcessingStats,
    Requests,
    Stopped,
    Tokens,
    TreeTotals,
)
from reports.rate_limit_report import pacing_section
from reports.summary import Where, last_line, summary
from reports.tally import ANSWERED, EXAMPLES, FAIL_ON_ANY, Tally
from settings.options import FailOn

__all__ = [
    "Costs",
    "ErrorAnalysis",
    "ErrorGroup",
    "Example",
    "FailureEntry",
    "Limits",
    "PlanCounts",
    "ProcessingStats",
    "Tally",
    "TreeTotals",
    "Where",
    "error_analysis",
    "error_group",
    "last_line",
    "processing_stats",
    "summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """The split of the images that was made before the first call; the parts add up to ``found``."""

    found: int
    already_answered: int
    known_failures: int
    not_selected: int
    to_do: int
    """To be asked about, or their answer to be copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the end of a run knows about the service's limits."""

    figures: PacingFigures | None = None
    """How the pacing stands; None when the run ended before there was any."""
    answered_today: int | None = None
    """Answers of this quota day, of all runs in the output directory; None: only this run's are known."""
    zone: tzinfo | None = None
    """Where the user is; None for where the machine is."""


_NOTHING_KNOWN = Limits()
_EVOLUTION = "prompt_evolution.json"


def processing_stats(
    *,
    run: RunInfo,
    ended_at: datetime,
    tally: Tally,
    plan: PlanCounts,
    tree: TreeTotals,
    stop: FatalError | None,
    fail_on: FailOn = FAIL_ON_ANY,
    limits: Limits = _NOTHING_KNOWN,
    costs: Costs | None = None,
) -> ProcessingStats:
    """Return the document about the run as a whole, which ended at ``ended_at`` (UTC), early if ``stop``."""
    went = _accounting(tally, plan)
    code = tally.exit_code(stop=stop.reason if stop else None, found=plan.found, fail_on=fail_on)
    return ProcessingStats(
        exit_code=code,
        exit_meaning=code.meaning,
        stopped=_stopped(stop, went, tally=tally, ended_at=ended_at, limits=limits) if stop else None,
        started_at=run.started_at,
        ended_at=ended_at,
        seconds=max(0.0, (ended_at - run.started_at).total_seconds()),
        model=run.model,
        prompt=run.prompt,
        fingerprint=run.fingerprint,
        options=run.options,
        accounting=went,
        passed_over=_passed_over(tally),
        failed=_counted(tally.failed),
        deferred=_counted(tally.deferred),
        lost=tuple(tally.lost),
        deferred_because=_largest_first(tally.deferred_because),
        requests=_requests(tally),
        pacing=pacing_section(limits.figures),
        tokens=_tokens(tally),
        cost=cost_section(costs, tally),
        notes=_largest_first(tally.notes),
        other_words=_other_words(tally),
        tree=tree,
    )


def _stopped(
    stop: FatalError, went: Accounting, *, tally: Tally, ended_at: datetime, limits: Limits
) -> Stopped:
    outlook = quota_forecast.outlook(
        stop,
        now=ended_at,
        images_left=went.deferred + max(0, went.not_started),
        answered=limits.answered_today or tally.results[ANSWERED],
        zone=limits.zone,
    )
    return Stopped(
        reason=stop.reason,
        detail=": ".join(filter(None, (STOPPED_BECAUSE.get(stop.reason), stop.detail))),
        remedy=outlook.remedy,
        images_left=outlook.images_left,
        resets_at=outlook.resets_at,
        resets_at_local=outlook.resets_at_local,
        images_per_night=outlook.images_per_night,
        nights_left=outlook.nights_left,
    )


def _accounting(tally: Tally, plan: PlanCounts) -> Accounting:
    passed_over = tally.passed_over.total()
    not_started = plan.to_do - tally.finished
    left_alone = plan.already_answered + plan.known_failures + plan.not_selected
    return Accounting(
        files_seen=passed_over + plan.found,
        passed_over=passed_over,
        found=plan.found,
        already_answered=plan.already_answered,
        known_failures=plan.known_failures,
        not_selected=plan.not_selected,
        answered=tally.succeeded,
        reused=tally.reused,
        failed=tally.failed.total(),
        deferred=tally.deferred.total(),
        lost=len(tally.lost),
        not_started=not_started,
        adds_up=not_started >= 0 and plan.found == left_alone + tally.finished + not_started,
    )


def _passed_over(tally: Tally) -> PassedOver:
    reasons = _largest_first(tally.passed_over)
    examples = {reason: tuple(tally.passed_over_examples[reason]) for reason in reasons}
    return PassedOver(total=sum(reasons.values()), by=reasons, examples=examples)


def _requests(tally: Tally) -> Requests:
    return Requests(
        total=tally.requests,
        by_result=_largest_first(tally.results),
        refused_by_http_status=dict(sorted(tally.http_statuses.items())),
        retries=_counted(tally.retries),
        upload_bytes=tally.upload_bytes,
    )


def _tokens(tally: Tally) -> Tokens:
    used = tally.usage
    return Tokens(
        input=used.input_tokens, output=used.output_tokens, total=used.input_tokens + used.output_tokens
    )


def _other_words(tally: Tally) -> OtherWords | None:
    seen = tally.wordings
    if not seen.other_words.tried and not seen.other_settings.tried:
        return None
    return OtherWords(
        tried=seen.other_words.tried,
        answered=seen.other_words.rescued,
        tried_with_settings=seen.other_settings.tried,
        answered_with_settings=seen.other_settings.rescued,
        suggestion=prompt_suggestion.suggestion(seen, calls=tally.requests),
        see=_EVOLUTION,
    )


def _counted(counts: Mapping[str, int] | Mapping[ErrorKind, int]) -> Counted:
    return Counted(total=sum(counts.values()), by=_largest_first(counts))


def _largest_first(counts: Mapping[str, int] | Mapping[ErrorKind, int]) -> dict[str, int]:
    plain = {str(name): count for name, count in counts.items()}
    return dict(sorted(plain.items(), key=lambda item: (-item[1], item[0])))


def error_group(
    kind: ErrorKind, *, count: int, examples: Iterable[Example], command: str, is_repaired: bool = False
) -> ErrorGroup:
    """Return the group of all failures of one class.

    Args:
        kind: the class.
        count: images.
        examples: the first ``EXAMPLES`` of these are shown.
        command: what the user types to run again with the same settings.
        is_repaired: these settings allow other words.

    """
    advice = advice_for(kind, is_repaired=is_repaired)
    return ErrorGroup(
        kind=kind,
        count=count,
        cause=advice.cause,
        remedy=advice.remedy,
        command=f"{command} {advice.flags}".rstrip() if advice.worth_repeating else None,
        examples=tuple(islice(examples, EXAMPLES)),
    )


def error_analysis(groups: Iterable[ErrorGroup], *, deferred: Mapping[str, int]) -> ErrorAnalysis:
    """Return the head of the document about failures; its list of all failures is streamed."""
    ordered = sorted(groups, key=lambda group: (-group.count, group.kind))
    return ErrorAnalysis(
        failed=sum(group.count for group in ordered),
        deferred=_largest_first(deferred),
        groups=tuple(ordered),
    )
