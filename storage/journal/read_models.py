"""Types that ``JournalReader`` returns, and the columns that each is built from."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from errors import ErrorKind, StopReason
from models import Artefact, Attempt, Prompt, RunInfo, Usage
from storage.journal import schema

FAILURE = (
    "i.key, i.kind, i.detail, p.text, p.revision, p.edits, i.attempts, i.artefacts, i.finished_at"
    " FROM images AS i LEFT JOIN prompts AS p USING (prompt_id)"
)
ATTEMPT = (
    "t.number, t.started_at, t.seconds, p.text, p.revision, p.edits, t.timeout_s, t.kind, t.detail,"
    " t.http_status, t.api_status, t.unavailable, t.ended_run, t.quota_ids, t.input_tokens, t.output_tokens,"
    " t.image_output_tokens FROM attempts AS t LEFT JOIN prompts AS p USING (prompt_id)"
)
RUN = (
    "run_id, started_at, version, model, prompt, fingerprint, dry_run, options, ended_at, exit_code, state,"
    " found, todo FROM runs"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCounts:
    """Number of images by their latest outcome; each image counts once."""

    succeeded: int = 0
    failed: Mapping[ErrorKind, int] = field(default_factory=dict)
    """By kind of error."""
    deferred: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeCounts:
    """Counts of the tree's images; ``dry`` has those that only dry runs have seen."""

    real: OutcomeCounts
    dry: OutcomeCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Number of real calls, failed ones included, and the tokens that they were billed for."""

    calls: int
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """One image whose latest outcome is a failure."""

    key: str
    kind: ErrorKind
    detail: str
    prompt: Prompt
    attempts: int
    artefacts: tuple[Artefact, ...]
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """All failures of one kind."""

    kind: ErrorKind
    images: int
    examples: tuple[FailureRow, ...]
    """The first ones by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChain:
    """An image that was sent with more than one prompt, with every call of its latest run."""

    key: str
    kind: ErrorKind | None
    """Kind of its failure; None if it was answered or deferred."""
    succeeded: bool
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, and the counts of its plan."""

    info: RunInfo
    ended_at: datetime | None
    """None while the run is active, and if it was killed."""
    exit_code: int | None
    was_killed: bool
    """True if a later run found it unfinished."""
    found: int | None
    """Images found; None before the plan was made."""
    todo: int | None
    """Images to send; None before the plan was made."""


def count_deferred(counts: OutcomeCounts, run: RunInfo | None, left: int | None) -> int:
    """Return the number of images that the next run asks about, because nothing is wrong with them.

    Args:
        counts: all images of the output directory.
        run: the newest run; None if there is none.
        left: images that it has not finished; None if unknown, and while it is active.
    """
    if run is None or left is None:
        return counts.deferred
    # The rows of a run that took all images are no better: it may not have reached some, and others are gone.
    return max(left, counts.deferred) if run.options.get("only") else left


def count_outcomes(rows: list[tuple[Any, ...]], *, dry_run: bool) -> OutcomeCounts:
    """Return the counts in rows of (dry run?, outcome, kind, images)."""
    totals: Counter[str] = Counter()
    failed: Counter[ErrorKind] = Counter()
    for dry, outcome, kind, images in rows:
        if dry == dry_run and outcome == "failed":
            failed[ErrorKind(kind)] += images
        elif dry == dry_run:
            totals[outcome] += images
    return OutcomeCounts(succeeded=totals["succeeded"], failed=dict(failed), deferred=totals["deferred"])


def _prompt(text: str | None, revision: int | None, edits: str | None) -> Prompt:
    """Return the prompt of a row; an empty one if damage has removed it, so that the row can be read."""
    return schema.prompt_from(text or "", revision or 0, edits or "[]")


def failure_from(row: tuple[Any, ...]) -> FailureRow:
    """Return the failure in a row of the ``FAILURE`` columns."""
    return FailureRow(
        key=row[0],
        kind=ErrorKind(row[1]),
        detail=row[2],
        prompt=_prompt(*row[3:6]),
        attempts=row[6],
        artefacts=schema.unpack_artefacts(row[7]),
        finished_at=datetime.fromisoformat(row[8]),
    )


def attempt_from(row: tuple[Any, ...]) -> Attempt:
    """Return the attempt in a row of the ``ATTEMPT`` columns."""
    return Attempt(
        number=row[0],
        started_at=datetime.fromisoformat(row[1]),
        seconds=row[2],
        prompt=_prompt(*row[3:6]),
        timeout_s=row[6],
        kind=ErrorKind(row[7]) if row[7] else None,
        detail=row[8],
        http_status=row[9],
        api_status=row[10],
        unavailable=bool(row[11]),
        ended_run=StopReason(row[12]) if row[12] else None,
        quota_ids=tuple(json.loads(row[13])),
        usage=Usage(input_tokens=row[14], output_tokens=row[15], image_output_tokens=row[16]),
    )


def run_from(row: tuple[Any, ...]) -> RunRow:
    """Return the run in a row of the ``RUN`` columns."""
    info = RunInfo(
        run_id=row[0],
        started_at=datetime.fromisoformat(row[1]),
        version=row[2],
        model=row[3],
        prompt=row[4],
        fingerprint=row[5],
        dry_run=bool(row[6]),
        options=json.loads(row[7]),
    )
    return RunRow(
        info=info,
        ended_at=datetime.fromisoformat(row[8]) if row[8] else None,
        exit_code=row[9],
        was_killed=row[10] == "cut",  # column ``state``
        found=row[11],
        todo=row[12],
    )
