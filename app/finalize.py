"""End of a run: documents, the end in the journal, the archive.

All are written after a stop too, and each even if another could not be written. No figure is decided here.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from archiver import Archiver
from costs.price_book import Costs
from errors import FatalError, StopReason, StorageError
from gemini.model_info import PICTURE_MODEL, produces_images
from models import RunInfo
from prompt_optimizer import PromptOptimizer
from prompts.clause_findings import ClauseFinding
from prompts.picture_requests import asks_for_picture
from prompts.uplift import Uplift
from rate_limit.types import RateLimitStats
from reports import prompt_evolution, quota_forecast, run_report
from reports.attempt_history import EvolutionEntry, build_evolution_entry
from reports.documents import Example, FailureEntry, Pictures, ProcessingStats, TreeTotals
from reports.formatting import round_dollars
from reports.guilty_words import GuiltyWords, build_guilty_words
from reports.prompt_evolution import ProposalEntry
from reports.tally import MAX_EXAMPLES, PriceFunction, Tally, unknown_price
from settings.fail_on import FailOn
from storage.journal.journal import Journal
from storage.journal.plan import Plan
from storage.journal.read_models import FailureRow, count_deferred
from storage.output.folders import FAILED, RUNS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSources:
    """Sources of the quota's figures in the documents."""

    rate_limit_stats: RateLimitStats | None = None
    """State of the rate limiter at the end; None if not started."""
    count_answered_since: Callable[[datetime], int | None] = lambda _: None
    """Returns the answered calls of all real runs in the output directory; None if unknown."""
    zone: tzinfo | None = None
    """Of the user; None for the system's own."""


_NO_QUOTA_SOURCES = QuotaSources()


class RunFinalizer:
    """Writer of the end of one run; its methods block.

    Args:
        run: the run.
        journal: of the run.
        archiver: of the run.
        archive_format: ``zip``, ``tar`` or ``none``.
        fail_on: how many failures change the exit code.
        command: what the user typed, for the advice to run it again.
        utcnow: the wall clock.
        quota_sources: figures about the service's limits.
        summarize_costs: returns the costs of the run by its counts; None if unknown.
    """

    def __init__(
        self,
        *,
        run: RunInfo,
        journal: Journal,
        archiver: Archiver,
        archive_format: str,
        fail_on: FailOn,
        command: str,
        utcnow: Callable[[], datetime],
        quota_sources: QuotaSources = _NO_QUOTA_SOURCES,
        summarize_costs: Callable[[Tally], Costs | None] = lambda _: None,
    ) -> None:
        self._run = run
        self._journal = journal
        self._archiver = archiver
        self._archive_format = archive_format
        self._fail_on = fail_on
        self._command = command
        self._utcnow = utcnow
        self._quota_sources = quota_sources
        self._summarize_costs = summarize_costs

    def finalize(
        self,
        tally: Tally,
        plan: Plan,
        stop: FatalError | None,
        uplift: Uplift | None = None,
        *,
        proposals: Sequence[ProposalEntry] = (),
        findings: Sequence[ClauseFinding] = (),
    ) -> tuple[ProcessingStats, Path | None]:
        """Write everything; return the document about the run and the archive's path, or None.

        What cannot be written is logged, and becomes the end's reason unless it had one.
        ``uplift`` is None if prompts were not repaired; ``findings`` are words that cost images.
        """
        words = self._build_guilty_words(findings, tally)
        build_stats = partial(self._build_stats, tally, plan, words)
        steps: tuple[Callable[[], object], ...] = (
            lambda: self._write_evolution(tally, uplift, proposals, words),
            lambda: self._write_analysis(tally, plan),
            lambda: self._write_stats(build_stats(stop)),
        )
        for step in steps:
            error = self._try_step(step)
            stop = stop or error
        archive, pack_error = self._pack()
        if pack_error and not stop:
            # The document stands outside the archive, so it can still name the error.
            self._try_step(lambda: self._write_stats(build_stats(pack_error)))
        stats = build_stats(stop or pack_error)
        # An outcome that could not be recorded may stand in the ledger all the same.
        self._try_step(
            lambda: self._journal.end_run(
                exit_code=stats.exit_code,
                ended_at=self._utcnow(),
                is_whole=not tally.unsaved,
                ledger=self._archiver.proven_answers.state(),
            )
        )
        return stats, archive

    def _write_stats(self, stats: ProcessingStats) -> None:
        """Write the document about this run under the name of the newest one, and under its own."""
        for name in (f"{RUNS}/{self._run.run_id}", "processing_stats"):
            self._archiver.write_document(name, stats)

    def _pack(self) -> tuple[Path | None, FatalError | None]:
        try:
            return self._archiver.pack(self._archive_format), None
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - for people: the message says it all
            return None, FatalError(StopReason.STORAGE, str(error))

    @staticmethod
    def _try_step(step: Callable[[], object]) -> FatalError | None:
        try:
            step()
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - for people: the message says it all
            return FatalError(StopReason.STORAGE, str(error))
        return None

    def _build_stats(
        self, tally: Tally, plan: Plan, words: tuple[GuiltyWords, ...], stop: FatalError | None
    ) -> ProcessingStats:
        ended_at, counts = self._utcnow(), _to_plan_counts(plan)
        stats = run_report.build_processing_stats(
            run=self._run,
            ended_at=ended_at,
            tally=tally,
            plan=counts,
            tree=self._count_tree(
                run_report.count_deferred_by(tally, counts).total() if plan.found else None
            ),
            stop=stop,
            fail_on=self._fail_on,
            quota=self._quota_status(ended_at, stop),
            costs=self._summarize_costs(tally),
        )
        edited = stats.other_words and replace(stats.other_words, words_to_blame=words)
        return replace(stats, pictures=_count_pictures(self._run, tally), other_words=edited)

    def _quota_status(self, ended_at: datetime, stop: FatalError | None) -> run_report.QuotaStatus:
        """Return the state of the quota; today's answers are counted only if a real run spent it."""
        is_spent = stop is not None and stop.reason is StopReason.DAILY_QUOTA and not self._run.dry_run
        return run_report.QuotaStatus(
            stats=self._quota_sources.rate_limit_stats,
            answered_today=self._quota_sources.count_answered_since(quota_forecast.last_reset(ended_at))
            if is_spent
            else None,
            zone=self._quota_sources.zone,
        )

    def _count_tree(self, left: int | None) -> TreeTotals:
        counts = self._journal.tree_counts()
        own = counts.dry if self._run.dry_run else counts.real
        usage = self._journal.usage_totals().usage
        return TreeTotals(
            answered=own.succeeded,
            failed=sum(own.failed.values()),
            deferred=count_deferred(own, self._run, left),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )

    def _build_guilty_words(self, findings: Sequence[ClauseFinding], tally: Tally) -> tuple[GuiltyWords, ...]:
        asked = tally.edit_outcomes.images_asked
        return build_guilty_words(findings, prompt=self._run.prompt, images_asked=asked)

    def _write_evolution(
        self,
        tally: Tally,
        uplift: Uplift | None,
        proposals: Sequence[ProposalEntry],
        words: Sequence[GuiltyWords],
    ) -> None:
        head = prompt_evolution.build_prompt_evolution(
            self._run, tally, uplift, proposals, words_to_blame=words
        )
        self._archiver.write_stream("prompt_evolution", head, "images", self._iterate_evolution(tally.price))

    def _iterate_evolution(self, price: PriceFunction) -> Iterator[EvolutionEntry]:
        for chain in self._journal.prompt_chains(dry_run=self._run.dry_run):
            # An earlier run may have asked another model, at another price.
            is_ours = chain.attempts[0].started_at >= self._run.started_at
            yield build_evolution_entry(
                chain.key,
                chain.attempts,
                succeeded=chain.succeeded,
                kind=chain.kind,
                price=price if is_ours else unknown_price,
            )

    def _write_analysis(self, tally: Tally, plan: Plan) -> None:
        groups = [
            run_report.build_error_group(
                group.kind,
                count=group.images,
                examples=[Example(key=row.key, detail=row.detail) for row in group.examples],
                command=self._command,
                options=self._run.options,
            )
            for group in self._journal.failure_groups(examples=MAX_EXAMPLES, dry_run=self._run.dry_run)
        ]
        deferred = run_report.count_deferred_by(tally, _to_plan_counts(plan))
        failures = map(_to_failure_entry, self._journal.failures(dry_run=self._run.dry_run))
        head = run_report.build_error_analysis(
            groups, deferred=deferred, deferred_because=tally.deferred_because
        )
        self._archiver.write_stream("error_analysis", head, "failures", failures)


