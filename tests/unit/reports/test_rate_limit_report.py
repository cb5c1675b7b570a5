"""Rules of reports/rate_limit_report.py: what limits a run, beside the progress and afterwards."""

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rate_limit.types import RateLimitStats, WaitCause
from reports.rate_limit_report import build_pacing_section, describe_limit, summary_line
from tests.support.paths import SCHEMAS

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NOW_S = 5_000.0
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
REQUESTS = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
SCHEMA = SCHEMAS / "processing_stats.schema.json"


def figures(**changed: Any) -> RateLimitStats:
    """Return figures of a run that nothing has limited yet, but for what is changed."""
    calm: dict[str, Any] = {
        "pace_rpm": 58.0,
        "limit_rpm": None,
        "limit_tpm": None,
        "limit_is_named": False,
        "concurrency": 8,
        "in_flight": 3,
        "waiting": 0,
        "waiting_for": None,
        "waiting_until_s": None,
        "waited_s": dict.fromkeys(WaitCause, 0.0),
        "rejections": {},
        "requests": 100,
        "rejected": 0,
        "wasted_upload_bytes": 0,
    }
    return RateLimitStats(**(calm | changed))


def words(*, rpm: float | None = None, tpm: float | None = None, **changed: Any) -> str:
    """Return the words beside the progress at noon UTC, in Berlin."""
    return describe_limit(figures(**changed), now_s=NOW_S, utcnow=NOON, rpm=rpm, tpm=tpm, zone=BERLIN)


def waiting(cause: WaitCause, seconds: float | None = None, **changed: Any) -> dict[str, Any]:
    """Return that four wait for ``cause``, for so many seconds more."""
    until_s = None if seconds is None else NOW_S + seconds
    return {"waiting": 4, "waiting_for": cause, "waiting_until_s": until_s, **changed}


# Beside the progress


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, ""),
        ({"limit_rpm": 300.0}, ""),
        (waiting(WaitCause.CONCURRENCY), ""),
        (waiting(WaitCause.PACE, 0.5), "pace 58/min"),
        (waiting(WaitCause.PACE, 0.5, limit_rpm=60.0), "pace 58/min, limit 60/min"),
        (waiting(WaitCause.PACE, 0.5, pace_rpm=4.5, limit_rpm=5.0), "pace 4.5/min, limit 5/min"),
        (waiting(WaitCause.PACE, 0.5, pace_rpm=None), ""),
        (
            waiting(WaitCause.PACE, 0.5, limit_tpm=250_000.0),
            "pace 58/min, limit 250k tokens/min",
        ),
        (
            waiting(WaitCause.QUOTA, 820.0, limit_rpm=300.0),
            "limit 300/min, 4 waiting for quota until 13:13:40",
        ),
        (waiting(WaitCause.QUOTA, 36.0), "4 waiting for quota until 13:00:36"),
        (waiting(WaitCause.QUOTA), "4 waiting for quota"),
        (waiting(WaitCause.QUOTA, -3.0), "4 waiting for quota until 13:00:00"),
        (waiting(WaitCause.QUOTA, 100_000.0), "4 waiting for quota until 26 Nov"),
        (waiting(WaitCause.QUOTA, math.inf), "4 waiting for quota"),
        (
            waiting(WaitCause.QUOTA, 40.0, limit_tpm=1_500_000.0),
            "limit 1.5M tokens/min, 4 waiting until 13:00:40",
        ),
        (waiting(WaitCause.OUTAGE, 60.0, limit_rpm=300.0), "service overloaded: one probe at a time"),
    ],
)
def test_what_limits_the_run_in_words(state: dict[str, Any], said: str) -> None:
    """The pace and the learned limit, why it waits and until when; nothing while nothing limits."""
    assert words(**state) == said


@pytest.mark.parametrize(
    ("rpm", "tpm", "said"),
    [
        (60.0, None, "--rpm 60"),
        (0.25, None, "--rpm 0.25"),
        (None, 250_000, "--tpm 250000"),
        (60.0, 250_000, "--rpm 60 --tpm 250000"),
    ],
)
def test_the_users_own_ceiling_is_shown_as_it_was_typed(
    rpm: float | None, tpm: float | None, said: str
) -> None:
    """A user who set a ceiling reads that it is this one, and no other."""
    assert words(rpm=rpm, tpm=tpm, **waiting(WaitCause.CEILING, 1.0, limit_rpm=300.0)) == said


@pytest.mark.parametrize(
    ("rejections", "said"),
    [
        ({REQUESTS: 5, TOKENS: 1}, "pace 58/min, limit 60/min"),
        ({REQUESTS: 1, TOKENS: 5}, "pace 58/min, limit 250k tokens/min"),
        ({}, "pace 58/min, limit 60/min"),
    ],
)
def test_of_two_limits_the_one_that_refuses_is_told(rejections: dict[str, int], said: str) -> None:
    """The line has space for one, and the other does not bind."""
    both = {"limit_rpm": 60.0, "limit_tpm": 250_000.0, "rejections": rejections}

    assert words(**waiting(WaitCause.PACE, 1.0, **both)) == said


