"""Rows of paid answers: the current one of each image, and earlier ones in the history.

An image has at most one current answer; only a new answer replaces it. An answer in the history can be
copied when the same bytes come with the same settings. Answers of dry runs are never copied.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from models import Artefact, ImageJob, StoredAnswer
from storage.journal import schema
from storage.journal.bulk_insert import BulkInsert

ArtefactCheck = Callable[[Artefact], bool]
"""Returns whether an artefact still exists as it was written."""

_MAX_COPIES = 20
"""Most answers to the same bytes whose files are checked before the search ends."""


def is_in_tree(artefacts: Iterable[Artefact], check: ArtefactCheck) -> bool:
    """Return whether an answer is in the tree; one without artefacts is not."""
    listed = tuple(artefacts)
    return bool(listed) and all(map(check, listed))


def has_failed(connection: sqlite3.Connection, key: str) -> bool:
    """Return whether the latest outcome of an image is a failure."""
    rows = connection.execute("SELECT 1 FROM images WHERE key = ? AND outcome = 'failed'", (key,))
    return rows.fetchone() is not None


def find_answers(
    connection: sqlite3.Connection,
    *,
    sha256: str,
    fingerprint: str,
    run_id: str | None,
    is_any_settings: bool = False,
) -> Iterator[StoredAnswer]:
    """Yield the real answers to these bytes that count for these settings, current ones first.

    With ``run_id`` only those that this run has obtained; with ``is_any_settings`` those of all settings.
    """
    rows = connection.execute(
        f"SELECT {schema.ANSWER} WHERE a.sha256 = ?1 AND a.dry_run = 0 AND (?3 IS NULL OR a.run_id = ?3)"
        " AND (?4 OR a.fingerprint = ?2 OR instr(a.counts_for, ?2))"
        " ORDER BY a.standing DESC, a.fingerprint = ?2 DESC"
        f" LIMIT {_MAX_COPIES}",
        (sha256, fingerprint, run_id, is_any_settings),
    ).fetchall()
    return map(schema.answer_from, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAnswer:
    """The answer, real or dry, that an image has now."""

    run_id: str | None
    """The run that obtained it; None if unknown."""
    answer: StoredAnswer


def find_current_answers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, CurrentAnswer]:
    """Return the current answers of the keys that have one."""
    rows = connection.execute(
        f"SELECT a.run_id, {schema.ANSWER} WHERE a.standing = 1"  # noqa: S608
        " AND a.key IN (SELECT value FROM json_each(?))",
        (json.dumps(keys),),
    ).fetchall()
    found = [CurrentAnswer(run_id=row[0], answer=schema.answer_from(row[1:])) for row in rows]
    return {one.answer.key: one for one in found}


def set_current_answer(
    rows: BulkInsert,
    answer: StoredAnswer,
    *,
    run_id: str | None,
    moved_to_history: Sequence[Artefact],
    current: CurrentAnswer | None,
) -> None:
    """Write the answer as the current one of its key, unless a dry one would replace a real one.

    ``current`` is the answer that the key has now; None if there is none.
    """
    if answer.dry_run and current and not current.answer.dry_run:
        return
    if current:
        _move_answer_to_history(rows, current, moved_to_history=moved_to_history)
    _insert_answer(rows, answer, is_current=True, run_id=run_id)


def _move_answer_to_history(
    rows: BulkInsert, current: CurrentAnswer, *, moved_to_history: Sequence[Artefact]
) -> None:
    """Update the current answer's row: its files are now those of ``moved_to_history``; remove it if none."""
    rows.connection.execute("DELETE FROM answers WHERE key = ? AND standing = 1", (current.answer.key,))
    if moved_to_history:
        moved = replace(current.answer, artefacts=tuple(moved_to_history))
        _insert_answer(rows, moved, is_current=False, run_id=current.run_id)


def import_from_history(
    connection: sqlite3.Connection, answer: StoredAnswer, has_expected_hash: Callable[[Artefact], bool]
) -> bool:
    """Add an answer in the history that the journal lacks; return False if known or its bytes are wrong."""
    row = (answer.sha256, answer.fingerprint, schema.pack_artefacts(answer.artefacts))
    known = connection.execute(
        "SELECT 1 FROM answers WHERE sha256 = ? AND fingerprint = ? AND artefacts = ?", row
    ).fetchone()
    if known or not is_in_tree(answer.artefacts, has_expected_hash):
        return False
    rows = BulkInsert(connection)
    _insert_answer(rows, answer, is_current=False, run_id=None)
    rows.flush()
    return True


def write_file_state(connection: sqlite3.Connection, job: ImageJob) -> None:
    """Update the file's times and inode in the image's row, whose bytes are still those of the file."""
    connection.execute(
        "UPDATE images SET mtime = ?, ctime = ?, inode = ? WHERE key = ? AND size = ?",
        (schema.clamp_mtime(job.mtime_ns), *schema.file_identity(job), job.key, job.size_bytes),
    )


def _insert_answer(rows: BulkInsert, answer: StoredAnswer, *, is_current: bool, run_id: str | None) -> None:
    sealed: tuple[schema.Value, ...] = (
        answer.key,
        int(is_current),  # column ``standing``
        answer.size_bytes,
        answer.sha256,
        answer.fingerprint,
        schema.pack_artefacts(answer.artefacts),
        rows.add_prompt(answer.prompt),
        answer.usage.input_tokens,
        answer.usage.output_tokens,
        schema.to_storable_text(answer.model_version),
        schema.to_storable_text(answer.response_id),
        schema.utc_isoformat(answer.answered_at),
        int(answer.dry_run),
        answer.model,
        " ".join(answer.counts_for),
    )
    row = (*sealed, schema.clamp_mtime(answer.mtime_ns), run_id, schema.seal(sealed))
    rows.add(f"INSERT INTO answers ({schema.SEALED}, mtime, run_id, seal)", row)
