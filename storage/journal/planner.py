"""Planner: sorts images into answered, copyable, to do and known failures.

A file whose size, times and inode are as recorded counts as unchanged; only otherwise its bytes are hashed.
What bounds the time of a plan: docs/performance.md.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, assert_never

from errors import ErrorKind
from models import ImageJob, RunInfo
from storage.journal import schema
from storage.journal.answers import ArtefactCheck, find_answers, is_in_tree, write_file_state
from storage.journal.image_check import (
    CurrentAnswerRow,
    ImageCheck,
    InodeTrust,
    KnownFailureRow,
    read_checks,
)
from storage.journal.other_settings import EarlierAnswersCounter
from storage.journal.plan import Plan, Selection, TodoReason
from storage.journal.repairs import restore_known_failure
from storage.journal.writes import write_image_from_answer

_JOB_COLUMNS = "key TEXT NOT NULL PRIMARY KEY, path BLOB, size, mtime, ctime, inode"
_TABLES = (
    "DROP TABLE IF EXISTS temp.todo",
    "DROP TABLE IF EXISTS temp.copies",
    "DROP TABLE IF EXISTS temp.answered_again",
    f"CREATE TEMP TABLE todo ({_JOB_COLUMNS}) WITHOUT ROWID",
    f"CREATE TEMP TABLE copies ({_JOB_COLUMNS}, sha256) WITHOUT ROWID",
    "CREATE TEMP TABLE answered_again (key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
)


class _Part(Enum):
    ANSWERED = auto()
    NOT_SELECTED = auto()
    COPY = auto()
    KNOWN_FAILURE = auto()
    TO_ASK = auto()


@dataclass(slots=True, kw_only=True)
class Planner:
    """Sorter of images into the parts of a plan; the caller holds a transaction around every call."""

    connection: sqlite3.Connection
    run: RunInfo
    selection: Selection
    is_present: ArtefactCheck
    hash_file: Callable[[Path], str]
    _parts: Counter[_Part] = field(default_factory=Counter)
    _failures: Counter[ErrorKind] = field(default_factory=Counter)
    _reasons: Counter[TodoReason] = field(default_factory=Counter)
    _earlier: EarlierAnswersCounter = field(init=False)
    _inodes: InodeTrust = field(default_factory=InodeTrust)
    _sizes_of_others: frozenset[int] = frozenset()
    """Sizes of images whose answer of other settings counts too."""

    def __post_init__(self) -> None:
        """Read the settings of earlier runs."""
        self._earlier = EarlierAnswersCounter(self.connection, self.run)

    def begin(self) -> None:
        """Remove the lists of an earlier plan."""
        for statement in _TABLES:
            self.connection.execute(statement)
        which = "1" if self.selection.keep_answers else "counts_for <> '' AND instr(counts_for, ?)"
        values = () if self.selection.keep_answers else (self.run.fingerprint,)
        rows = self.connection.execute(
            f"SELECT DISTINCT size FROM answers WHERE dry_run = 0 AND {which}",  # noqa: S608
            values,
        )
        self._sizes_of_others = frozenset(size for (size,) in rows)

    def sort(self, jobs: Sequence[ImageJob]) -> None:
        """Add each of these images to its part of the plan; at most a few hundred at a time."""
        sizes = self._answered_sizes(jobs)
        for check in read_checks(self.connection, jobs, self.hash_file, self._inodes):
            part = self._choose_part(check, sizes)
            self._parts[part] += 1
            match part:
                case _Part.ANSWERED:
                    self._earlier.add_answered(check.answer)
                    self._refresh_answer(check)
                case _Part.KNOWN_FAILURE:
                    self._count_known_failure(check)
                case _Part.COPY | _Part.TO_ASK:
                    self._count_todo(check, part)
                    self._add_to_list(check, part)
                case _Part.NOT_SELECTED:
                    pass
                case _:
                    assert_never(part)

    def plan(self) -> Plan:
        """Return the counts of all images sorted so far."""
        return Plan(
            found=self._parts.total(),
            answered=self._parts[_Part.ANSWERED],
            copyable=self._parts[_Part.COPY],
            todo=self._parts[_Part.TO_ASK],
            known_failures=dict(self._failures),
            not_selected=self._parts[_Part.NOT_SELECTED],
            reasons=dict(self._reasons),
            earlier=self._earlier.counts(),
        )

    def _choose_part(self, check: ImageCheck, answered_sizes: set[int]) -> _Part:
        if not self.selection.force and self._counts(check.answer) and self._stands(check):
            return _Part.ANSWERED
        if self.selection.only and not check.has_failed_with(self.selection.only):
            return _Part.NOT_SELECTED
        if self.selection.force:
            return _Part.TO_ASK
        if check.job.size_bytes in answered_sizes and self._is_copyable(check):
            return _Part.COPY
        if self.selection.retry_failed and self._stands(check):
            return _Part.ANSWERED
        return _Part.KNOWN_FAILURE if self._find_known_failure(check) else _Part.TO_ASK

    def _counts(self, answer: CurrentAnswerRow | None) -> bool:
        """Return whether an answer counts for the present settings."""
        return answer is not None and (
            self.selection.keep_answers
            or answer.fingerprint == self.run.fingerprint
            or self.run.fingerprint in answer.counts_for
        )

    def _stands(self, check: ImageCheck) -> bool:
        """Return whether the image has an answer, of any settings, to the bytes that it has now."""
        answer = check.answer
        return (
            answer is not None
            and check.has_same_bytes(answer)
            and is_in_tree(schema.unpack_artefacts(answer.packed_artefacts), self.is_present)
        )

    def _is_copyable(self, check: ImageCheck) -> bool:
        found = find_answers(
            self.connection,
            sha256=check.sha256(),
            fingerprint=self.run.fingerprint,
            run_id=None,
            is_any_settings=self.selection.keep_answers,
        )
        return any(is_in_tree(answer.artefacts, self.is_present) for answer in found)

    def _find_known_failure(self, check: ImageCheck) -> KnownFailureRow | None:
        """Return the failure because of which the image is left alone; None if it is to be asked."""
        if self.selection.is_repair:
            return None
        failure = check.known_failures.get(self.run.fingerprint)
        return failure if failure and check.has_same_bytes(failure) else None

    def _count_todo(self, check: ImageCheck, part: _Part) -> None:
        reason = self._find_reason(check)
        self._reasons[reason] += 1
        is_anew = part is _Part.TO_ASK and reason is TodoReason.SETTINGS and not self.selection.is_repair
        if is_anew and check.answer and self._stands(check):
            self._earlier.add_asked_anew(check.answer)

    def _find_reason(self, check: ImageCheck) -> TodoReason:
        past = check.last_outcome or check.answer
        outcome = check.last_outcome.outcome if check.last_outcome else "succeeded"
        if self.selection.force:
            return TodoReason.FORCED
        if past is None:
            return TodoReason.NEW
        if not check.has_same_bytes(past):
            return TodoReason.CHANGED
        is_repaired = check.is_about_answer() and self._counts(check.answer)
        if outcome != "deferred" and past.fingerprint != self.run.fingerprint and not is_repaired:
            return TodoReason.SETTINGS
        return TodoReason.LOST if outcome == "succeeded" else TodoReason.AGAIN

    def _add_to_list(self, check: ImageCheck, part: _Part) -> None:
        if part is _Part.COPY:
            self.connection.execute(
                "INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_to_row(check.job), check.sha256()),
            )
        else:
            add_todo(self.connection, check.job)

    def _refresh_answer(self, check: ImageCheck) -> None:
        """Update the image's row after a ``touch``, or if it is about a later try without an answer."""
        if check.is_about_answer():
            self._refresh_image(check)
            return
        write_image_from_answer(self.connection, check.job.key)
        if not check.is_unreadable:
            write_file_state(self.connection, check.job)
        self.connection.execute("INSERT OR IGNORE INTO answered_again VALUES (?)", (check.job.key,))

    def _count_known_failure(self, check: ImageCheck) -> None:
        """Count it, and update the image's row if it is about another failure, a deferral or an answer."""
        failure, last = check.known_failures[self.run.fingerprint], check.last_outcome
        self._failures[failure.kind] += 1
        if last is None or (last.outcome, last.fingerprint) != ("failed", self.run.fingerprint):
            restore_known_failure(self.connection, check.job.key, self.run.fingerprint)
        self._refresh_image(check)

    def _refresh_image(self, check: ImageCheck) -> None:
        if check.is_unreadable or check.is_state_recorded():
            return
        write_file_state(self.connection, check.job)
        if check.known_failures:
            self.connection.execute(
                "UPDATE known_failures SET mtime = ?, ctime = ?, inode = ? WHERE key = ? AND size = ?"
                " AND (sha256 = ? OR (sha256 IS NULL AND fingerprint = ?))",
                (
                    schema.clamp_mtime(check.job.mtime_ns),
                    *schema.file_identity(check.job),
                    check.job.key,
                    check.job.size_bytes,
                    check.known_sha256(),
                    self.run.fingerprint,
                ),
            )

    def _answered_sizes(self, jobs: Sequence[ImageJob]) -> set[int]:
        """Return the sizes that some answered image has too: only images of these sizes may be copies."""
        # EXISTS stops at the first row of a size. Without it, 100,000 images of one size take 15 s
        # in place of 7 (docs/performance.md).
        rows = self.connection.execute(
            "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM answers"
            " WHERE dry_run = 0 AND fingerprint = ?2 AND size = value)",
            (json.dumps([*{job.size_bytes for job in jobs}]), self.run.fingerprint),
        )
        return {size for (size,) in rows} | self._sizes_of_others


def add_todo(connection: sqlite3.Connection, job: ImageJob) -> None:
    """Add an image to the list of those to send."""
    connection.execute("INSERT OR IGNORE INTO temp.todo VALUES (?, ?, ?, ?, ?, ?)", _to_row(job))


def _to_row(job: ImageJob) -> schema.Row:
    mtime = schema.clamp_mtime(job.mtime_ns)
    return job.key, os.fsencode(job.path), job.size_bytes, mtime, *schema.file_identity(job)


def to_job(columns: Sequence[Any]) -> ImageJob:
    """Return the image of a row of the lists, by the columns that both lists have."""
    key, path, size_bytes, mtime_ns, ctime_ns, inode = columns
    return ImageJob(
        key=key,
        path=Path(os.fsdecode(path)),
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        ctime_ns=ctime_ns,
        inode=inode,
    )
