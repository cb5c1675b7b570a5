"""The documents about a run as a whole: ``processing_stats.json`` and ``error_analysis.json``.

Counts and records in, documents out: paths and the current time are passed in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from itertools import islice
from types import MappingProxyType

from costs.price_book import Costs
from errors import ErrorKind, FatalError
from models import RunInfo
from rate_limit.types import RateLimitStats
from reports import prompt_suggestion, quota_forecast
from reports.advice import STOPPED_BECAUSE, Options, advice_for
from reports.cost_report import build_cost_section
from reports.documents import (
    Accounting,
    Breakdown,
    EarlierAnswers,
    EditedPrompts,
    ErrorAnalysis,
    ErrorGroup,
    Example,
    FailureEntry,
    ProcessingStats,
    Requests,
    SkippedFiles,
    Stopped,
    Tokens,
    TreeTotals,
    UnsentPages,
)
from reports.rate_limit_report import build_pacing_section
from reports.summary import OutputPaths, build_last_line, build_summary
from reports.tally import ANSWERED, FAIL_ON_ANY, MAX_EXAMPLES, NOT_TRIED, Tally
from settings.fail_on import FailOn

__all__ = [
    "Costs",
    "ErrorAnalysis",
    "ErrorGroup",
    "Example",
    "FailureEntry",
    "OutputPaths",
    "PlanCounts",
    "ProcessingStats",
    "QuotaStatus",
    "Tally",
    "TreeTotals",
    "build_error_analysis",
    "build_error_group",
    "build_last_line",
    "build_processing_stats",
    "build_summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """Images by what the plan does with them, before the first call; the parts add up to ``found``."""

    found: int
    already_answered: int
    known_failures: int
    not_selected: int
    to_do: int
    """Images to be called, or whose answer is to be copied."""
    known_failures_by: Mapping[ErrorKind, int] = field(default_factory=dict)
    """``known_failures`` by class."""
    repaired: Mapping[str, int] = field(default_factory=dict)
    """Answered by a repair, by model; this and the next are part of ``already_answered``."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """Answered under other settings and left, by model."""
    asked_anew: Mapping[str, int] = field(default_factory=dict)
    """Answered under other settings, by what differs; part of ``to_do``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaStatus:
    """What is known about the service's limits at the end of a run."""

    stats: RateLimitStats | None = None
    """Statistics of the rate limiter; None if it was not started."""
    answered_today: int | None = None
    """Answers of this quota day, of all runs in the output directory; None if unknown."""
    zone: tzinfo | None = None
    """Time zone of the user; None for the zone of the machine."""


_UNKNOWN_QUOTA = QuotaStatus()
_NO_REASONS: Mapping[str, int] = MappingProxyType({})
_EVOLUTION_FILE = "prompt_evolution.json"


def build_processing_stats(
    *,
    run: RunInfo,
    ended_at: datetime,
    tally: Tally,
    plan: PlanCounts,
    tree: TreeTotals,
    stop: FatalError | None,
    fail_on: FailOn = FAIL_ON_ANY,
    quota: QuotaStatus = _UNKNOWN_QUOTA,
    costs: Costs | None = None,
) -> ProcessingStats:
    """Return ``processing_stats.json`` of a run that ended at ``ended_at`` (UTC); ``stop`` ended it early."""
    accounting = _build_accounting(tally, plan)
    code = tally.exit_code(stop=stop.reason if stop else None, found=plan.found, fail_on=fail_on)
    return _with_settings(run)(
        exit_code=code,
        exit_meaning=code.meaning,
        stopped=_build_stopped(stop, accounting, tally=tally, ended_at=ended_at, quota=quota),
        started_at=run.started_at,
        ended_at=ended_at,
        seconds=max(0.0, (ended_at - run.started_at).total_seconds()),
        accounting=accounting,
        passed_over=_build_skipped_files(tally),
        earlier_answers=_build_earlier_answers(tally, plan),
        failed=_build_breakdown(tally.failed),
        known_failures=_build_breakdown(plan.known_failures_by),
        deferred=_build_breakdown(count_deferred_by(tally, plan)),
        lost=tuple(tally.unsaved),
        deferred_because=_largest_first(tally.deferred_because),
        requests=_build_requests(tally),
        pacing=build_pacing_section(quota.stats),
        tokens=_build_tokens(tally),
        cost=build_cost_section(costs, tally),
        unsent_pages=_build_unsent_pages(tally),
        notes=_largest_first(tally.notes),
        other_words=_build_edited_prompts(tally),
        tree=tree,
    )


def _with_settings(run: RunInfo) -> partial[ProcessingStats]:
    return partial(
        ProcessingStats,
        model=run.model,
        prompt=run.prompt,
        fingerprint=run.fingerprint,
        options=run.options,
    )


def _build_unsent_pages(tally: Tally) -> UnsentPages | None:
    images, pages = tally.images_with_unsent_pages, tally.unsent_pages
    return UnsentPages(images=images, pages=pages) if pages else None


def _build_earlier_answers(tally: Tally, plan: PlanCounts) -> EarlierAnswers:
    return EarlierAnswers(
        repaired=_build_breakdown(plan.repaired),
        kept=_build_breakdown(plan.kept),
        asked_anew=_build_breakdown(plan.asked_anew),
        kept_by_failures=tally.kept_answers,
    )


