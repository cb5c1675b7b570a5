"""Write outcomes, copies and ledger lines into the journal.

Each function is one step of a transaction that the caller holds. Two rules hold for all of them: a dry run
never replaces rows of a real one, and the row of an answer goes only when the answer itself is replaced.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from errors import WORTH_RETRYING_LATER
from models import (
    Artefact,
    Attempt,
    Deferred,
    Failed,
    ImageJob,
    Outcome,
    Reused,
    RunInfo,
    StoredAnswer,
    Succeeded,
    Usage,
)
from storage.journal import schema
from storage.journal.answers import (
    CurrentAnswer,
    find_current_answers,
    set_current_answer,
    write_file_state,
)
from storage.journal.bulk_insert import BulkInsert


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedImage:
    """An image's outcome, with its files."""

    outcome: Outcome
    """With every call that was made."""
    artefacts: Sequence[Artefact]
    """The files of the outcome."""
    finished_at: datetime
    """UTC."""
    moved_to_history: Sequence[Artefact] = ()
    """Files of the replaced answer with their paths in the history, from where they can be copied again.
    If there are none, a success removes the replaced answer's row; no other outcome touches it."""
    counts_for: tuple[str, ...] = ()
    """Fingerprints of other settings for which a new answer counts too; see ``repairs``."""
    keeps_answer: bool = False
    """True for a failure of an image that has an earlier answer; for the counts."""


_OutcomeWithCalls = Succeeded | Failed | Deferred
"""Outcomes with calls of their own."""

_IMAGE_COLUMNS = (
    "key, size, mtime, sha256, fingerprint, outcome, kind, detail, artefacts, prompt_id, attempts,"
    " input_tokens, output_tokens, dry_run, run_id, finished_at, ctime, inode"
)

_REPLACE_IMAGE = (
    "ON CONFLICT (key) DO UPDATE SET size = excluded.size, mtime = excluded.mtime,"
    " sha256 = excluded.sha256, fingerprint = excluded.fingerprint, outcome = excluded.outcome,"
    " kind = excluded.kind,"
    " detail = excluded.detail, artefacts = excluded.artefacts, prompt_id = excluded.prompt_id,"
    " attempts = excluded.attempts, input_tokens = excluded.input_tokens,"
    " output_tokens = excluded.output_tokens, dry_run = excluded.dry_run, run_id = excluded.run_id,"
    " finished_at = excluded.finished_at, ctime = excluded.ctime, inode = excluded.inode"
    " WHERE excluded.dry_run <= images.dry_run"
)
_KEEP_IMAGE = "ON CONFLICT (key) DO NOTHING"

_IMAGE_FROM_ANSWER = (
    f"INSERT INTO images ({_IMAGE_COLUMNS})"  # noqa: S608
    " SELECT key, size, mtime, sha256, fingerprint, 'succeeded', NULL,"
    " '', '[]', prompt_id, 0, input_tokens, output_tokens, dry_run, run_id, answered_at, NULL, NULL"
    " FROM answers"
    f" WHERE key = ? AND standing = 1 {_REPLACE_IMAGE}"
)

_UNLESS_NEWER = "AND (excluded.dry_run < images.dry_run OR excluded.finished_at >= images.finished_at)"


def begin_run(connection: sqlite3.Connection, run: RunInfo, process: str) -> None:
    """Record that the run has begun; earlier runs that never ended become ``cut``."""
    connection.execute("UPDATE runs SET state = 'cut' WHERE state = 'running'")
    connection.execute(
        "INSERT INTO runs VALUES (?, 'running', ?, NULL, NULL, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)",
        (
            run.run_id,
            schema.utc_isoformat(run.started_at),
            run.version,
            run.model,
            schema.to_storable_text(run.prompt),
            run.fingerprint,
            run.dry_run,
            json.dumps(dict(run.options)),
            process,
        ),
    )


def write_plan(connection: sqlite3.Connection, run: RunInfo, *, found: int, todo: int) -> None:
    """Record how many images were found and are to do, so that ``--status`` can say what is left."""
    connection.execute("UPDATE runs SET found = ?, todo = ? WHERE run_id = ?", (found, todo, run.run_id))


