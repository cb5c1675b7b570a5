"""The journal of one output directory, open for the one process that writes it.

Each call takes one lock and one transaction: any thread may use it; a power cut leaves all of a call or none.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from models import Artefact, ImageJob, Outcome, Predecessor, RunInfo, StoredAnswer
from storage.journal import connection, ledger_mark, writes
from storage.journal.answers import (
    ArtefactCheck,
    CurrentAnswer,
    find_answers,
    find_current_answers,
    has_failed,
    import_from_history,
    is_in_tree,
)
from storage.journal.bulk_insert import BulkInsert, batched
from storage.journal.learned import LearnedRows
from storage.journal.ledger_mark import LedgerRelation, sum_answers
from storage.journal.plan import Plan, Selection
from storage.journal.planner import Planner, add_todo, to_job
from storage.journal.repairs import find_repaired_settings
from storage.journal.running_process import describe_this_process, find_living
from storage.journal.writes import FinishedImage
from storage.output.folders import HISTORY
from storage.output.ledger_state import LedgerState
from utils.lock import LockHolder

if TYPE_CHECKING:
    from storage.journal.integrity import AnswerSums

_CHUNK = 500
"""Images sorted by one set of queries; SQLite before 3.32 takes at most 999 values in one.

Source: https://sqlite.org/limits.html#max_variable_number"""


