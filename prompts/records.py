"""Rows that prompt repair keeps between runs, as the journal stores them."""

from dataclasses import dataclass
from enum import StrEnum

from errors import ErrorKind


class CandidateStatus(StrEnum):
    """What became of a candidate; ``joined`` and ``refused`` are the stored values."""

    ON_TRIAL = "on_trial"
    ACCEPTED = "joined"
    DROPPED = "dropped"
    REJECTED = "refused"
    """The answer failed a check, or there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """One candidate as stored between runs."""

    kind: ErrorKind
    name: str
    text: str
    proposed_by: str
    """Name of the model."""
    status: CandidateStatus
    """Any but ``REJECTED``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStatsRow:
    """Weighted counts of one arm in one class, as stored between runs."""

    model: str
    prompt_sha256: str
    """Hash of the user's own prompt, in hex."""
    kind: ErrorKind
    arm: str
    """An edit's name, ``ask_again``, or empty for the class as a whole."""
    rescues: float
    failures: float
