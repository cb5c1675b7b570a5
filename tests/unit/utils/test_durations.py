"""Rules of utils/durations.py: one meaning for each form, written as a user would type it."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.durations import format_duration, parse_duration, parse_time_of_day


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("0", 0), ("12.5", 12.5), ("90s", 90), ("30m", 1_800), ("5h", 18_000), ("1h30m", 5_400),
        ("2d", 172_800), ("1d2h3m4s", 93_784), ("1.5h", 5_400), (" 1H 30M ", 5_400), ("0s", 0), ("0.2s", 0.2),
    ],
)  # fmt: skip
def test_a_length(text: str, seconds: float) -> None:
    """A bare number is seconds; a unit behind each number says otherwise."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "h", "-5", "+5", "1h30", "30m1h", "1h1h", "5 hours", "1:30", "nan", "inf", "1e3", "1_000", "5w",
     ".5h", "\u0665h", "90 s"],
)  # fmt: skip
def test_no_length(text: str) -> None:
    """What could be meant in two ways, or in none, is no length."""
    with pytest.raises(ValueError, match="not a length of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.2, "0.2s"), (59.9996, "1m"), (90, "1m30s"), (5_400, "1h30m"), (18_000, "5h"),
     (604_800, "7d"), (129_600, "1d12h"), (3_600.5, "1h0.5s")],
)  # fmt: skip
def test_a_length_for_people(seconds: float, text: str) -> None:
    """A length is written with the units that are not zero."""
    assert format_duration(seconds) == text


@given(milliseconds=st.integers(min_value=0, max_value=10**12))
def test_a_written_length_is_understood(milliseconds: int) -> None:
    """What is written reads back as the same length."""
    seconds = milliseconds / 1000

    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("06:00", time(6)),
        ("6:00", time(6)),
        ("00:00", time(0)),
        ("23:59", time(23, 59)),
        (" 9:05 ", time(9, 5)),
    ],
)
def test_a_time_of_day(text: str, shows: time) -> None:
    """Hours and minutes, as a clock of twenty-four hours shows them."""
    assert parse_time_of_day(text) == shows


@pytest.mark.parametrize(
    "text", ["", "6", "0600", "24:00", "12:60", "6:0", "6:00pm", "06:00:00", "21600", "-1:00"]
)
def test_no_time_of_day(text: str) -> None:
    """What no such clock shows is none."""
    with pytest.raises(ValueError, match="not a time of day"):
        parse_time_of_day(text)
