"""One image as it is now, beside what the journal has of it."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from errors import WORTH_RETRYING_LATER, ErrorKind
from models import ImageJob
from storage.journal import schema
from storage.journal.bulk_insert import placeholders

_MAX_FALSE_ALARMS = 16
"""Images that are read for their inode alone before inodes count for nothing."""


class LastOutcome(NamedTuple):
    """The latest real outcome of an image; a tuple, because there is one for every image found."""

    size: int
    mtime: int
    sha256: str | None
    fingerprint: str
    outcome: str
    kind: ErrorKind | None
    ctime: int | None
    inode: int | None


class CurrentAnswerRow(NamedTuple):
    """The real answer that an image has according to the journal."""

    size: int
    mtime: int
    sha256: str
    fingerprint: str
    packed_artefacts: str
    input_tokens: int
    output_tokens: int
    model: str
    """Empty if unknown."""
    counts_for: str
    """Fingerprints of other settings for which it counts too, with blanks between them."""


class KnownFailureRow(NamedTuple):
    """A failure under some settings, where another call is not expected to help."""

    size: int
    mtime: int
    sha256: str | None
    kind: ErrorKind
    finished_at: str
    ctime: int | None
    inode: int | None


@dataclass(slots=True)
class InodeTrust:
    """Whether a new inode means that a file may have changed.

    Some shares number their files anew at every mount: after so many files whose inode alone had changed, and
    whose bytes had not, inodes count for nothing more in this run, so that not every run reads every image.
    """

    are_stable: bool = True
    _false_alarms: int = 0
    _has_served: bool = False

    def observe(self, *, is_same: bool) -> None:
        """Record whether a file whose inode alone had changed has the same bytes."""
        self._false_alarms += is_same
        self._has_served |= not is_same
        self.are_stable = self._has_served or self._false_alarms < _MAX_FALSE_ALARMS


@dataclass(slots=True)
class ImageCheck:
    """One image and its rows; hashed at most once, only if needed."""

    job: ImageJob
    last_outcome: LastOutcome | None
    answer: CurrentAnswerRow | None
    known_failures: Mapping[str, KnownFailureRow]
    """By the fingerprint of the settings."""
    hash_file: Callable[[Path], str]
    inodes: InodeTrust
    is_unreadable: bool = False
    """True if its bytes were needed and could not be read: then size and time decide."""
    _sha256: str | None = None

    def has_same_bytes(self, past: LastOutcome | CurrentAnswerRow | KnownFailureRow) -> bool:
        """Return whether the image still has the bytes that it had then."""
        if past.size != self.job.size_bytes:
            return False
        if not past.sha256:
            return self._is_same_file(past) if isinstance(past, KnownFailureRow) else self._stat_equals(past)
        return past.sha256 == self.sha256() or (self.is_unreadable and self._stat_equals(past))

    def sha256(self) -> str:
        """Return the hash of the bytes; "" if they cannot be read, which equals no other hash."""
        if self._sha256 is None:
            self._sha256 = self._find_recorded_hash() or self._compute_hash()
        return self._sha256

    def known_sha256(self) -> str | None:
        """Return the hash of the bytes if it is known without reading them; else None."""
        return self._sha256 or self._find_recorded_hash() or None

    def is_state_recorded(self) -> bool:
        """Return whether the latest outcome has the file's times and inode as they are now."""
        last = self.last_outcome
        if last is None:
            return False
        now = (schema.clamp_mtime(self.job.mtime_ns), *schema.file_identity(self.job))
        return (last.mtime, last.ctime, last.inode) == now

    def has_failed_with(self, kinds: frozenset[ErrorKind]) -> bool:
        """Return whether its latest failure is of one of these classes; False if it was answered since.

        After a deferral, or a failure that waiting cures, the failure before counts as well.
        """
        last = self.last_outcome
        if last is None or last.outcome == "succeeded":
            return False
        if last.kind in kinds:
            return True
        before = max(self.known_failures.values(), key=lambda row: row.finished_at, default=None)
        has_news = last.outcome == "failed" and last.kind not in WORTH_RETRYING_LATER
        return before is not None and before.kind in kinds and not has_news

    def is_about_answer(self) -> bool:
        """Return whether the last outcome is the current answer."""
        last, answer = self.last_outcome, self.answer
        if last is None or answer is None or last.outcome != "succeeded":
            return False
        return (last.sha256, last.fingerprint) == (answer.sha256, answer.fingerprint)

    def _stat_equals(self, past: LastOutcome | CurrentAnswerRow | KnownFailureRow) -> bool:
        return past.mtime == schema.clamp_mtime(self.job.mtime_ns) and past.size == self.job.size_bytes

    def _is_same_file(self, past: LastOutcome | KnownFailureRow) -> bool:
        """Return whether size, times and inode are as then; earlier versions noted no inode."""
        if not self._stat_equals(past):
            return False
        if past.ctime is None or self.job.ctime_ns is None:
            return True
        ctime, inode = schema.file_identity(self.job)
        return past.ctime == ctime and (past.inode == inode or not self.inodes.are_stable)

    def _find_recorded_hash(self) -> str | None:
        """Return the hash that was recorded of the file as it is now; None if it has to be read."""
        last, answer = self.last_outcome, self.answer
        if last and last.sha256 and self._is_same_file(last):
            return last.sha256
        if answer and self._stat_equals(answer) and (last is None or last.ctime is None):
            return answer.sha256
        failures = (one for one in self.known_failures.values() if one.sha256 and self._is_same_file(one))
        return next((one.sha256 for one in failures), None)

    def _compute_hash(self) -> str:
        try:
            digest = self.hash_file(self.job.path)
        except OSError:
            self.is_unreadable = True
            return ""
        last, (ctime, _) = self.last_outcome, schema.file_identity(self.job)
        if last and last.sha256 and self._stat_equals(last) and last.ctime == ctime:
            self.inodes.observe(is_same=last.sha256 == digest)
        return digest


