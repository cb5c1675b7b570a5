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
from storage.journal.bulk_insert import Rows

Stands = Callable[[Artefact], bool]
"""Says whether an artefact is still there as it was written."""

_CANDIDATES = 20
"""Copies of the same bytes to look at before the search for one that still stands is given up."""


def all_stand(artefacts: Iterable[Artefact], stands: Stands) -> bool:
    """Say whether an answer is in the tree; one without artefacts is not."""
    listed = tuple(artefacts)
    return bool(listed) and all(map(stands, listed))


def find_answers(
    connection: sqlite3.Connection, *, sha256: str, fingerprint: str, run_id: str | None
) -> Iterator[StoredAnswer]:
    """Yield the real answers to these bytes under these settings, those in their place first.

    With ``run_id`` only those that this run has obtained.
    """
    rows = connection.execute(
        f"SELECT {schema.ANSWER} WHERE a.sha256 = ?1 AND a.fingerprint = ?2 AND a.dry_run = 0"
        " AND (?3 IS NULL OR a.run_id = ?3) ORDER BY a.standing DESC"
        f" LIMIT {_CANDIDATES}",
        (sha256, fingerprint, run_id),
    ).fetchall()
    return map(schema.answer_from, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An answer, real or dry, that stands under its image's own name."""

    run_id: str | None
    """Of the run that obtained it; None when that is not known."""
    answer: StoredAnswer


def in_place(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Present]:
    """Return, for those of the keys that have one, the answer that stands there."""
    rows = connection.execute(
        f"SELECT a.run_id, {schema.ANSWER} WHERE a.standing = 1"  # noqa: S608
        " AND a.key IN (SELECT value FROM json_each(?))",
        (json.dumps(keys),),
    ).fetchall()
    found = [Present(run_id=row[0], answer=schema.answer_from(row[1:])) for row in rows]
    return {one.answer.key: one for one in found}


def place_answer(
    rows: Rows,
    answer: StoredAnswer,
    *,
    run_id: str | None,
    kept: Sequence[Artefact],
    present: Present | None,
) -> None:
    """Let the answer be the one that stands under its key, unless a dry one would replace a real one.

    ``present`` is the one that stands there now.
    """
    if answer.dry_run and present and not present.answer.dry_run:
        return
    if present:
        retire_answer(rows, present, kept=kept, given_up=True)
    _insert_answer(rows, answer, standing=True, run_id=run_id)


def retire_answer(rows: Rows, present: Present, *, kept: Sequence[Artefact], given_up: bool = False) -> None:
    """Note that the answer in its place has moved to where ``kept`` says.

    With nothing kept it stands where it stood, unless it is ``given_up``: then it is forgotten.
    """
    if not (kept or given_up):
        return
    rows.connection.execute("DELETE FROM answers WHERE key = ? AND standing = 1", (present.answer.key,))
    if kept:
        moved = replace(present.answer, artefacts=tuple(kept))
        _insert_answer(rows, moved, standing=False, run_id=present.run_id)


def adopt_from_history(
    connection: sqlite3.Connection, answer: StoredAnswer, proves: Callable[[Artefact], bool]
) -> bool:
    """Take over an answer whose files lie in the history, if they are what they were and not known yet."""
    row = (answer.sha256, answer.fingerprint, schema.pack_artefacts(answer.artefacts))
    known = connection.execute(
        "SELECT 1 FROM answers WHERE sha256 = ? AND fingerprint = ? AND artefacts = ?", row
    ).fetchone()
    if known or not all_stand(answer.artefacts, proves):
        return False
    rows = Rows(connection)
    _insert_answer(rows, answer, standing=False, run_id=None)
    rows.write()
    return True


def _insert_answer(rows: Rows, answer: StoredAnswer, *, standing: bool, run_id: str | None) -> None:
    sealed: tuple[schema.Value, ...] = (
        answer.key,
        int(standing),
        answer.size_bytes,
        answer.sha256,
        answer.fingerprint,
        schema.pack_artefacts(answer.artefacts),
        rows.keep_prompt(answer.prompt),
        answer.usage.input_tokens,
        answer.usage.output_tokens,
        schema.plain(answer.model_version),
        schema.plain(answer.response_id),
        schema.instant(answer.answered_at),
        int(answer.dry_run),
    )
    row = (*sealed, schema.time_stamp(answer.mtime_ns), run_id, schema.seal(sealed))
    rows.add(f"INSERT INTO answers ({schema.SEALED}, mtime, run_id, seal)", row)
