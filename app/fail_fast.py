"""Fail-fast: a run stops when its first images all fail alike.

A wrong field or a gateway's own page fails every image, and each try may cost money. So the first failures
are held back until there is a verdict. If all are alike, and of a kind that no image can cause, they become
``Deferred`` and the run stops. One answer, or one other failure, ends the watch.
"""

from dataclasses import dataclass, field
from typing import TypeGuard

from errors import ErrorKind, FatalError, StopReason
from models import Deferred, Failed, Outcome, Reused

DECIDING_IMAGES = 3
"""Number of failures alike that stop the run."""

_RUN_LEVEL_KINDS = frozenset({ErrorKind.INVALID_REQUEST, ErrorKind.SCHEMA, ErrorKind.NETWORK})
"""Kinds whose cause may be common to all requests: images were decoded before, so a 400 is seldom
their fault."""


@dataclass(slots=True)
class FailFast:
    """Watch on the first outcomes of one run."""

    cause: FatalError | None = None
    """Why the run must stop; None if it need not."""
    _is_cleared: bool = False
    _held_back: list[Failed] = field(default_factory=list)
    _first: Failed | None = None

    def observe(self, outcome: Outcome) -> list[Outcome]:
        """Add the next outcome; return those that can be stored now, maybe none."""
        if self.cause is not None:
            return [_to_deferred(outcome) if self._is_alike(outcome) else outcome]
        if self._is_cleared or _is_inconclusive(outcome):
            return [outcome]
        if self._is_alike(outcome):
            return self._hold_back(outcome)
        self._is_cleared = True
        return [*self.flush(), outcome]

    def flush(self) -> list[Outcome]:
        """Return what is held back, because no verdict will come any more."""
        held: list[Outcome] = list(self._held_back)
        self._held_back.clear()
        return held

    def _hold_back(self, failed: Failed) -> list[Outcome]:
        self._first = self._first or failed
        self._held_back.append(failed)
        if len(self._held_back) < DECIDING_IMAGES:
            return []
        detail = f"the first {DECIDING_IMAGES} images all failed alike: {failed.detail}"
        self.cause = FatalError(StopReason.ALL_ALIKE, detail)
        return [_to_deferred(held) for held in self.flush()]

    def _is_alike(self, outcome: Outcome) -> TypeGuard[Failed]:
        if not isinstance(outcome, Failed) or outcome.kind not in _RUN_LEVEL_KINDS:
            return False
        first = self._first or outcome
        return bool(outcome.attempts) and (outcome.kind, outcome.detail) == (first.kind, first.detail)


def _to_deferred(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Failed):
        return outcome
    return Deferred(
        job=outcome.job,
        prompt=outcome.prompt,
        detail=outcome.detail,
        kind=outcome.kind,
        attempts=outcome.attempts,
    )


def _is_inconclusive(outcome: Outcome) -> bool:
    """Return whether the image was never asked about, or met an outage."""
    return isinstance(outcome, Reused | Deferred) or (isinstance(outcome, Failed) and not outcome.attempts)
