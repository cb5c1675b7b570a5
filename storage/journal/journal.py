"""How does the one process that writes use the journal?

``Journal`` puts opening, planning, recording and reading behind one lock and one transaction a call,
so that any thread may use it and a power cut leaves all of a call or nothing. It must not know in
which order artefacts and records are written: that is its user's promise.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from errors import ErrorKind
from models import Artefact, ImageJob, Outcome, RunInfo, StoredAnswer
from prompts.candidates import ProposedRow, Standing
from prompts.edit_stats import PoolRow
from storage.journal import connection, schema, writes
from storage.journal.answers import (
    Present,
    Stands,
    adopt_from_history,
    all_stand,
    find_answers,
    in_place,
)
from storage.journal.bulk_insert import Rows
from storage.journal.plan import Plan, Selection
from storage.journal.planner import Planner
from storage.journal.reader import JournalReader
from storage.journal.writes import Ended
from storage.output.layout import HISTORY

_T = TypeVar("_T")

_CHUNK = 500
"""Images sorted by one set of queries; SQLite of old takes at most 999 values in one."""


class Journal(JournalReader):
    """The journal of one output directory, open for writing.

    Args:
        path: the journal's file.
        opened: from ``opening.open_for_writing``.
        run: the present run; its fingerprint is "today's settings".
        stands: says whether an artefact is in the tree with the size it should have (a stat, no more).
    """

    def __init__(self, path: Path, opened: connection.Opened, *, run: RunInfo, stands: Stands) -> None:
        super().__init__(path, opened.connection)
        self._run = run
        self._stands = stands
        self._selection = Selection()
        self.notices = opened.notices
        """Sentences for the user about what was found on opening."""
        self.was_rebuilt = opened.was_rebuilt
        """True when a damaged file was put aside and this one is fresh."""
        self.needs_ledger = opened.needs_ledger
        """True when ``adopt`` should read the ledger: a fresh journal, or a last run that was cut off."""

    @classmethod
    def open(cls, path: Path, *, run: RunInfo, stands: Stands, utcnow: Callable[[], datetime]) -> "Journal":
        """Open the journal, make it when there is none, replace it when it is damaged.

        Raises:
            UsageError: it was written by a newer version; nothing was touched.
            StorageError: it cannot be read or written.
        """
        return Journal(path, connection.open_for_writing(path, utcnow), run=run, stands=stands)

    def adopt(self, answers: Iterable[StoredAnswer], proves: Stands) -> int:
        """Take over what the ledger says and the tree proves, and the journal does not know.

        Args:
            answers: the ledger's lines in the order they were written; a later one counts. Then those
                whose files were moved to the history, from where they serve again.
            proves: says whether an artefact stands with the very bytes it should have; asked only
                about answers that the journal does not hold already.

        Returns how many answers were taken over.
        """
        adopted = 0
        for chunk in _chunks(answers):
            with self._transaction():
                adopted += sum(self._adopt(answer, proves) for answer in chunk)
        return adopted

    def begin_run(self) -> None:
        """Write down that the run has begun; call it after ``adopt``, which asks how the last one ended.

        That is on the disk when it returns. What follows need not be, until the run's end: after a power
        cut a run that began and did not end sends the next one to the ledger, which is synced before.
        """
        with self._transaction():
            writes.begin_run(self._connection, self._run)
        with self._guarded():
            connection.sync_each_commit(self._connection, wanted=False)

    def end_run(self, *, exit_code: int, ended_at: datetime, is_whole: bool = True) -> None:
        """Write down that the run ended by itself, in whatever way.

        Args:
            exit_code: of the process.
            ended_at: UTC.
            is_whole: every outcome was recorded; otherwise the next run reads the ledger, where an answer
                may stand that is missing here.
        """
        with self._guarded():
            connection.sync_each_commit(self._connection, wanted=True)
        with self._transaction():
            writes.end_run(
                self._connection, self._run, exit_code=exit_code, ended_at=ended_at, is_whole=is_whole
            )

    def plan(
        self,
        found: Iterable[ImageJob],
        *,
        selection: Selection,
        hash_file: Callable[[Path], str],
    ) -> Plan:
        """Split the images found into answered, copyable, to do and known to fail; read once, lazily.

        Args:
            found: every image of the input directory.
            selection: what the user wants done beyond the default.
            hash_file: returns the SHA-256 of a file in hex; asked only where size and time leave doubt.
                An OSError means that the bytes cannot be known.
        """
        self._selection = selection
        planner = Planner(
            connection=self._connection,
            run=self._run,
            selection=selection,
            stands=self._stands,
            hash_file=hash_file,
        )
        with self._transaction():
            planner.begin()
        for chunk in _chunks(found):
            with self._transaction():
                planner.sort(chunk)
        plan = planner.plan()
        with self._transaction():
            writes.write_plan(self._connection, self._run, found=plan.found, todo=plan.todo)
        return plan

    def copies(self) -> Iterator[tuple[ImageJob, StoredAnswer]]:
        """Yield the images whose answer only needs to be put in place, sorted by key.

        Exhaust it before ``jobs``. The answer is looked up when its turn comes, since an earlier copy
        may have moved it to the history (a shifted series: 1 to 2, 2 to 3, …). Where none stands any
        more, the image is asked about after all. The copier must compare the hashes. A dry run copies
        nothing.
        """
        if self._run.dry_run:
            return
        rows = self._pages(
            "SELECT key, path, size, mtime, sha256 FROM temp.copies WHERE key > ? ORDER BY key"
        )
        for *columns, sha256 in rows:
            job = _job(columns)
            answer = self.find_answer(sha256)
            if answer is None:
                self.ask_after_all(job)
            else:
                yield job, answer

    def ask_after_all(self, job: ImageJob) -> None:
        """Move an image from the copies to the jobs, because its answer could not be copied."""
        row = (job.key, os.fsencode(job.path), job.size_bytes, schema.time_stamp(job.mtime_ns))
        with self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO temp.todo VALUES (?, ?, ?, ?)", row)

    def jobs(self) -> Iterator[ImageJob]:
        """Yield the images to ask about, sorted by key; safe while other threads record."""
        rows = self._pages("SELECT key, path, size, mtime FROM temp.todo WHERE key > ? ORDER BY key")
        return map(_job, rows)

    def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return an answer to these bytes under today's settings that stands in the tree or its history.

        In a dry run there is none; with ``Selection.force`` only this run's own answers count.
        """
        if self._run.dry_run:
            return None
        with self._guarded():
            found = find_answers(
                self._connection,
                sha256=sha256,
                fingerprint=self._run.fingerprint,
                run_id=self._run.run_id if self._selection.force else None,
            )
        return next((answer for answer in found if all_stand(answer.artefacts, self._stands)), None)

    def known_among(self, hashes: Sequence[str]) -> frozenset[str]:
        """Return those for which ``find_answer`` may find an answer."""
        rows = self._rows(
            "SELECT sha256 FROM answers"
            " WHERE sha256 IN (SELECT value FROM json_each(?1)) AND fingerprint = ?2",
            json.dumps(hashes),
            self._run.fingerprint,
        )
        return frozenset(sha256 for (sha256,) in rows)

    def replaced(self, key: str) -> tuple[Artefact, ...]:
        """Return the files of the answer that a new outcome of this image would replace; see below."""
        (artefacts,) = self.replaced_all([key])
        return artefacts

    def replaced_all(self, keys: Sequence[str]) -> list[tuple[Artefact, ...]]:
        """Return for each image the files of the answer that a new outcome of it would replace.

        Some of them may be gone. A dry run replaces no real answer: for it there are none.
        """
        with self._guarded():
            present = in_place(self._connection, keys)
        return [self._files_given_up(present.get(key)) for key in keys]

    def record(
        self,
        outcome: Outcome,
        artefacts: Sequence[Artefact],
        *,
        finished_at: datetime,
        kept: Sequence[Artefact] = (),
    ) -> None:
        """Write down how an image ended, as ``record_all`` does; see ``Ended``."""
        self.record_all([Ended(outcome=outcome, artefacts=artefacts, finished_at=finished_at, kept=kept)])

    def record_all(self, ended: Iterable[Ended]) -> None:
        """Write down how some images ended; call it when their artefacts stand.

        Raises:
            StorageError: it could not be written; nothing of it was.
        """
        with self._transaction():
            writes.write_outcomes(self._connection, self._run, ended)

    def record_copy(
        self,
        job: ImageJob,
        answer: StoredAnswer,
        artefacts: Sequence[Artefact],
        *,
        kept: Sequence[Artefact] = (),
    ) -> None:
        """Write down that ``answer`` now also stands under this image's name, as ``artefacts``."""
        with self._transaction():
            writes.write_copy(
                Rows(self._connection),
                self._run,
                job,
                answer=answer,
                artefacts=artefacts,
                kept=kept,
                present=in_place(self._connection, [job.key]).get(job.key),
            )

    def lessons(self, model: str, prompt_sha256: str) -> tuple[PoolRow, ...]:
        """Return what earlier runs learned about other words than this prompt's."""
        rows = self._rows(
            "SELECT kind, arm, rescues, failures FROM lessons WHERE model = ?1 AND prompt_sha256 = ?2",
            model,
            prompt_sha256,
        )
        return tuple(
            PoolRow(
                model=model,
                prompt_sha256=prompt_sha256,
                kind=ErrorKind(kind),
                arm=arm,
                rescues=rescues,
                failures=failures,
            )
            for kind, arm, rescues, failures in rows
        )

    def keep_lessons(self, rows: Sequence[PoolRow]) -> None:
        """Write down what is known now, in place of what was known of the same model and prompt."""
        with self._transaction():
            writes.write_lessons(self._connection, rows)

    def proposed_edits(self, model: str, prompt_sha256: str) -> tuple[ProposedRow, ...]:
        """Return the words that a model proposed on earlier nights in place of this prompt's."""
        rows = self._rows(
            "SELECT kind, name, text, proposed_by, outcome FROM proposed_edits"
            " WHERE model = ?1 AND prompt_sha256 = ?2 ORDER BY name",
            model,
            prompt_sha256,
        )
        return tuple(
            ProposedRow(
                kind=ErrorKind(kind), name=name, text=text, proposed_by=asked, outcome=Standing(outcome)
            )
            for kind, name, text, asked, outcome in rows
        )

    def keep_proposed_edits(self, model: str, prompt_sha256: str, rows: Sequence[ProposedRow]) -> None:
        """Write down words that a model proposed, and what became of them."""
        with self._transaction():
            writes.write_proposed_edits(self._connection, model, prompt_sha256, rows)

    def _adopt(self, answer: StoredAnswer, proves: Stands) -> bool:
        if all(artefact.path.startswith(f"{HISTORY}/") for artefact in answer.artefacts):
            return adopt_from_history(self._connection, answer, proves)
        present = in_place(self._connection, [answer.key]).get(answer.key)
        is_known = present is not None and _same_answer(present.answer, answer)
        if is_known or not all_stand(answer.artefacts, proves):
            return False
        writes.write_ledger_line(self._connection, answer, present=present)
        return True

    def _files_given_up(self, present: Present | None) -> tuple[Artefact, ...]:
        if present is None or (self._run.dry_run and not present.answer.dry_run):
            return ()
        return present.answer.artefacts

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; on the disk when it returns, but for what comes between a run's begin and end."""
        with self._guarded():
            self._connection.execute("BEGIN")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # Some errors (a full disk) may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _same_answer(one: StoredAnswer, other: StoredAnswer) -> bool:
    return (one.sha256, one.fingerprint, one.artefacts) == (other.sha256, other.fingerprint, other.artefacts)


def _job(columns: Sequence[Any]) -> ImageJob:
    key, path, size_bytes, mtime_ns = columns
    return ImageJob(key=key, path=Path(os.fsdecode(path)), size_bytes=size_bytes, mtime_ns=mtime_ns)


def _chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