def test_a_wait_across_a_change_of_clocks_ends_at_the_right_local_time() -> None:
    """In the night of 25 October 2026 in Berlin, an hour after 02:30 it is 02:30 again."""
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    state = figures(**waiting(WaitCause.QUOTA, 3_600.0))

    assert describe_limit(state, now_s=NOW_S, utcnow=before, zone=BERLIN).endswith("until 02:30:00")


@given(
    cause=st.sampled_from(WaitCause),
    pace=st.floats(0.01, 1e7),
    limit=st.floats(0.01, 1e7),
    is_tokens=st.booleans(),
    count=st.integers(0, 200),
    seconds=st.none() | st.floats(-10, 1e12),
)
def test_the_words_are_short_whatever_happens(
    *, cause: WaitCause, pace: float, limit: float, seconds: float | None, count: int, is_tokens: bool
) -> None:
    """At most 53 columns, all of them printable, for every limit that a project can have."""
    limits = {"limit_tpm": limit} if is_tokens else {"limit_rpm": limit}
    state = waiting(cause, seconds, pace_rpm=pace, **limits) | {"waiting": count}
    said = words(rpm=100_000, tpm=100_000_000, **state)

    assert len(said) <= 53
    assert said.isprintable()


# In the document and at the end


def section_fits(section: object) -> bool:
    """Return whether the section fits its part of the schema."""
    whole = json.loads(SCHEMA.read_bytes())
    part = {"$defs": whole["$defs"], **whole["properties"]["pacing"]}
    return Draft202012Validator(part).is_valid(section)


def example_figures() -> RateLimitStats:
    """Return the statistics of a run with much waiting."""
    return figures(
        pace_rpm=298.44,
        limit_rpm=300.0,
        limit_is_named=True,
        requests=1512,
        rejected=12,
        rejections={TOKENS: 2, REQUESTS: 11},
        waited_s={WaitCause.QUOTA: 61.234, WaitCause.PACE: 700.0},
        wasted_upload_bytes=9_000_000,
    )


def test_the_section_tells_what_was_learned_and_lost() -> None:
    """Limits, refusals by quota with the largest first, waiting by every cause, bytes sent in vain."""
    section = build_pacing_section(example_figures())

    assert section
    assert asdict(section) == {
        "limit_requests_per_minute": 300.0,
        "limit_tokens_per_minute": None,
        "limit_is_named": True,
        "pace_at_end": 298.4,
        "concurrency": 8,
        "requests": 1512,
        "refused": 12,
        "refused_share": 0.0079,
        "refused_by_quota": {REQUESTS: 11, TOKENS: 2},
        "waited_seconds": {
            "quota": 61.2, "pace": 700.0, "ceiling": 0.0, "outage": 0.0, "concurrency": 0.0,
        },
        "wasted_upload_bytes": 9_000_000,
    }  # fmt: skip
    assert list(section.refused_by_quota) == [REQUESTS, TOKENS]
    assert section_fits(asdict(section))


@pytest.mark.parametrize(
    "state",
    [
        figures(),
        figures(requests=0, pace_rpm=None),
        figures(pace_rpm=math.inf, limit_rpm=math.inf),
        figures(requests=1, rejected=2),
    ],
    ids=["calm", "nothing-sent", "boundless", "miscounted"],
)
def test_every_section_fits_the_schema(state: RateLimitStats) -> None:
    """No division by nothing, and no number that JSON does not have."""
    section = build_pacing_section(state)

    assert section
    assert section_fits(asdict(section))


def test_a_run_without_pacing_has_no_section() -> None:
    """A run that ended before anything was to be asked learned nothing; the schema allows it."""
    assert build_pacing_section(None) is None
    assert section_fits(None)
    assert not section_fits({"pace": 1})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, ""),
        (figures(limit_rpm=300.0), ""),
        (
            example_figures(),
            "the service limited us: 300 requests a minute; 12 of 1,512 calls were refused (0.8 %)",
        ),
        (
            figures(limit_rpm=57.6, rejected=1),
            "the service limited us: about 58 requests a minute; 1 of 100 calls was refused (1.0 %)",
        ),
        (
            figures(limit_rpm=60.0, limit_tpm=250_000.0, rejected=3),
            (
                "the service limited us: about 60 requests and 250,000 tokens a minute;"
                " 3 of 100 calls were refused (3.0 %)"
            ),
        ),
        (
            figures(rejected=2, requests=90_000),
            "the service limited us: 2 of 90,000 calls were refused (less than 0.1 %)",
        ),
    ],
    ids=["not-paced", "never-refused", "named", "measured", "both", "no-limit-known"],
)
def test_the_line_at_the_end(state: RateLimitStats | None, said: str) -> None:
    """There is one if the service rejected calls, else none."""
    assert summary_line(build_pacing_section(state)) == said