def _build_stopped(
    stop: FatalError | None, accounting: Accounting, *, tally: Tally, ended_at: datetime, quota: QuotaStatus
) -> Stopped | None:
    if stop is None:
        return None
    forecast = quota_forecast.forecast_quota(
        stop,
        now=ended_at,
        images_left=accounting.deferred,
        answered=quota.answered_today or tally.results[ANSWERED],
        zone=quota.zone,
    )
    return Stopped(
        reason=stop.reason,
        detail=": ".join(filter(None, (STOPPED_BECAUSE.get(stop.reason), stop.detail))),
        remedy=forecast.remedy,
        images_left=forecast.images_left,
        resets_at=forecast.resets_at,
        resets_at_local=forecast.resets_at_local,
        images_per_night=forecast.images_per_night,
        nights_left=forecast.nights_left,
    )


def _build_accounting(tally: Tally, plan: PlanCounts) -> Accounting:
    skipped, left = tally.skipped.total(), plan.to_do - tally.finished
    untouched = plan.already_answered + plan.known_failures + plan.not_selected
    return Accounting(
        files_seen=skipped + plan.found,
        passed_over=skipped,
        found=plan.found,
        already_answered=plan.already_answered,
        known_failures=plan.known_failures,
        not_selected=plan.not_selected,
        answered=tally.succeeded,
        reused=tally.reused,
        failed=tally.failed.total(),
        deferred=count_deferred_by(tally, plan).total(),
        lost=len(tally.unsaved),
        not_started=min(0, left),
        adds_up=left >= 0 and plan.found == untouched + tally.finished + left,
    )


def count_deferred_by(tally: Tally, plan: PlanCounts) -> Counter[str]:
    """Return the deferred images by class; those that a stopped run did not reach are ``NOT_TRIED``."""
    not_started = max(0, plan.to_do - tally.finished)
    return tally.deferred + Counter({NOT_TRIED: not_started})


def _build_skipped_files(tally: Tally) -> SkippedFiles:
    reasons = _largest_first(tally.skipped)
    examples = {reason: tuple(tally.skipped_examples[reason]) for reason in reasons}
    return SkippedFiles(total=sum(reasons.values()), by=reasons, examples=examples)


def _build_requests(tally: Tally) -> Requests:
    return Requests(
        total=tally.requests,
        by_result=_largest_first(tally.results),
        refused_by_http_status=dict(sorted(tally.http_statuses.items())),
        retries=_build_breakdown(tally.retries),
        upload_bytes=tally.upload_bytes,
    )


def _build_tokens(tally: Tally) -> Tokens:
    used = tally.usage
    return Tokens(
        input=used.input_tokens, output=used.output_tokens, total=used.input_tokens + used.output_tokens
    )


def _build_edited_prompts(tally: Tally) -> EditedPrompts | None:
    outcomes = tally.edit_outcomes
    if not outcomes.edited.tried and not outcomes.changed_settings.tried:
        return None
    return EditedPrompts(
        tried=outcomes.edited.tried,
        answered=outcomes.edited.rescued,
        tried_with_settings=outcomes.changed_settings.tried,
        answered_with_settings=outcomes.changed_settings.rescued,
        words_to_blame=(),
        suggestion=prompt_suggestion.find_suggestion(outcomes, calls=tally.requests),
        see=_EVOLUTION_FILE,
    )


def _build_breakdown(counts: Mapping[str, int] | Mapping[ErrorKind, int]) -> Breakdown:
    return Breakdown(total=sum(counts.values()), by=_largest_first(counts))


def _largest_first(counts: Mapping[str, int] | Mapping[ErrorKind, int]) -> dict[str, int]:
    plain = {str(name): count for name, count in counts.items()}
    return dict(sorted(plain.items(), key=lambda item: (-item[1], item[0])))


def build_error_group(
    kind: ErrorKind,
    *,
    count: int,
    examples: Iterable[Example],
    command: str,
    options: Options,
) -> ErrorGroup:
    """Return the group of all failures of one class.

    Args:
        kind: the class.
        count: images.
        examples: the first ``MAX_EXAMPLES`` of these are shown.
        command: what the user types to run again with the same settings.
        options: these settings.

    """
    advice = advice_for(kind, options=options)
    return ErrorGroup(
        kind=kind,
        count=count,
        cause=advice.cause,
        remedy=advice.remedy,
        command=" ".join((command, *advice.flags)) if advice.is_worth_repeating else None,
        examples=tuple(islice(examples, MAX_EXAMPLES)),
    )


def build_error_analysis(
    groups: Iterable[ErrorGroup],
    *,
    deferred: Mapping[str, int],
    deferred_because: Mapping[str, int] = _NO_REASONS,
) -> ErrorAnalysis:
    """Return the head of the document about failures; the caller streams its list of all failures."""
    ordered = sorted(groups, key=lambda group: (-group.count, group.kind))
    return ErrorAnalysis(
        failed=sum(group.count for group in ordered),
        deferred=_largest_first(deferred),
        deferred_because=_largest_first(deferred_because),
        groups=tuple(ordered),
    )
