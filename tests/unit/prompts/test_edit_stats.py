"""Rules of prompts/posterior.py and prompts/edit_stats.py."""

import pytest

from errors import ErrorKind
from prompts.edit_stats import Pool
from prompts.policy import Failure, GiveUp
from tests.support.policy_scenario import empty_pool, policy, steps, teach, twice


def test_failures_on_images_that_nothing_rescues_do_not_spoil_an_edit() -> None:
    """An edit that is tried last, on what others left over, keeps its good name."""
    pool = empty_pool()
    for _ in range(30):
        pool.learn(ErrorKind.BLOCKED, (), "first", rescued=True)
        pool.learn(ErrorKind.BLOCKED, (), "first", rescued=False)
        pool.learn(ErrorKind.BLOCKED, ("first",), "second", rescued=False)
        pool.learn(ErrorKind.BLOCKED, ("first", "second"), "third", rescued=False)
    belief = pool.of(ErrorKind.BLOCKED)

    assert belief.mean("first") > 0.7
    assert belief.counts["third"].failures < 20
    assert 0.4 < belief.curable_share < 0.65


def test_a_rescue_settles_what_failed_before_it() -> None:
    """The image was curable, so those failures count in full."""
    pool = empty_pool()
    for arm in ("one", "two"):
        pool.learn(ErrorKind.EMPTY, () if arm == "one" else ("one",), arm, rescued=False)
    unsettled = pool.of(ErrorKind.EMPTY).counts["one"].failures
    pool.learn(ErrorKind.EMPTY, ("one", "two"), "three", rescued=True)

    assert 0.0 < unsettled < 0.9
    assert pool.of(ErrorKind.EMPTY).counts["one"].failures == pytest.approx(1.0, abs=0.01)


def test_a_pool_comes_back_from_its_rows() -> None:
    """What was learned of edits stands the next night, at half its weight."""
    pool = empty_pool()
    teach(pool, "good", rescues=60, failures=20)
    teach(pool, "bad", rescues=0, failures=40)
    again = Pool.from_rows(pool.model, pool.prompt_sha256, list(pool.rows()))
    before, after = pool.of(ErrorKind.BLOCKED), again.of(ErrorKind.BLOCKED)

    assert after.counts["good"].rescues == pytest.approx(before.counts["good"].rescues / 2)
    assert after.seen == pytest.approx(before.seen / 2)
    assert after.mean("good") == pytest.approx(before.mean("good"), abs=0.05)
    assert after.mean("bad") < 0.1


def test_rows_of_another_prompt_or_model_teach_nothing() -> None:
    """An edit of another prompt is other words."""
    pool = empty_pool()
    teach(pool, "good", rescues=60, failures=20)
    rows = list(pool.rows())

    assert list(Pool.from_rows("other", pool.prompt_sha256, rows).rows()) == []
    assert list(Pool.from_rows(pool.model, "1" * 64, rows).rows()) == []


def test_what_once_was_hopeless_is_tried_again_some_night() -> None:
    """A service that failed for one night is not given up for ever."""
    pool = empty_pool()
    for _ in range(60):
        list(steps(policy(pool), [Failure(kind=ErrorKind.BLOCKED)] * 8))
    for _ in range(10):
        pool = Pool.from_rows(pool.model, pool.prompt_sha256, list(pool.rows()))

    assert not isinstance(policy(pool).next(twice(ErrorKind.BLOCKED)), GiveUp)
