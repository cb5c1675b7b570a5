"""Runs for the tests of the shared state: on one file, at times that the test chooses."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rate_limit.shared import QuotaMemory, Scope
from rate_limit.types import LearnedLimit, LearnedLimits, PeerStatus
from tests.support.fakes import START

FOUND = LearnedLimits(
    requests=LearnedLimit(per_minute=300.0, confirmed=True),
    tokens=LearnedLimit(per_minute=250_000.0, named=True),
    latency_s=4.5,
)
BUSY = PeerStatus(requests_60s=150.0, demand_rpm=float("inf"))


class RunSequence:
    """Runs on one file, at times that the test chooses."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "pacing.db"
        self.now = START
        self._count = 0

    def new_memory(self, *, key: str = "0123456789abcdef", model: str = "gemini-3.6-flash") -> QuotaMemory:
        """Return the shared state as one more run sees it."""
        self._count += 1
        scope = Scope(fingerprint=key, model=model)
        return QuotaMemory(self.path, scope=scope, run_id=f"run {self._count}", utcnow=self._utcnow)

    def advance_clock(self, **duration: float) -> None:
        """Move the wall clock."""
        self.now += timedelta(**duration)

    def _utcnow(self) -> datetime:
        return self.now


def list_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages of warnings."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