class Journal(LearnedRows):
    """The journal of one output directory, open for writing.

    Args:
        path: the journal's file.
        opened: from ``connection.open_for_writing``.
        run: the present run; its fingerprint stands for the present settings.
        is_present: returns whether an artefact is in the tree with the right size (one ``stat``).
    """

    def __init__(
        self, path: Path, opened: connection.OpenedJournal, *, run: RunInfo, is_present: ArtefactCheck
    ) -> None:
        super().__init__(path, opened.connection)
        self._run = run
        self._is_present = is_present
        self._selection = Selection()
        self._sums: AnswerSums | None = opened.sums
        """Of all answers; None if they have changed since."""
        self.notices = opened.notices
        """Sentences for the user about what was found on opening."""
        self.was_rebuilt = opened.was_rebuilt
        """True if a damaged file was moved aside and this one is new."""
        self.outdated_reports: list[str] = []
        """Images whose last failure is older than the answer that ``import_ledger`` found."""
        self.needs_ledger = opened.needs_ledger
        """True if ``import_ledger`` should read the ledger: a new journal, or a last run that was cut off."""

    @classmethod
    def open(
        cls, path: Path, *, run: RunInfo, is_present: ArtefactCheck, utcnow: Callable[[], datetime]
    ) -> "Journal":
        """Open the journal; create it if there is none, replace it if it is damaged.

        Raises:
            UsageError: it was written by a newer version; nothing was changed.
            StorageError: it cannot be read or written.
        """
        return Journal(path, connection.open_for_writing(path, utcnow), run=run, is_present=is_present)

    def import_ledger(self, answers: Iterable[StoredAnswer], has_expected_hash: ArtefactCheck) -> int:
        """Add the ledger's answers that the journal lacks and whose files exist; return how many.

        Args:
            answers: the lines of the ledger in the order of writing (later ones count), then of the history.
            has_expected_hash: returns whether an artefact exists with the right bytes.
        """
        imported = 0
        for chunk in batched(answers, _CHUNK):
            with self._transaction():
                imported += sum(self._import_answer(answer, has_expected_hash) for answer in chunk)
        self._sums = None
        return imported

    def compare_ledger(self, ledger: LedgerState) -> LedgerRelation:
        """Return how the ledger stands to the journal; see ``ledger_mark``.

        Raises:
            OSError: the ledger cannot be read.
        """
        with self._exclusive_access():
            sums = self._sums or sum_answers(self._connection)
            return ledger_mark.compare(self._connection, ledger, sums)

    def begin_run(self, *, is_alone: bool = False) -> LockHolder | None:
        """Record that the run has begun; call it after ``import_ledger``.

        Synced when it returns. Later rows are not synced one by one until ``end_run``: see docs/adr/0004.

        Args:
            is_alone: no other run may be writing here; then a living one is returned, and nothing recorded.
        """
        with self._transaction():
            if is_alone and (other := find_living(self._connection, dry_run=self._run.dry_run)):
                return other
            writes.begin_run(self._connection, self._run, describe_this_process())
        with self._exclusive_access():
            connection.sync_each_commit(self._connection, enabled=False)
        return None

    def end_run(
        self,
        *,
        exit_code: int,
        ended_at: datetime,
        is_whole: bool = True,
        ledger: LedgerState | None = None,
    ) -> None:
        """Record that the run ended by itself, with any exit code.

        Args:
            exit_code: of the process.
            ended_at: UTC.
            is_whole: every outcome was recorded; otherwise the next run reads the ledger.
            ledger: its state after the last answer; None if unknown.

        Raises:
            OSError: the ledger cannot be read; the run counts as cut off.
        """
        with self._exclusive_access():
            connection.sync_each_commit(self._connection, enabled=True)
        with self._transaction():
            writes.end_run(
                self._connection, self._run, exit_code=exit_code, ended_at=ended_at, is_whole=is_whole
            )
            if ledger and is_whole:
                ledger_mark.write(self._connection, ledger, self._sums or sum_answers(self._connection))

    def plan(
        self,
        found: Iterable[ImageJob],
        *,
        selection: Selection,
        hash_file: Callable[[Path], str],
    ) -> Plan:
        """Sort the images found into answered, copyable, to do and known failures; return the counts.

        Args:
            found: every image of the input directory; read once, lazily.
            selection: what the user wants done beyond the default.
            hash_file: returns the SHA-256 of a file in hex; called only if size or time has changed.
                An OSError means that the bytes are unknown.
        """
        self._selection = selection
        planner = Planner(
            connection=self._connection,
            run=self._run,
            selection=selection,
            is_present=self._is_present,
            hash_file=hash_file,
        )
        with self._transaction():
            planner.begin()
        for chunk in batched(found, _CHUNK):
            with self._transaction():
                planner.sort(chunk)
        plan = planner.plan()
        with self._transaction():
            writes.write_plan(self._connection, self._run, found=plan.found, todo=plan.todo)
        return plan

    def copies(self) -> Iterator[tuple[ImageJob, StoredAnswer]]:
        """Yield the images whose answer only needs to be copied, sorted by key; none in a dry run.

        Exhaust it before ``jobs``. Each answer is looked up when its turn comes, since an earlier copy
        may have moved it to the history (a series renamed 1 to 2, 2 to 3, …). If there is none any more,
        the image becomes a job. The caller that copies must compare the hashes.
        """
        if self._run.dry_run:
            return
        rows = self._fetch_pages(
            "SELECT key, path, size, mtime, ctime, inode, sha256 FROM temp.copies WHERE key > ? ORDER BY key"
        )
        for *columns, sha256 in rows:
            job = to_job(columns)
            answer = self.find_answer(sha256)
            if answer is None:
                self.requeue(job)
            else:
                yield job, answer

    def requeue(self, job: ImageJob) -> None:
        """Move an image from the copies to the jobs, because its answer could not be copied."""
        with self._transaction():
            add_todo(self._connection, job)

    def answered_again(self) -> Iterator[str]:
        """Yield the images that are answered although a later try of theirs was not."""
        rows = self._fetch_pages("SELECT key FROM temp.answered_again WHERE key > ? ORDER BY key")
        return (key for (key,) in rows)

    def jobs(self) -> Iterator[ImageJob]:
        """Yield the images to send, sorted by key; safe while other threads record."""
        rows = self._fetch_pages(
            "SELECT key, path, size, mtime, ctime, inode FROM temp.todo WHERE key > ? ORDER BY key"
        )
        return map(to_job, rows)

    def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return an answer to these bytes that counts and whose files exist; None if unknown.

        Its files may be in the history. A dry run has none; with ``Selection.force`` only this run's own
        answers count.
        """
        if self._run.dry_run:
            return None
        with self._exclusive_access():
            found = find_answers(
                self._connection,
                sha256=sha256,
                fingerprint=self._run.fingerprint,
                run_id=self._run.run_id if self._selection.force else None,
                is_any_settings=self._selection.keep_answers,
            )
        return next((answer for answer in found if is_in_tree(answer.artefacts, self._is_present)), None)

    def filter_known(self, hashes: Sequence[str]) -> frozenset[str]:
        """Return the hashes for which ``find_answer`` may find an answer."""
        rows = self._fetch_all(
            "SELECT sha256 FROM answers WHERE sha256 IN (SELECT value FROM json_each(?1))"
            " AND (?3 OR fingerprint = ?2 OR instr(counts_for, ?2))",
            json.dumps(hashes),
            self._run.fingerprint,
            self._selection.keep_answers,
        )
        return frozenset(sha256 for (sha256,) in rows)

    def find_replaced(self, key: str) -> tuple[Artefact, ...]:
        """Return the files that a new answer of this image would replace; see ``find_predecessors``."""
        (predecessor,) = self.find_predecessors([key])
        return predecessor.artefacts

    def find_predecessors(self, keys: Sequence[str]) -> list[Predecessor]:
        """Return for each image what a new answer would replace, and for which settings it would count.

        Some files of the present answer may be missing. A dry run replaces no real answer.
        """
        with self._exclusive_access():
            current = find_current_answers(self._connection, keys)
            repaired = (
                find_repaired_settings(self._connection, self._run, keys)
                if self._selection.is_repair and not self._run.dry_run
                else {}
            )
        return [self._build_predecessor(current.get(key), repaired.get(key, ())) for key in keys]

    def record_one(
        self,
        outcome: Outcome,
        artefacts: Sequence[Artefact],
        *,
        finished_at: datetime,
        moved_to_history: Sequence[Artefact] = (),
        counts_for: tuple[str, ...] = (),
    ) -> None:
        """Record how one image ended; see ``record`` and ``FinishedImage``."""
        self.record(
            [
                FinishedImage(
                    outcome=outcome,
                    artefacts=artefacts,
                    finished_at=finished_at,
                    moved_to_history=moved_to_history,
                    counts_for=counts_for,
                )
            ]
        )

    def record(self, finished: Iterable[FinishedImage]) -> None:
        """Record how some images ended; call it when their artefacts are written.

        Raises:
            StorageError: it could not be written; nothing was recorded.
        """
        self._sums = None
        with self._transaction():
            writes.write_outcomes(self._connection, self._run, finished)

    def record_copy(
        self,
        job: ImageJob,
        answer: StoredAnswer,
        artefacts: Sequence[Artefact],
        *,
        moved_to_history: Sequence[Artefact] = (),
    ) -> None:
        """Record that ``artefacts`` are a copy of ``answer`` under this image's name."""
        self._sums = None
        with self._transaction():
            writes.write_copy(
                BulkInsert(self._connection),
                self._run,
                job,
                answer=answer,
                artefacts=artefacts,
                moved_to_history=moved_to_history,
                current=find_current_answers(self._connection, [job.key]).get(job.key),
            )

    def _import_answer(self, answer: StoredAnswer, has_expected_hash: ArtefactCheck) -> bool:
        if all(artefact.path.startswith(f"{HISTORY}/") for artefact in answer.artefacts):
            return import_from_history(self._connection, answer, has_expected_hash)
        current = find_current_answers(self._connection, [answer.key]).get(answer.key)
        is_known = current is not None and _is_same_answer(current.answer, answer)
        if is_known or not is_in_tree(answer.artefacts, has_expected_hash):
            return False
        was_failed = has_failed(self._connection, answer.key)
        writes.write_imported_answer(self._connection, answer, current=current)
        if was_failed and not has_failed(self._connection, answer.key):
            self.outdated_reports.append(answer.key)
        return True

    def _build_predecessor(self, current: CurrentAnswer | None, counts_for: tuple[str, ...]) -> Predecessor:
        if current is None or (self._run.dry_run and not current.answer.dry_run):
            return Predecessor(counts_for=counts_for)
        answer = current.answer
        return Predecessor(artefacts=answer.artefacts, answer=answer, counts_for=counts_for)


def _is_same_answer(one: StoredAnswer, other: StoredAnswer) -> bool:
    return (one.sha256, one.fingerprint, one.artefacts) == (other.sha256, other.fingerprint, other.artefacts)
