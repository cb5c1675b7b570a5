"""Rows of what runs learned about prompts: statistics of edits, and candidates that a model proposed."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from errors import ErrorKind
from prompts.records import CandidateRow, CandidateStatus, EditStatsRow
from storage.journal import schema
from storage.journal.reader import JournalReader


class LearnedRows(JournalReader):
    """The part of the journal that remembers what was learned; it also has the transaction of all writes."""

    def lessons(self, model: str, prompt_sha256: str) -> tuple[EditStatsRow, ...]:
        """Return what earlier runs learned about edits of this prompt."""
        # EditStatsRow: the table is called ``lessons``; its columns and the fields are called alike.
        rows = self._fetch_all(
            "SELECT kind, arm, rescues, failures FROM lessons WHERE model = ?1 AND prompt_sha256 = ?2",
            model,
            prompt_sha256,
        )
        return tuple(
            EditStatsRow(
                model=model,
                prompt_sha256=prompt_sha256,
                kind=ErrorKind(kind),
                arm=arm,
                rescues=rescues,
                failures=failures,
            )
            for kind, arm, rescues, failures in rows
        )

    def save_lessons(self, rows: Sequence[EditStatsRow]) -> None:
        """Write the statistics of edits; they replace those of the same models and prompts."""
        with self._transaction():
            _write_lessons(self._connection, rows)

    def proposed_edits(self, model: str, prompt_sha256: str) -> tuple[CandidateRow, ...]:
        """Return the candidates that a model proposed for this prompt in earlier runs."""
        # CandidateRow.status is the column ``outcome``, and CandidateStatus.ACCEPTED is stored as "joined".
        rows = self._fetch_all(
            "SELECT kind, name, text, proposed_by, outcome FROM proposed_edits"
            " WHERE model = ?1 AND prompt_sha256 = ?2 ORDER BY name",
            model,
            prompt_sha256,
        )
        return tuple(
            CandidateRow(
                kind=ErrorKind(kind), name=name, text=text, proposed_by=asked, status=CandidateStatus(outcome)
            )
            for kind, name, text, asked, outcome in rows
        )

    def save_proposed_edits(self, model: str, prompt_sha256: str, rows: Sequence[CandidateRow]) -> None:
        """Write the candidates that a model proposed, with their status."""
        with self._transaction():
            _write_proposed_edits(self._connection, model, prompt_sha256, rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the lock and one transaction; it is synced unless it lies between a run's begin and end."""
        with self._exclusive_access():
            # A read that turns into a write does not wait for another writer, as with --no-lock.
            # Source: https://sqlite.org/rescode.html#busy_snapshot (2026-11).
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite itself may have ended the transaction already, for example on a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _write_lessons(connection: sqlite3.Connection, rows: Sequence[EditStatsRow]) -> None:
    """Write the statistics of edits; they replace those of the same models and prompts."""
    for scope in {(row.model, row.prompt_sha256) for row in rows}:
        connection.execute("DELETE FROM lessons WHERE model = ? AND prompt_sha256 = ?", scope)
    connection.executemany(
        "INSERT INTO lessons VALUES (?, ?, ?, ?, ?, ?)",
        [
            (row.model, row.prompt_sha256, row.kind, row.arm, float(row.rescues), float(row.failures))
            for row in rows
        ],
    )


def _write_proposed_edits(
    connection: sqlite3.Connection, model: str, prompt_sha256: str, rows: Sequence[CandidateRow]
) -> None:
    """Write the candidates that a model proposed; each replaces the one of the same name."""
    # CandidateRow.status is the column ``outcome``, and CandidateStatus.ACCEPTED is stored as "joined".
    connection.executemany(
        "INSERT OR REPLACE INTO proposed_edits VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                model,
                prompt_sha256,
                row.kind,
                row.name,
                schema.to_storable_text(row.text),
                row.proposed_by,
                row.status,
            )
            for row in rows
        ],
    )
