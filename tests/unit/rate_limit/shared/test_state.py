"""Rules of rate_limit/shared/: what is kept about a quota from run to run, for which scope, how long."""

import pwd
import stat
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from rate_limit.shared import key_fingerprint, state_path
from rate_limit.types import LearnedLimit, LearnedLimits
from tests.support.shared_state_runs import BUSY, FOUND, RunSequence

KEY = "AIzaSyNotARealKey0123456789abcdefghijkl"
PASSED = LearnedLimits(requests=LearnedLimit(per_minute=3.0))


@pytest.fixture
def runs(tmp_path: Path) -> RunSequence:
    """No run yet."""
    return RunSequence(tmp_path)


def test_the_first_night_knows_nothing(runs: RunSequence) -> None:
    """A memory that does not exist yet holds nothing, and is no trouble."""
    assert runs.new_memory().load() is None


def test_the_next_night_starts_with_what_this_one_learned(runs: RunSequence) -> None:
    """Limits come back with what is known of them."""
    runs.new_memory().save(FOUND)
    runs.advance_clock(hours=20)

    assert runs.new_memory().load() == FOUND


@pytest.mark.parametrize("other", [{"key": "fedcba9876543210"}, {"model": "gemini-3.8-pro"}])
def test_each_quota_has_its_own_memory(runs: RunSequence, other: dict[str, str]) -> None:
    """The values of one key and model do not hold for another."""
    runs.new_memory().save(FOUND)

    assert runs.new_memory(**other).load() is None
    assert runs.new_memory(model="models/gemini-3.6-flash").load() == FOUND


def test_after_a_week_a_limit_is_only_where_to_begin(runs: RunSequence) -> None:
    """Old numbers stay, but are no longer trusted as limits."""
    runs.new_memory().save(FOUND)
    runs.advance_clock(days=7, seconds=1)

    assert runs.new_memory().load() == LearnedLimits(
        requests=LearnedLimit(per_minute=300.0), tokens=LearnedLimit(per_minute=250_000.0), latency_s=4.5
    )


def test_after_a_month_it_is_forgotten(runs: RunSequence) -> None:
    """Quotas change with tiers and models."""
    runs.new_memory().save(FOUND)
    runs.advance_clock(days=30, seconds=1)

    assert runs.new_memory().load() is None


def test_what_a_wrong_clock_wrote_is_doubted_and_replaced(runs: RunSequence) -> None:
    """A value from next year is where to begin, and would never grow old by itself."""
    runs.advance_clock(days=365)
    runs.new_memory().save(FOUND)
    runs.advance_clock(days=-365)

    learned = runs.new_memory().load()
    runs.new_memory().save(PASSED)

    assert learned is not None
    assert learned.requests == LearnedLimit(per_minute=300.0)
    assert runs.new_memory().load() == replace(learned, requests=PASSED.requests)


@pytest.mark.parametrize("news", [LearnedLimits(), PASSED, LearnedLimits(latency_s=4.5)])
def test_a_short_night_does_not_hide_what_a_long_one_found(runs: RunSequence, news: LearnedLimits) -> None:
    """Neither nothing nor "three a minute passed" replaces a limit that was confirmed."""
    runs.new_memory().save(FOUND)
    runs.new_memory().save(news)

    assert runs.new_memory().load() == FOUND


def test_a_limit_that_is_found_anew_replaces_the_old_one(runs: RunSequence) -> None:
    """Lower or higher, the latest that was confirmed holds."""
    for per_minute in (150.0, 600.0):
        found = LearnedLimits(requests=LearnedLimit(per_minute=per_minute, confirmed=True))
        runs.new_memory().save(FOUND)
        runs.new_memory().save(found)

        assert runs.new_memory().load() == replace(FOUND, requests=found.requests)


def test_more_than_the_limit_that_passed_disproves_it(runs: RunSequence) -> None:
    """When 500 a minute passed, 300 is not the limit."""
    runs.new_memory().save(FOUND)
    runs.new_memory().save(LearnedLimits(requests=LearnedLimit(per_minute=500.0)))

    learned = runs.new_memory().load()

    assert learned is not None
    assert learned.requests == LearnedLimit(per_minute=500.0)


def test_a_limit_that_is_only_repeated_grows_old(runs: RunSequence) -> None:
    """A run that ends with what it began with has learned nothing about it."""
    runs.new_memory().save(FOUND)
    runs.advance_clock(days=5)
    second = runs.new_memory()
    loaded = second.load()
    assert loaded is not None
    second.save(loaded)
    runs.advance_clock(days=5)

    learned = runs.new_memory().load()

    assert learned is not None
    assert learned.requests == LearnedLimit(per_minute=300.0)


def test_nobody_else_may_read_the_memory(runs: RunSequence) -> None:
    """File and folder are the user's alone, whatever the umask allows."""
    runs.new_memory().save(FOUND)

    assert stat.S_IMODE(runs.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runs.path.parent.stat().st_mode) == 0o700


def test_no_side_file_stays(runs: RunSequence) -> None:
    """Between two calls there is the file and nothing else."""
    runs.new_memory().exchange(BUSY, 0.0)

    assert [path.name for path in runs.path.parent.iterdir()] == ["pacing.db"]


def test_the_fingerprint_gives_nothing_away() -> None:
    """It is short hex, always the same, and no part of the key."""
    fingerprint = key_fingerprint(KEY, None)

    assert fingerprint == key_fingerprint(KEY, None)
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    assert fingerprint not in KEY


def test_the_same_key_elsewhere_is_another_quota() -> None:
    """The endpoint belongs to the quota, however it is spelt; none is Google's own."""
    google = key_fingerprint(KEY, None)

    assert key_fingerprint(KEY, "HTTPS://GenerativeLanguage.googleapis.com/") == google
    assert len({google, key_fingerprint(KEY, "http://proxy:8080"), key_fingerprint(KEY + "x", None)}) == 3


def test_the_memory_lies_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or in the user's directory for state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))

    assert state_path(tmp_path / "given") == tmp_path / "given" / "pacing.db"
    assert state_path(Path("given")) == Path("given").absolute() / "pacing.db"
    users_own = state_path(None)
    assert users_own is not None
    assert (users_own.parent.name, users_own.name) == ("gemini-batch", "pacing.db")


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME and passwd entry (``docker run --user 12345``) there is no place, and no error."""

    def find_nothing(uid: int) -> NoReturn:
        raise KeyError(uid)

    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", find_nothing)

    assert state_path(None) is None