def end_run(
    connection: sqlite3.Connection, run: RunInfo, *, exit_code: int, ended_at: datetime, is_whole: bool
) -> None:
    """Record that the run ended by itself.

    If outcomes are missing (not ``is_whole``), it stays ``running``, so that the next run reads the ledger.
    """
    connection.execute(
        "UPDATE runs SET state = iif(?, 'ended', state), ended_at = ?, exit_code = ? WHERE run_id = ?",
        (is_whole, schema.utc_isoformat(ended_at), int(exit_code), run.run_id),
    )


def write_outcomes(connection: sqlite3.Connection, run: RunInfo, finished: Iterable[FinishedImage]) -> None:
    """Record how some images ended."""
    finished = list(finished)
    rows = BulkInsert(connection)
    if not run.dry_run:
        _forget_failures(connection, run, finished)
    current = find_current_answers(connection, [one.outcome.job.key for one in finished])
    written: set[str] = set()
    for one in finished:
        key = one.outcome.job.key
        if key in written:
            rows.flush()
            current.update(find_current_answers(connection, [key]))
        written.add(key)
        write_outcome(rows, run, one, current=current.get(key))
    rows.flush()


def _forget_failures(connection: sqlite3.Connection, run: RunInfo, finished: Iterable[FinishedImage]) -> None:
    """Remove the known failures that the outcomes replace; those of other settings stay."""
    by_key = {one.outcome.job.key: one for one in finished if _has_news(one.outcome)}
    # Nearly no image has a known failure, so one query serves the whole group.
    known = connection.execute(
        "SELECT DISTINCT key FROM known_failures WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps([*by_key]),),
    ).fetchall()
    for (key,) in known:
        one = by_key[key]
        is_answered = isinstance(one.outcome, Succeeded)
        settings = (run.fingerprint, *(one.counts_for if is_answered else ()))
        remove_known_failures(connection, key, settings, is_answered=is_answered)


def _has_news(outcome: Outcome) -> bool:
    """Return False for a deferral without a call, and for a copy, which has no run's settings."""
    return isinstance(outcome, Succeeded | Failed) or (
        isinstance(outcome, Deferred) and bool(outcome.attempts)
    )


def remove_known_failures(
    connection: sqlite3.Connection, key: str, settings: Sequence[str], *, is_answered: bool
) -> None:
    """Remove an image's known failures under these settings; the report of others goes with an answer."""
    connection.execute(
        "DELETE FROM known_failures WHERE key = ? AND fingerprint IN (SELECT value FROM json_each(?))",
        (key, json.dumps(settings)),
    )
    if is_answered:
        connection.execute("UPDATE known_failures SET artefacts = '[]' WHERE key = ?", (key,))


def write_outcome(
    rows: BulkInsert, run: RunInfo, finished: FinishedImage, *, current: CurrentAnswer | None
) -> None:
    """Record how an image ended, with all its calls; ``current`` is its answer so far, None if none."""
    outcome, moved_to_history, finished_at = finished.outcome, finished.moved_to_history, finished.finished_at
    match outcome:
        case Succeeded():
            answer = _build_answer(run, outcome, finished)
            set_current_answer(
                rows, answer, run_id=run.run_id, moved_to_history=moved_to_history, current=current
            )
            _write_image(rows, run, outcome, finished_at=finished_at, sha256=answer.sha256)
        case Failed(content=content):
            _write_image(
                rows,
                run,
                outcome,
                finished_at=finished_at,
                sha256=content.sha256 if content else None,
                artefacts=finished.artefacts,
            )
        case Deferred():
            _write_image(rows, run, outcome, finished_at=finished_at)
        case Reused(job=job, answer=answer):
            write_copy(
                rows,
                run,
                job,
                answer=answer,
                artefacts=finished.artefacts,
                moved_to_history=moved_to_history,
                current=current,
            )
        case _:
            assert_never(outcome)


def write_copy(
    rows: BulkInsert,
    run: RunInfo,
    job: ImageJob,
    *,
    answer: StoredAnswer,
    artefacts: Sequence[Artefact],
    moved_to_history: Sequence[Artefact],
    current: CurrentAnswer | None,
) -> None:
    """Record that ``artefacts`` are a copy of an answer under another image's name; it cost nothing."""
    copied = replace(
        answer,
        key=job.key,
        size_bytes=job.size_bytes,
        mtime_ns=job.mtime_ns,
        artefacts=tuple(artefacts),
    )
    set_current_answer(rows, copied, run_id=run.run_id, moved_to_history=moved_to_history, current=current)
    rows.flush()
    write_image_from_answer(rows.connection, job.key)
    write_file_state(rows.connection, job)
    if not run.dry_run:
        settings = (run.fingerprint, answer.fingerprint, *answer.counts_for)
        remove_known_failures(rows.connection, job.key, settings, is_answered=True)


