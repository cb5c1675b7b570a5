"""Has an image still the bytes that the journal knows?

Stat first, hash only in doubt: a file whose size and time are as recorded counts as unchanged;
otherwise its bytes decide. What follows for the image is not this file's business.
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

from errors import ErrorKind
from models import ImageJob, RunInfo
from storage.journal import schema
from storage.journal.answers import Stands, all_stand, find_answers
from storage.journal.bulk_insert import marks
from storage.journal.plan import TRANSIENT, Plan, Selection, TodoReason
from storage.journal.writes import image_from_answer


class Known(NamedTuple):
    """The latest real outcome of an image; a tuple because it is made for every image found."""

    size: int
    mtime: int
    sha256: str | None
    fingerprint: str
    outcome: str
    kind: ErrorKind | None


class InPlace(NamedTuple):
    """The real answer that the journal believes to stand under an image's name."""

    size: int
    mtime: int
    sha256: str
    fingerprint: str
    packed_artefacts: str


@dataclass(slots=True)
class Look:
    """One image as it is now, beside what is known of it; hashed at most once, and only in doubt."""

    job: ImageJob
    known: Known | None
    answer: InPlace | None
    hash_file: Callable[[Path], str]
    _sha256: str | None = None

    def shows(self, past: Known | InPlace) -> bool:
        """Say whether the image still has the bytes that it had then."""
        if self._stat_equals(past):
            return True
        return past.size == self.job.size_bytes and past.sha256 == self.sha256()

    def sha256(self) -> str:
        """Return the hash of the bytes; "" when they cannot be read, which equals no other."""
        if self._sha256 is None:
            pasts = (past for past in (self.answer, self.known) if past and self._stat_equals(past))
            self._sha256 = next((past.sha256 for past in pasts if past.sha256), None) or self._hashed()
        return self._sha256

    def _stat_equals(self, past: Known | InPlace) -> bool:
        return past.mtime == schema.time_stamp(self.job.mtime_ns) and past.size == self.job.size_bytes

    def _hashed(self) -> str:
        try:
            return self.hash_file(self.job.path)
        except OSError:
            return ""


