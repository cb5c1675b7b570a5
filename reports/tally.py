"""Counters of one run, and the exit code that follows from them.

Every outcome is added once, so counts and exit code cannot disagree. Memory does not grow with the images.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import PurePath
from typing import assert_never

from errors import ErrorKind, ExitCode, StopReason
from models import Attempt, Deferred, Failed, ImageContent, Outcome, Reused, Succeeded, Usage
from reports.edit_outcomes import EditOutcomes
from settings.fail_on import FailOn

MAX_EXAMPLES = 5

FAIL_ON_ANY = FailOn(at_least=1)
NOT_TRIED = "not_tried"
"""Label of images that were deferred because the run stopped before any of their calls ended."""

ANSWERED = "answered"
"""Label of calls that were answered."""
PROPOSAL = "proposal"
"""Label of calls that asked a model for a prompt, however they ended; they belong to no image."""

PriceFunction = Callable[[Usage, datetime], Decimal | None]
"""Cost in US dollars of a call with these tokens at this moment; None if unknown, and in a dry run."""


def unknown_price(usage: Usage, at: datetime) -> Decimal | None:  # noqa: ARG001 - it is a Price
    """Return None: the cost of a call is unknown."""
    return None


@dataclass(slots=True)
class Tally:
    """The counters of one run; owned by one thread."""

    price: PriceFunction = unknown_price

    succeeded: int = 0
    """Images answered by a call."""
    reused: int = 0
    """Images answered without a call, since identical bytes were answered before."""
    failed: Counter[ErrorKind] = field(default_factory=Counter)
    kept_answers: int = 0
    """Failed images that keep the answer that they had."""
    deferred: Counter[str] = field(default_factory=Counter)
    """By the class of the last failure, or ``NOT_TRIED``."""
    edit_outcomes: EditOutcomes = field(default_factory=EditOutcomes)
    """What edits and changed settings achieved."""
    deferred_because: Counter[str] = field(default_factory=Counter)
    """Last failure of each deferred image: the first ``MAX_EXAMPLES`` different sentences."""
    unsaved: list[str] = field(default_factory=list)
    """Keys of images whose outcome could not be written; the first one ends the run, so they are few."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are no input, by reason."""
    skipped_examples: dict[str, list[str]] = field(default_factory=dict)
    """Paths of the first ``MAX_EXAMPLES`` files of each reason."""
    pictures: int = 0
    """Pictures in the answers of this run's calls."""
    requests: int = 0
    """Calls made."""
    results: Counter[str] = field(default_factory=Counter)
    """Calls by result: ``ANSWERED``, a class of failure, or the reason that ended the run."""
    http_statuses: Counter[int] = field(default_factory=Counter)
    """Failed calls by HTTP status, if there was one."""
    retries: Counter[ErrorKind] = field(default_factory=Counter)
    """Retries, by the class of the failure before."""
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    """US dollars for all calls, failed ones included."""
    cost_by_result: dict[str, Decimal] = field(default_factory=dict)
    """``cost`` by result; results without any cost are left out."""
    upload_bytes: int = 0
    """Bytes of the requests' bodies as they were sent, with the images as they were encoded."""
    answers_without_usage: int = 0
    """Calls for which the service did not say what they took, or not in a way that can be believed."""
    notes: Counter[str] = field(default_factory=Counter)
    """Images by note: what was done to them before sending, or is worth knowing."""
    unsent_pages: int = 0
    """Pages of TIFFs after the first."""
    images_with_unsent_pages: int = 0

    @property
    def answered(self) -> int:
        """Images that were answered, by a call of this run or before."""
        return self.succeeded + self.reused

    @property
    def finished(self) -> int:
        """Images with an outcome of any kind."""
        return self.answered + self.failed.total() + self.deferred.total() + len(self.unsaved)

    def progress_counts(self) -> dict[str, int]:
        """Return the counts of the progress display."""
        return {"done": self.answered, "failed": self.failed.total(), "deferred": self.deferred.total()}

    def skip(self, reason: str, path: PurePath) -> None:
        """Record a file that is no input."""
        self.skipped[reason] += 1
        examples = self.skipped_examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(str(path))

    def record_unsaved(self, outcome: Outcome) -> None:
        """Record an image whose outcome could not be written; its calls count all the same."""
        self.unsaved.append(outcome.job.key)
        if not isinstance(outcome, Reused):
            self._add_calls(outcome.attempts, answered=False)

    def add_proposal(self, usage: Usage, cost: Decimal | None, sent_bytes: int = 0) -> None:
        """Add a call that asked a model for a prompt, however it ended; ``cost`` is None if unknown."""
        self.requests += 1
        self.upload_bytes += sent_bytes
        self.results[PROPOSAL] += 1
        self.usage += usage
        self._add_cost(PROPOSAL, cost)

    def add(self, outcome: Outcome, *, keeps_answer: bool = False) -> None:
        """Add the one outcome of an image, with all its calls; a failure may leave it an earlier answer."""
        match outcome:
            case Succeeded(content=content, generation=generation):
                self.succeeded += 1
                self.pictures += len(generation.images)
                self._add_content(content)
                self.notes.update(generation.notes)
            case Reused():
                self.reused += 1
                return
            case Failed(kind=kind, content=content):
                self.failed[kind] += 1
                self.kept_answers += keeps_answer
                self._add_content(content)
            case Deferred(kind=kind, detail=detail):
                self.deferred[kind or NOT_TRIED] += 1
                if detail in self.deferred_because or len(self.deferred_because) < MAX_EXAMPLES:
                    self.deferred_because[detail] += 1
            case _:
                assert_never(outcome)
        self._add_calls(outcome.attempts, answered=isinstance(outcome, Succeeded))

    def _add_content(self, content: ImageContent | None) -> None:
        if content is not None:
            # What stands in brackets is of one image alone, and there may be as many as images.
            self.notes.update(note.partition(" (")[0] for note in content.notes)
            self.unsent_pages += content.unsent_pages
            self.images_with_unsent_pages += content.unsent_pages > 0

    def exit_code(self, *, stop: StopReason | None, found: int, fail_on: FailOn = FAIL_ON_ANY) -> ExitCode:
        """Return the exit code of the process: the first of these that applies.

        1. The run was stopped: the code of the reason.
        2. No image was found: ``NO_INPUT``.
        3. As many images failed as ``fail_on`` says: ``SOME_FAILED``.
        4. An image was deferred, because the service was unavailable: ``TRY_LATER``.
        5. ``DONE``, also if there was nothing to do.

        Args:
            stop: why the run ended early; None if it did not.
            found: images in the input directory, answered before or not.
            fail_on: how many failures make the run fail.

        """
        if stop is not None:
            return stop.exit_code
        if found == 0:
            return ExitCode.NO_INPUT
        if fail_on.is_met(self.failed.total(), self.finished):
            return ExitCode.SOME_FAILED
        return ExitCode.TRY_LATER if self.deferred else ExitCode.DONE

    def _add_calls(self, attempts: Sequence[Attempt], *, answered: bool) -> None:
        self.requests += len(attempts)
        self.upload_bytes += sum(attempt.sent_bytes for attempt in attempts)
        self.answers_without_usage += sum(attempt.is_usage_missing for attempt in attempts)
        self.retries.update(earlier.kind for earlier, _ in pairwise(attempts) if earlier.kind)
        costs = [self.price(attempt.usage, attempt.started_at) for attempt in attempts]
        for attempt, cost in zip(attempts, costs, strict=True):
            self.results[result_of(attempt)] += 1
            self.usage += attempt.usage
            self._add_cost(result_of(attempt), cost)
            if attempt.http_status is not None:
                self.http_statuses[attempt.http_status] += 1
        self.edit_outcomes.add(attempts, costs, answered=answered)

    def _add_cost(self, result: str, cost: Decimal | None) -> None:
        if cost:
            self.cost += cost
            self.cost_by_result[result] = self.cost_by_result.get(result, Decimal(0)) + cost


def result_of(attempt: Attempt) -> str:
    """Return how a call ended: a class of failure, the reason that ended the run, or ``ANSWERED``."""
    return attempt.kind or attempt.ended_run or ANSWERED
