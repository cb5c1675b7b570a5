"""Has an image still the bytes that the journal knows?

Stat first, hash only in doubt: a file whose size and time are as recorded counts as unchanged;
otherwise its bytes decide. What follows for the image is not this file's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from errors import ErrorKind
from journal import schema
from models import ImageJob


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
