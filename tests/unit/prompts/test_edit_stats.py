"""Rules of prompts/posterior.py and prompts/edit_stats.py."""

import pytest

from errors import ErrorKind
from prompts.edit_stats import EditStats
from prompts.history import Failure
from prompts.policy import GiveUp
from tests.support.policy_scenario import empty_stats, failed_twice, policy, steps, teach


def test_failures_on_images_that_nothing_rescues_do_not_spoil_an_edit() -> None:
    """An edit that is tried last, on images that others failed on, keeps its rate."""
    stats = empty_stats()
    for _ in range(30):
        stats.learn(ErrorKind.BLOCKED, (), "first", rescued=True)
        stats.learn(ErrorKind.BLOCKED, (), "first", rescued=False)
        stats.learn(ErrorKind.BLOCKED, ("first",), "second", rescued=False)
        stats.learn(ErrorKind.BLOCKED, ("first", "second"), "third", rescued=False)
    posterior = stats.posterior(ErrorKind.BLOCKED)

    assert posterior.mean("first") > 0.7
    assert posterior.counts["third"].failures < 20
    assert 0.4 < posterior.curable_share < 0.65


def test_a_rescue_settles_what_failed_before_it() -> None:
    """The image was curable, so those failures count in full."""
    stats = empty_stats()
    for arm in ("one", "two"):
        stats.learn(ErrorKind.EMPTY, () if arm == "one" else ("one",), arm, rescued=False)
    unsettled = stats.posterior(ErrorKind.EMPTY).counts["one"].failures
    stats.learn(ErrorKind.EMPTY, ("one", "two"), "three", rescued=True)

    assert 0.0 < unsettled < 0.9
    assert stats.posterior(ErrorKind.EMPTY).counts["one"].failures == pytest.approx(1.0, abs=0.01)


def test_a_pool_comes_back_from_its_rows() -> None:
    """What was learned of edits counts in the next run, at half its weight."""
    stats = empty_stats()
    teach(stats, "good", rescues=60, failures=20)
    teach(stats, "bad", rescues=0, failures=40)
    again = EditStats.from_rows(stats.model, stats.prompt_sha256, list(stats.rows()))
    before, after = stats.posterior(ErrorKind.BLOCKED), again.posterior(ErrorKind.BLOCKED)

    assert after.counts["good"].rescues == pytest.approx(before.counts["good"].rescues / 2)
    assert after.seen == pytest.approx(before.seen / 2)
    assert after.mean("good") == pytest.approx(before.mean("good"), abs=0.05)
    assert after.mean("bad") < 0.1


def test_rows_of_another_prompt_or_model_teach_nothing() -> None:
    """An edit of another prompt is other words."""
    stats = empty_stats()
    teach(stats, "good", rescues=60, failures=20)
    rows = list(stats.rows())

    assert list(EditStats.from_rows("other", stats.prompt_sha256, rows).rows()) == []
    assert list(EditStats.from_rows(stats.model, "1" * 64, rows).rows()) == []


def test_what_once_was_hopeless_is_tried_again_some_night() -> None:
    """A service that failed during one run is not given up for ever."""
    stats = empty_stats()
    for _ in range(60):
        list(steps(policy(stats), [Failure(kind=ErrorKind.BLOCKED)] * 8))
    for _ in range(10):
        stats = EditStats.from_rows(stats.model, stats.prompt_sha256, list(stats.rows()))

    assert not isinstance(policy(stats).next_step(failed_twice(ErrorKind.BLOCKED)), GiveUp)
