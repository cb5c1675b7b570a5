"""Planner: sorts images into answered, copyable, to do and known failures.

A file whose size and time are as recorded counts as unchanged; only otherwise its bytes are hashed. What
bounds the time of a plan: docs/performance.md.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, assert_never

from errors import WORTH_RETRYING_LATER, ErrorKind
from models import ImageJob, RunInfo
from storage.journal import schema
from storage.journal.answers import ArtefactCheck, find_answers, is_in_tree
from storage.journal.bulk_insert import placeholders
from storage.journal.plan import Plan, Selection, TodoReason
from storage.journal.writes import write_image_from_answer


class LastOutcome(NamedTuple):
    """The latest real outcome of an image; a tuple, because there is one for every image found."""

    size: int
    mtime: int
    sha256: str | None
    fingerprint: str
    outcome: str
    kind: ErrorKind | None


class CurrentAnswerRow(NamedTuple):
    """The real answer that an image has according to the journal."""

    size: int
    mtime: int
    sha256: str
    fingerprint: str
    packed_artefacts: str


@dataclass(slots=True)
class ImageCheck:
    """One image as it is now, and what the journal has of it; hashed at most once, only if needed."""

    job: ImageJob
    last_outcome: LastOutcome | None
    answer: CurrentAnswerRow | None
    hash_file: Callable[[Path], str]
    _sha256: str | None = None

    def has_same_bytes(self, past: LastOutcome | CurrentAnswerRow) -> bool:
        """Return whether the image still has the bytes that it had then."""
        if self._stat_equals(past):
            return True
        return past.size == self.job.size_bytes and past.sha256 == self.sha256()

    def sha256(self) -> str:
        """Return the hash of the bytes; "" if they cannot be read, which equals no other hash."""
        if self._sha256 is None:
            pasts = (past for past in (self.answer, self.last_outcome) if past and self._stat_equals(past))
            self._sha256 = next((past.sha256 for past in pasts if past.sha256), None) or self._compute_hash()
        return self._sha256

    def _stat_equals(self, past: LastOutcome | CurrentAnswerRow) -> bool:
        return past.mtime == schema.clamp_mtime(self.job.mtime_ns) and past.size == self.job.size_bytes

    def _compute_hash(self) -> str:
        try:
            return self.hash_file(self.job.path)
        except OSError:
            return ""


def is_outcome_of(last_outcome: LastOutcome, answer: CurrentAnswerRow) -> bool:
    """Return whether the image's row is about this answer."""
    described = (last_outcome.outcome, last_outcome.sha256, last_outcome.fingerprint)
    return described == ("succeeded", answer.sha256, answer.fingerprint)