def _to_plan_counts(plan: Plan) -> run_report.PlanCounts:
    return run_report.PlanCounts(
        found=plan.found,
        already_answered=plan.answered,
        known_failures=sum(plan.known_failures.values()),
        not_selected=plan.not_selected,
        to_do=plan.todo + plan.copyable,
        known_failures_by=plan.known_failures,
        repaired=plan.earlier.repaired,
        kept=plan.earlier.kept,
        asked_anew=plan.earlier.asked_anew,
    )


def _count_pictures(run: RunInfo, tally: Tally) -> Pictures | None:
    """Return the pictures of the run; None if neither the prompt nor the model is about pictures."""
    has_pictures = produces_images(run.model)
    if not has_pictures and not asks_for_picture(run.prompt):
        return None
    return Pictures(made=tally.pictures, model_to_take=None if has_pictures else PICTURE_MODEL)


def _to_failure_entry(row: FailureRow) -> FailureEntry:
    logs = [artefact.path for artefact in row.artefacts if artefact.path.startswith(f"{FAILED}/")]
    return FailureEntry(
        key=row.key,
        kind=row.kind,
        detail=row.detail,
        attempts=row.attempts,
        revision=row.prompt.revision,
        log=logs[0] if logs else None,
        failed_at=row.finished_at,
    )


def to_proposal_entries(optimizer: PromptOptimizer) -> list[ProposalEntry]:
    """Return the entries of the prompts that a model proposed."""
    return [
        ProposalEntry(
            name=one.name,
            kind=one.kind,
            model=one.proposed_by,
            prompt=one.text,
            outcome=one.status.value,
            why=one.why,
            tried=one.tried,
            rescued=one.rescued,
            input_tokens=one.usage.input_tokens,
            output_tokens=one.usage.output_tokens,
            cost_usd=round_dollars(one.cost),
        )
        for one in optimizer.candidates.reportable_candidates()
    ]
