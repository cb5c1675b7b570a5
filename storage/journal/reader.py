"""Queries of the reports and of ``--status``.

Each query covers the present outcomes of all runs, unless a run is named; real and dry outcomes are never
mixed. Lists are read page by page, so that memory does not grow with the number of images.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from errors import ErrorKind, ShortageError, StorageError
from models import Attempt, RunInfo, StoredAnswer, Usage
from storage.journal import connection, read_models, schema
from storage.journal.read_models import (
    FailureGroup,
    FailureRow,
    PromptChain,
    RunRow,
    TreeCounts,
    UsageTotals,
)

_PAGE_ROWS = 500
_ANSWERS = (
    f"SELECT a.answer_id, {schema.ANSWER} WHERE a.dry_run = 0 AND a.answer_id > ?"
    f" ORDER BY a.answer_id LIMIT {_PAGE_ROWS}"
)


class JournalReader:
    """Reader of the journal; safe to use from several threads.

    Args:
        path: the journal's file, for messages.
        connection: from the module ``connection``; closed by ``close``.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = Lock()

    @classmethod
    def read_only(cls, path: Path) -> "JournalReader":
        """Open the journal beside a run that may be writing it.

        Raises:
            UsageError: there is no journal, or a newer version wrote it.
            StorageError: it cannot be read.
        """
        return JournalReader(path, connection.open_for_reading(path))

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        with self._exclusive_access():
            self._connection.close()

    def tree_counts(self, *, run_id: str | None = None) -> TreeCounts:
        """Return the number of images by latest outcome; with ``run_id`` only those finished in this run."""
        rows = self._fetch_all(
            "SELECT dry_run, outcome, kind, count(*) FROM images"
            " WHERE ?1 IS NULL OR run_id = ?1 GROUP BY dry_run, outcome, kind",
            run_id,
        )
        return TreeCounts(
            real=read_models.count_outcomes(rows, dry_run=False),
            dry=read_models.count_outcomes(rows, dry_run=True),
        )

    def count_answers(self) -> int:
        """Return the number of real answers, current ones and those in the history."""
        ((answers,),) = self._fetch_all("SELECT count(*) FROM answers WHERE dry_run = 0")
        return int(answers)

    def is_unused(self) -> bool:
        """Return whether no real run has left anything."""
        ((runs,),) = self._fetch_all("SELECT count(*) FROM runs WHERE dry_run = 0")
        return not runs and not self.count_answers()

    def answers(self) -> Iterator[StoredAnswer]:
        """Yield every real answer, those in the history too, oldest first."""
        last = 0
        while page := self._fetch_all(_ANSWERS, last):
            yield from (schema.answer_from(row[1:]) for row in page)
            last = page[-1][0]

    def deferral_reasons(self, *, most: int, dry_run: bool = False) -> dict[str, int]:
        """Return why images are deferred and how many for each reason, the most common first."""
        rows = self._fetch_all(
            "SELECT detail, count(*) FROM images WHERE outcome = 'deferred' AND dry_run = ?1"
            " GROUP BY detail ORDER BY 2 DESC, 1 LIMIT ?2",
            dry_run,
            most,
        )
        return dict(rows)

    def count_finished(self, run: RunInfo) -> int:
        """Return the number of images that a run answered or that failed in it.

        Copies of earlier runs' answers do not count: they were never to do.
        """
        # A copy made no call, and has the time of the answer that it copies.
        ((images,),) = self._fetch_all(
            "SELECT count(*) FROM images WHERE run_id = ?1 AND outcome <> 'deferred'"
            " AND (attempts > 0 OR finished_at >= ?2)",
            run.run_id,
            schema.utc_isoformat(run.started_at),
        )
        return int(images)

    def usage_totals(self, *, run_id: str | None = None) -> UsageTotals:
        """Return the sums over all real calls; with ``run_id`` only over those of this run."""
        ((calls, input_tokens, output_tokens),) = self._fetch_all(
            "SELECT count(*), total(input_tokens), total(output_tokens) FROM attempts"
            " JOIN runs USING (run_id) WHERE NOT dry_run AND (?1 IS NULL OR run_id = ?1)",
            run_id,
        )
        usage = Usage(input_tokens=int(input_tokens), output_tokens=int(output_tokens))
        return UsageTotals(calls=calls, usage=usage)

    def count_answered_since(self, moment: datetime) -> int:
        """Return the number of real calls that began at ``moment`` or later and were answered."""
        ((calls,),) = self._fetch_all(
            "SELECT count(*) FROM attempts JOIN runs USING (run_id) WHERE NOT dry_run"
            " AND attempts.started_at >= ?1 AND kind IS NULL AND ended_run IS NULL",
            schema.utc_isoformat(moment),
        )
        return int(calls)

    def failures(self, kind: ErrorKind | None = None, *, dry_run: bool = False) -> Iterator[FailureRow]:
        """Yield the failed images, of one class or of all, sorted by key."""
        rows = self._fetch_pages(
            f"SELECT {read_models.FAILURE}"
            " WHERE i.key > ?1 AND i.outcome = 'failed' AND i.dry_run = ?2 AND (?3 IS NULL OR i.kind = ?3)"
            " ORDER BY i.key",
            dry_run,
            kind,
        )
        return map(read_models.failure_from, rows)

    def failure_groups(self, *, examples: int, dry_run: bool = False) -> tuple[FailureGroup, ...]:
        """Return one group for each kind of failure in the tree, the largest first.

        Args:
            examples: most images in each group, 0 or more.
            dry_run: return the outcomes of dry runs instead.
        """
        counts = self.tree_counts()
        failed = (counts.dry if dry_run else counts.real).failed
        return tuple(
            FailureGroup(kind=kind, images=images, examples=self._examples(kind, examples, dry_run=dry_run))
            for kind, images in sorted(failed.items(), key=lambda item: (-item[1], item[0]))
        )

    def prompt_chains(self, *, dry_run: bool = False) -> Iterator[PromptChain]:
        """Yield the images whose latest run sent more than one prompt, sorted by key."""
        rows = self._fetch_pages(
            "SELECT i.key, i.run_id, i.outcome, i.kind FROM images AS i"
            " WHERE i.key > ?1 AND i.dry_run = ?2 AND i.attempts > 1 AND 1 < (SELECT count("
            "DISTINCT t.prompt_id) FROM attempts AS t WHERE t.key = i.key AND t.run_id = i.run_id)"
            " ORDER BY i.key",
            dry_run,
        )
        for key, run_id, outcome, kind in rows:
            yield PromptChain(
                key=key,
                kind=ErrorKind(kind) if outcome == "failed" else None,
                succeeded=outcome == "succeeded",
                attempts=self.attempts(key, run_id),
            )

    def attempts(self, key: str, run_id: str) -> tuple[Attempt, ...]:
        """Return every call that a run made for an image, in order."""
        rows = self._fetch_all(
            f"SELECT {read_models.ATTEMPT} WHERE t.key = ?1 AND t.run_id = ?2 ORDER BY t.number",
            key,
            run_id,
        )
        return tuple(map(read_models.attempt_from, rows))

    def runs(self) -> tuple[RunRow, ...]:
        """Return all runs, the latest first."""
        rows = self._fetch_all(f"SELECT {read_models.RUN} ORDER BY started_at DESC, run_id DESC")
        return tuple(map(read_models.run_from, rows))

    def image_files(self) -> Iterator[tuple[str, str]]:
        """Yield the images that have files, each with the path of one of them, those written last first."""
        query = (
            "SELECT answer_id, key, json_extract(artefacts, '$[0][0]') FROM answers"
            " WHERE standing = 1 AND answer_id < ?1 ORDER BY answer_id DESC LIMIT ?2"
        )
        last = schema.MAX_INTEGER
        while page := self._fetch_all(query, last, _PAGE_ROWS):
            yield from ((key, path) for _, key, path in page)
            last = page[-1][0]
        yield from self._fetch_pages(
            "SELECT key, json_extract(artefacts, '$[0][0]') FROM images"
            " WHERE key > ?1 AND artefacts <> '[]' ORDER BY key"
        )

    def _examples(self, kind: ErrorKind, number: int, *, dry_run: bool) -> tuple[FailureRow, ...]:
        found = self.failures(kind, dry_run=dry_run)
        return tuple(row for row, _ in zip(found, range(number), strict=False))

    def _fetch_all(self, query: str, *values: schema.Value) -> list[tuple[Any, ...]]:
        with self._exclusive_access():
            return self._connection.execute(query, values).fetchall()

    def _fetch_pages(self, query: str, *values: schema.Value) -> Iterator[tuple[Any, ...]]:
        """Yield rows whose first column is a key; the query takes the last key seen as ``?1``.

        No lock is held between two pages, so that other threads may write meanwhile.
        """
        last = ""
        while page := self._fetch_all(f"{query} LIMIT {_PAGE_ROWS}", last, *values):
            yield from page
            last = page[-1][0]

    @contextmanager
    def _exclusive_access(self) -> Iterator[None]:
        """Hold the lock; raise a StorageError for an error of SQLite."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, UnicodeDecodeError) as error:
                cause = connection.describe_error(error)
                kind = ShortageError if connection.is_shortage(error) else StorageError
                raise kind(f"the journal {self._path} could not be used: {cause}") from error
            except MemoryError as error:  # also SQLite's own
                raise ShortageError(f"there is no memory to use the journal {self._path}") from error