def write_imported_answer(
    connection: sqlite3.Connection, answer: StoredAnswer, *, current: CurrentAnswer | None
) -> None:
    """Record an answer of the ledger that the journal lacks."""
    rows = BulkInsert(connection)
    set_current_answer(rows, answer, run_id=None, moved_to_history=(), current=current)
    rows.flush()
    connection.execute(f"{_IMAGE_FROM_ANSWER} {_UNLESS_NEWER}", (answer.key,))


def write_image_from_answer(connection: sqlite3.Connection, key: str) -> None:
    """Update the image's row from its current answer."""
    connection.execute(_IMAGE_FROM_ANSWER, (key,))


def _build_answer(run: RunInfo, outcome: Succeeded, finished: FinishedImage) -> StoredAnswer:
    return StoredAnswer(
        key=outcome.job.key,
        size_bytes=outcome.job.size_bytes,
        mtime_ns=outcome.job.mtime_ns,
        sha256=outcome.content.sha256,
        fingerprint=run.fingerprint,
        artefacts=tuple(finished.artefacts),
        prompt=outcome.prompt,
        usage=outcome.generation.usage,
        model_version=outcome.generation.model_version,
        response_id=outcome.generation.response_id,
        answered_at=finished.finished_at,
        dry_run=run.dry_run,
        model=run.model,
        counts_for=finished.counts_for,
    )


def _write_image(
    rows: BulkInsert,
    run: RunInfo,
    outcome: _OutcomeWithCalls,
    *,
    finished_at: datetime,
    sha256: str | None = None,
    artefacts: Sequence[Artefact] = (),
) -> None:
    has_no_news = not _has_news(outcome)
    kind, detail = (None, "") if isinstance(outcome, Succeeded) else (outcome.kind, outcome.detail)
    usage = sum((attempt.usage for attempt in outcome.attempts), Usage())
    row = (
        outcome.job.key,
        outcome.job.size_bytes,
        schema.clamp_mtime(outcome.job.mtime_ns),
        sha256,
        run.fingerprint,
        _outcome_name(outcome),
        kind,
        schema.to_storable_text(detail),
        schema.pack_artefacts(artefacts),
        rows.add_prompt(outcome.prompt),
        len(outcome.attempts),
        usage.input_tokens,
        usage.output_tokens,
        run.dry_run,
        run.run_id,
        schema.utc_isoformat(finished_at),
        *schema.file_identity(outcome.job),
    )
    conflict = _KEEP_IMAGE if has_no_news else _REPLACE_IMAGE
    rows.add(f"INSERT INTO images ({_IMAGE_COLUMNS})", row, conflict)
    if isinstance(outcome, Failed) and outcome.kind not in WORTH_RETRYING_LATER and not run.dry_run:
        rows.add("INSERT OR REPLACE INTO known_failures", row)
    _write_attempts(rows, run, outcome.job.key, outcome.attempts)


def _outcome_name(outcome: _OutcomeWithCalls) -> str:
    match outcome:
        case Succeeded():
            return "succeeded"
        case Failed():
            return "failed"
        case Deferred():
            return "deferred"
        case _:
            assert_never(outcome)


def _write_attempts(rows: BulkInsert, run: RunInfo, key: str, attempts: Iterable[Attempt]) -> None:
    for attempt in attempts:
        row = (
            key,
            run.run_id,
            attempt.number,
            schema.utc_isoformat(attempt.started_at),
            float(attempt.seconds),
            rows.add_prompt(attempt.prompt),
            float(attempt.timeout_s),
            attempt.kind,
            schema.to_storable_text(attempt.detail),
            attempt.http_status,
            None if attempt.api_status is None else schema.to_storable_text(attempt.api_status),
            attempt.unavailable,
            attempt.ended_run,
            json.dumps(attempt.quota_ids),
            attempt.usage.input_tokens,
            attempt.usage.output_tokens,
            attempt.usage.image_output_tokens,
        )
        rows.add("INSERT OR REPLACE INTO attempts", row)
