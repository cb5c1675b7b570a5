"""Which answers were paid for, and where does each of them stand?

At most one answer stands under an image's own name; earlier ones may be kept in the history, from
where they serve again when the same bytes turn up under the same settings. Dry answers serve nobody.
This file must not know why an answer is wanted or how it is copied.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from models import Artefact, StoredAnswer
from storage.journal import schema
from storage.journal.bulk_insert import BulkInsert

ArtefactCheck = Callable[[Artefact], bool]
"""Says whether an artefact is still there as it was written."""

_MAX_COPIES = 20
"""Copies of the same bytes to look at before the search for one that still stands is given up."""


def is_in_tree(artefacts: Iterable[Artefact], check: ArtefactCheck) -> bool:
    """Say whether an answer is in the tree; one without artefacts is not."""
    listed = tuple(artefacts)
    return bool(listed) and all(map(check, listed))


def find_answers(
    connection: sqlite3.Connection, *, sha256: str, fingerprint: str, run_id: str | None
) -> Iterator[StoredAnswer]:
    """Yield the real answers to these bytes under these settings, those in their place first.

    With ``run_id`` only those that this run has obtained.
    """
    rows = connection.execute(
        f"SELECT {schema.ANSWER} WHERE a.sha256 = ?1 AND a.fingerprint = ?2 AND a.dry_run = 0"
        " AND (?3 IS NULL OR a.run_id = ?3) ORDER BY a.standing DESC"
        f" LIMIT {_MAX_COPIES}",
        (sha256, fingerprint, run_id),
    ).fetchall()
    return map(schema.answer_from, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAnswer:
    """An answer, real or dry, that stands under its image's own name."""

    run_id: str | None
    """Of the run that obtained it; None when that is not known."""
    answer: StoredAnswer


def find_current_answers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, CurrentAnswer]:
    """Return, for those of the keys that have one, the answer that stands there."""
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
    """Let the answer be the one that stands under its key, unless a dry one would replace a real one.

    ``present`` is the one that stands there now.
    """
    if answer.dry_run and current and not current.answer.dry_run:
        return
    if current:
        move_answer_to_history(rows, current, moved_to_history=moved_to_history, should_forget=True)
    _insert_answer(rows, answer, is_current=True, run_id=run_id)


def move_answer_to_history(
    rows: BulkInsert,
    current: CurrentAnswer,
    *,
    moved_to_history: Sequence[Artefact],
    should_forget: bool = False,
) -> None:
    """Note that the answer in its place has moved to where ``kept`` says.

    With nothing kept it stands where it stood, unless it is ``given_up``: then it is forgotten.
    """
    if not (moved_to_history or should_forget):
        return
    rows.connection.execute("DELETE FROM answers WHERE key = ? AND standing = 1", (current.answer.key,))
    if moved_to_history:
        moved = replace(current.answer, artefacts=tuple(moved_to_history))
        _insert_answer(rows, moved, is_current=False, run_id=current.run_id)


def import_from_history(
    connection: sqlite3.Connection, answer: StoredAnswer, has_expected_hash: Callable[[Artefact], bool]
) -> bool:
    """Take over an answer whose files lie in the history, if they are what they were and not known yet."""
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


def _insert_answer(rows: BulkInsert, answer: StoredAnswer, *, is_current: bool, run_id: str | None) -> None:
    sealed: tuple[schema.Value, ...] = (
        answer.key,
        int(is_current),
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
    )
    row = (*sealed, schema.clamp_mtime(answer.mtime_ns), run_id, schema.seal(sealed))
    rows.add(f"INSERT INTO answers ({schema.SEALED}, mtime, run_id, seal)", row)
