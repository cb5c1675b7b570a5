"""Rules of prompts/uplift.py."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ErrorKind
from prompts.policy import ControlAssignment
from prompts.uplift import SuccessCount, estimate_uplift, newcombe_interval, wilson_interval


def assignment(*, control: bool, share: float = 0.15) -> ControlAssignment:
    """Return one image's part in the comparison."""
    return ControlAssignment(kind=ErrorKind.BLOCKED, is_control=control, control_share=share)


@pytest.mark.parametrize(
    ("rescues", "tries", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_has_the_published_figures(rescues: int, tries: int, low: float, high: float) -> None:
    """Source: R. G. Newcombe, Stat. Med. 17 (1998) 857, table I, method 3."""
    interval = wilson_interval(rescues, tries)

    assert interval.low == pytest.approx(low, abs=0.0001)
    assert interval.high == pytest.approx(high, abs=0.0001)


@given(tries=st.integers(1, 500), data=st.data())
def test_an_interval_holds_its_estimate(tries: int, data: st.DataObject) -> None:
    """And stays between 0 and 1."""
    interval = wilson_interval(data.draw(st.integers(0, tries)), tries)

    assert 0.0 <= interval.low <= interval.estimate <= interval.high <= 1.0


def test_nothing_tried_means_nothing_known() -> None:
    """The interval is everything."""
    assert (SuccessCount().interval.low, SuccessCount().interval.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("treated", "control", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_has_the_published_figures(
    treated: tuple[int, int], control: tuple[int, int], low: float, high: float
) -> None:
    """Source: R. G. Newcombe, Stat. Med. 17 (1998) 873, table II, method 10."""
    one, other = (SuccessCount(rescues=rescues, tries=tries) for rescues, tries in (treated, control))
    interval = newcombe_interval(one, other)

    assert interval.low == pytest.approx(low, abs=0.0001)
    assert interval.high == pytest.approx(high, abs=0.0001)


def test_only_equal_shares_are_compared() -> None:
    """Early and late images differ; mixing them would call the difference an effect of the edits."""
    early = [(assignment(control=control), n < 90) for control in (True, False) for n in range(100)]
    late = [
        (assignment(control=control, share=0.05), n < 10) for control in (True, False) for n in range(100)
    ]
    unequal = [*early, *(one for one in late if not one[0].is_control), *late[:100:10]]

    found = estimate_uplift(unequal)

    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(0.0)
    assert newcombe_interval(found.edited, found.asked_again).high < 0.0


def test_without_a_control_there_is_no_uplift() -> None:
    """Without anything to compare there is no number."""
    found = estimate_uplift([(assignment(control=False), True)] * 10)

    assert found.difference is None
    assert not found.is_significant
    assert found.edited == SuccessCount(tries=10, rescues=10)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """In 95 of 100 runs, over both control shares, within what chance allows."""
    rng, held = random.Random(1), 0
    for _ in range(400):
        assignments = []
        for n in range(400):
            one = assignment(control=rng.random() < (share := 0.15 if n < 200 else 0.05), share=share)
            assignments.append((one, rng.random() < (0.2 if one.is_control else 0.5)))
        found = estimate_uplift(assignments).difference
        held += found is not None and found.low <= 0.3 <= found.high

    assert 0.92 <= held / 400 <= 0.995