_TABLES = (
    "DROP TABLE IF EXISTS temp.todo",
    "DROP TABLE IF EXISTS temp.copies",
    "CREATE TEMP TABLE todo (key TEXT NOT NULL PRIMARY KEY, path BLOB, size, mtime) WITHOUT ROWID",
    "CREATE TEMP TABLE copies (key TEXT NOT NULL PRIMARY KEY, path BLOB, size, mtime, sha256) WITHOUT ROWID",
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

    def begin(self) -> None:
        """Remove the lists of an earlier plan."""
        for statement in _TABLES:
            self.connection.execute(statement)

    def sort(self, jobs: Sequence[ImageJob]) -> None:
        """Add each of these images to its part of the plan; at most a few hundred at a time."""
        last_outcomes, current_answers, sizes = (
            self._read_last_outcomes(jobs),
            self._read_current_answers(jobs),
            self._answered_sizes(jobs),
        )
        for job in jobs:
            check = ImageCheck(job, last_outcomes.get(job.key), current_answers.get(job.key), self.hash_file)
            part = self._choose_part(check, sizes)
            self._parts[part] += 1
            match part:
                case _Part.ANSWERED:
                    self._refresh_answer(check)
                case _Part.KNOWN_FAILURE:
                    self._count_known_failure(check)
                case _Part.COPY | _Part.TO_ASK:
                    self._reasons[self._find_reason(check)] += 1
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
        )

    def _choose_part(self, check: ImageCheck, answered_sizes: set[int]) -> _Part:
        if not self.selection.force and self._is_answered(check):
            return _Part.ANSWERED
        if self.selection.only and not self._is_selected(check):
            return _Part.NOT_SELECTED
        if self.selection.force:
            return _Part.TO_ASK
        if check.job.size_bytes in answered_sizes and self._is_copyable(check):
            return _Part.COPY
        return _Part.KNOWN_FAILURE if self._is_known_failure(check) else _Part.TO_ASK

    def _is_answered(self, check: ImageCheck) -> bool:
        answer = check.answer
        return (
            answer is not None
            and answer.fingerprint == self.run.fingerprint
            and check.has_same_bytes(answer)
            and is_in_tree(schema.unpack_artefacts(answer.packed_artefacts), self.is_present)
        )

    def _is_selected(self, check: ImageCheck) -> bool:
        last_outcome = check.last_outcome
        return last_outcome is not None and last_outcome.kind in self.selection.only

    def _is_copyable(self, check: ImageCheck) -> bool:
        found = find_answers(
            self.connection, sha256=check.sha256(), fingerprint=self.run.fingerprint, run_id=None
        )
        return any(is_in_tree(answer.artefacts, self.is_present) for answer in found)

    def _is_known_failure(self, check: ImageCheck) -> bool:
        last_outcome = check.last_outcome
        return (
            last_outcome is not None
            and last_outcome.outcome == "failed"
            and last_outcome.fingerprint == self.run.fingerprint
            and not (
                self.selection.retry_failed or last_outcome.kind in WORTH_RETRYING_LATER | self.selection.only
            )
            and check.has_same_bytes(last_outcome)
        )

    def _find_reason(self, check: ImageCheck) -> TodoReason:
        past = check.last_outcome or check.answer
        outcome = check.last_outcome.outcome if check.last_outcome else "succeeded"
        if self.selection.force:
            return TodoReason.FORCED
        if past is None:
            return TodoReason.NEW
        if not check.has_same_bytes(past):
            return TodoReason.CHANGED
        if outcome != "deferred" and past.fingerprint != self.run.fingerprint:
            return TodoReason.SETTINGS
        return TodoReason.LOST if outcome == "succeeded" else TodoReason.AGAIN

    def _add_to_list(self, check: ImageCheck, part: _Part) -> None:
        job = check.job
        row = (job.key, os.fsencode(job.path), job.size_bytes, schema.clamp_mtime(job.mtime_ns))
        if part is _Part.COPY:
            self.connection.execute(
                "INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?, ?)", (*row, check.sha256())
            )
        else:
            self.connection.execute("INSERT OR IGNORE INTO todo VALUES (?, ?, ?, ?)", row)

    def _refresh_answer(self, check: ImageCheck) -> None:
        """Update the image's row after a ``touch``, or if it is about a later try without an answer."""
        last_outcome, answer = check.last_outcome, check.answer
        if last_outcome and answer and is_outcome_of(last_outcome, answer):
            self._refresh_image(check, last_outcome)
        else:
            write_image_from_answer(self.connection, check.job.key)

    def _count_known_failure(self, check: ImageCheck) -> None:
        if check.last_outcome and check.last_outcome.kind:
            self._failures[check.last_outcome.kind] += 1
            self._refresh_image(check, check.last_outcome)

    def _refresh_image(self, check: ImageCheck, last_outcome: LastOutcome) -> None:
        mtime = schema.clamp_mtime(check.job.mtime_ns)
        if last_outcome.mtime != mtime:
            self.connection.execute("UPDATE images SET mtime = ? WHERE key = ?", (mtime, check.job.key))

    def _read_last_outcomes(self, jobs: Sequence[ImageJob]) -> dict[str, LastOutcome]:
        rows = self.connection.execute(
            "SELECT key, size, mtime, sha256, fingerprint, outcome, kind FROM images"  # noqa: S608
            f" WHERE dry_run = 0 AND key IN ({placeholders(jobs)})",
            [job.key for job in jobs],
        )
        return {
            key: LastOutcome(size, mtime, sha256, fingerprint, outcome, ErrorKind(kind) if kind else None)
            for key, size, mtime, sha256, fingerprint, outcome, kind in rows
        }

    def _read_current_answers(self, jobs: Sequence[ImageJob]) -> dict[str, CurrentAnswerRow]:
        rows = self.connection.execute(
            "SELECT key, size, mtime, sha256, fingerprint, artefacts FROM answers"  # noqa: S608
            f" WHERE dry_run = 0 AND standing = 1 AND key IN ({placeholders(jobs)})",
            [job.key for job in jobs],
        )
        return {key: CurrentAnswerRow._make(columns) for key, *columns in rows}

    def _answered_sizes(self, jobs: Sequence[ImageJob]) -> set[int]:
        """Return the sizes that some answered image has too: only images of these sizes may be copies."""
        # EXISTS stops at the first row of a size. Without it, 100,000 images of one size take 15 s
        # in place of 7 (docs/performance.md).
        rows = self.connection.execute(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM answers"
            " WHERE dry_run = 0 AND fingerprint = ? AND size = value)",
            (json.dumps([*{job.size_bytes for job in jobs}]), self.run.fingerprint),
        )
        return {size for (size,) in rows}
