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


@dataclass(slots=True)
class ImageCheck:
    """One image and its rows; hashed at most once, only if needed."""

    job: ImageJob
    last_outcome: LastOutcome | None
    answer: CurrentAnswerRow | None
    known_failures: Mapping[str, KnownFailureRow]
    """By the fingerprint of the settings."""
    hash_file: Callable[[Path], str]
    _sha256: str | None = None

    def has_same_bytes(self, past: LastOutcome | CurrentAnswerRow | KnownFailureRow) -> bool:
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

    def _compute_hash(self) -> str:
        try:
            return self.hash_file(self.job.path)
        except OSError:
            return ""


def read_checks(
    connection: sqlite3.Connection, jobs: Sequence[ImageJob], hash_file: Callable[[Path], str]
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
        )


def _read_last_outcomes(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, LastOutcome]:
    rows = connection.execute(
        "SELECT key, size, mtime, sha256, fingerprint, outcome, kind FROM images"  # noqa: S608
        f" WHERE dry_run = 0 AND key IN ({placeholders(keys)})",
        keys,
    )
    return {
        key: LastOutcome(size, mtime, sha256, fingerprint, outcome, ErrorKind(kind) if kind else None)
        for key, size, mtime, sha256, fingerprint, outcome, kind in rows
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
        "SELECT key, fingerprint, size, mtime, sha256, kind, finished_at FROM known_failures"  # noqa: S608
        f" WHERE key IN ({placeholders(keys)})",
        keys,
    )
    found: defaultdict[str, dict[str, KnownFailureRow]] = defaultdict(dict)
    for key, fingerprint, size, mtime, sha256, kind, finished_at in rows:
        found[key][fingerprint] = KnownFailureRow(size, mtime, sha256, ErrorKind(kind), finished_at)
    return found