def read_checks(
    connection: sqlite3.Connection,
    jobs: Sequence[ImageJob],
    hash_file: Callable[[Path], str],
    inodes: InodeTrust,
) -> Iterator[ImageCheck]:
    """Yield each image with its rows; at most a few hundred images at a time."""
    keys = [job.key for job in jobs]
    last_outcomes = _read_last_outcomes(connection, keys)
    answers = _read_current_answers(connection, keys)
    known_failures = _read_known_failures(connection, keys)
    for job in jobs:
        yield ImageCheck(
            job=job,
            last_outcome=last_outcomes.get(job.key),
            answer=answers.get(job.key),
            known_failures=known_failures.get(job.key, {}),
            hash_file=hash_file,
            inodes=inodes,
        )


def _read_last_outcomes(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, LastOutcome]:
    rows = connection.execute(
        "SELECT key, size, mtime, sha256, fingerprint, outcome, kind, ctime, inode FROM images"  # noqa: S608
        f" WHERE dry_run = 0 AND key IN ({placeholders(keys)})",
        keys,
    )
    return {
        key: LastOutcome(size, mtime, sha, fingerprint, outcome, ErrorKind(kind) if kind else None, *identity)
        for key, size, mtime, sha, fingerprint, outcome, kind, *identity in rows
    }


def _read_current_answers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, CurrentAnswerRow]:
    rows = connection.execute(
        "SELECT key, size, mtime, sha256, fingerprint, artefacts, input_tokens, output_tokens,"  # noqa: S608
        " iif(model = '', model_version, model), counts_for FROM answers"
        f" WHERE dry_run = 0 AND standing = 1 AND key IN ({placeholders(keys)})",
        keys,
    )
    return {key: CurrentAnswerRow._make(columns) for key, *columns in rows}


def _read_known_failures(
    connection: sqlite3.Connection, keys: Sequence[str]
) -> Mapping[str, Mapping[str, KnownFailureRow]]:
    rows = connection.execute(
        "SELECT key, fingerprint, size, mtime, sha256, kind, finished_at, ctime, inode"  # noqa: S608
        " FROM known_failures"
        f" WHERE key IN ({placeholders(keys)})",
        keys,
    )
    found: defaultdict[str, dict[str, KnownFailureRow]] = defaultdict(dict)
    for key, fingerprint, size, mtime, sha, kind, finished_at, *identity in rows:
        found[key][fingerprint] = KnownFailureRow(size, mtime, sha, ErrorKind(kind), finished_at, *identity)
    return found