def agree(known: Known, answer: InPlace) -> bool:
    """Say whether the image's row tells of this answer."""
    told = (known.outcome, known.sha256, known.fingerprint)
    return told == ("succeeded", answer.sha256, answer.fingerprint)


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
    """Sorts images into their parts; the caller holds a transaction around every call."""

    connection: sqlite3.Connection
    run: RunInfo
    selection: Selection
    stands: Stands
    hash_file: Callable[[Path], str]
    _parts: Counter[_Part] = field(default_factory=Counter)
    _failures: Counter[ErrorKind] = field(default_factory=Counter)
    _reasons: Counter[TodoReason] = field(default_factory=Counter)

    def begin(self) -> None:
        """Empty the lists of an earlier plan."""
        for statement in _TABLES:
            self.connection.execute(statement)

    def sort(self, jobs: Sequence[ImageJob]) -> None:
        """Put each of these images (at most a few hundred at a time) into its part."""
        known, in_place, sizes = self._known(jobs), self._in_place(jobs), self._answered_sizes(jobs)
        for job in jobs:
            look = Look(job, known.get(job.key), in_place.get(job.key), self.hash_file)
            part = self._part(look, sizes)
            self._parts[part] += 1
            match part:
                case _Part.ANSWERED:
                    self._refresh_answer(look)
                case _Part.KNOWN_FAILURE:
                    self._pass_over(look)
                case _Part.COPY | _Part.TO_ASK:
                    self._reasons[self._reason(look)] += 1
                    self._list(look, part)
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

    def _part(self, look: Look, answered_sizes: set[int]) -> _Part:
        if not self.selection.force and self._is_answered(look):
            return _Part.ANSWERED
        if self.selection.only and not self._is_selected(look):
            return _Part.NOT_SELECTED
        if self.selection.force:
            return _Part.TO_ASK
        if look.job.size_bytes in answered_sizes and self._is_copyable(look):
            return _Part.COPY
        return _Part.KNOWN_FAILURE if self._is_known_failure(look) else _Part.TO_ASK

    def _is_answered(self, look: Look) -> bool:
        answer = look.answer
        return (
            answer is not None
            and answer.fingerprint == self.run.fingerprint
            and look.shows(answer)
            and all_stand(schema.unpack_artefacts(answer.packed_artefacts), self.stands)
        )

    def _is_selected(self, look: Look) -> bool:
        known = look.known
        return known is not None and known.kind in self.selection.only

    def _is_copyable(self, look: Look) -> bool:
        found = find_answers(
            self.connection, sha256=look.sha256(), fingerprint=self.run.fingerprint, run_id=None
        )
        return any(all_stand(answer.artefacts, self.stands) for answer in found)

    def _is_known_failure(self, look: Look) -> bool:
        known = look.known
        return (
            known is not None
            and known.outcome == "failed"
            and known.fingerprint == self.run.fingerprint
            and not (self.selection.retry_failed or known.kind in TRANSIENT | self.selection.only)
            and look.shows(known)
        )

    def _reason(self, look: Look) -> TodoReason:
        past = look.known or look.answer
        outcome = look.known.outcome if look.known else "succeeded"
        if self.selection.force:
            return TodoReason.FORCED
        if past is None:
            return TodoReason.NEW
        if not look.shows(past):
            return TodoReason.CHANGED
        if outcome != "deferred" and past.fingerprint != self.run.fingerprint:
            return TodoReason.SETTINGS
        return TodoReason.LOST if outcome == "succeeded" else TodoReason.AGAIN

    def _list(self, look: Look, part: _Part) -> None:
        job = look.job
        row = (job.key, os.fsencode(job.path), job.size_bytes, schema.time_stamp(job.mtime_ns))
        if part is _Part.COPY:
            self.connection.execute(
                "INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?, ?)", (*row, look.sha256())
            )
        else:
            self.connection.execute("INSERT OR IGNORE INTO todo VALUES (?, ?, ?, ?)", row)

    def _refresh_answer(self, look: Look) -> None:
        """After ``touch``, or when the image's row tells of a later try that came to nothing."""
        known, answer = look.known, look.answer
        if known and answer and agree(known, answer):
            self._refresh_image(look, known)
        else:
            image_from_answer(self.connection, look.job.key)

    def _pass_over(self, look: Look) -> None:
        if look.known and look.known.kind:
            self._failures[look.known.kind] += 1
            self._refresh_image(look, look.known)

    def _refresh_image(self, look: Look, known: Known) -> None:
        mtime = schema.time_stamp(look.job.mtime_ns)
        if known.mtime != mtime:
            self.connection.execute("UPDATE images SET mtime = ? WHERE key = ?", (mtime, look.job.key))

    def _known(self, jobs: Sequence[ImageJob]) -> dict[str, Known]:
        rows = self.connection.execute(
            "SELECT key, size, mtime, sha256, fingerprint, outcome, kind FROM images"  # noqa: S608
            f" WHERE dry_run = 0 AND key IN ({marks(jobs)})",
            [job.key for job in jobs],
        )
        return {
            key: Known(size, mtime, sha256, fingerprint, outcome, ErrorKind(kind) if kind else None)
            for key, size, mtime, sha256, fingerprint, outcome, kind in rows
        }

    def _in_place(self, jobs: Sequence[ImageJob]) -> dict[str, InPlace]:
        rows = self.connection.execute(
            "SELECT key, size, mtime, sha256, fingerprint, artefacts FROM answers"  # noqa: S608
            f" WHERE dry_run = 0 AND standing = 1 AND key IN ({marks(jobs)})",
            [job.key for job in jobs],
        )
        return {key: InPlace._make(columns) for key, *columns in rows}

    def _answered_sizes(self, jobs: Sequence[ImageJob]) -> set[int]:
        """Return which of the images' sizes an answered image has: only these may be copies."""
        # One row of each size is enough to see: where all images are of one size, looking at every
        # answer of that size, for every chunk anew, would take as long as all the rest together.
        rows = self.connection.execute(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM answers"
            " WHERE dry_run = 0 AND fingerprint = ? AND size = value)",
            (json.dumps([*{job.size_bytes for job in jobs}]), self.run.fingerprint),
        )
        return {size for (size,) in rows}
