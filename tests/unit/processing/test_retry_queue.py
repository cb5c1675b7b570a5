"""Rules of processing/retry_queue.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.retry_queue import MAX_WAITING, RetryQueue


@given(st.lists(st.integers(0, 6), max_size=40))
def test_the_fewest_calls_go_first_and_then_the_longest_wait(calls: list[int]) -> None:
    """Whatever the order of arrival: by rounds, and within a round as they came."""
    queue = RetryQueue[int]()
    for number, made in enumerate(calls):
        queue.push(str(number), number, calls=made)

    left = [queue.pop() for _ in calls]

    assert left == sorted(range(len(calls)), key=lambda number: (calls[number], number))
    assert queue.pop() is None


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.data())
def test_a_removed_image_is_gone_and_the_rest_keeps_its_order(calls: list[int], data: st.DataObject) -> None:
    """A copy of an image removes it before its turn; the other images keep their order."""
    queue = RetryQueue[int]()
    for number, made in enumerate(calls):
        queue.push(str(number), number, calls=made)
    wanted = data.draw(st.sampled_from(range(len(calls))))

    assert queue.remove(str(wanted)) == wanted
    assert queue.remove(str(wanted)) is None
    rest = sorted(set(range(len(calls))) - {wanted}, key=lambda number: (calls[number], number))
    assert [queue.pop() for _ in rest] == rest


def test_it_is_full_at_its_bound() -> None:
    """It never holds more than a few hundred images, however many fail."""
    queue = RetryQueue[int]()
    for number in range(MAX_WAITING):
        assert not queue.is_full
        queue.push(str(number), number, calls=2)

    assert queue.is_full
    assert len(queue) == MAX_WAITING


def test_no_image_waits_twice() -> None:
    """Two images of one name would mean that one of them is lost."""
    queue = RetryQueue[int]()
    queue.push("a", 1, calls=2)
    with pytest.raises(ValueError, match="waits already"):
        queue.push("a", 2, calls=2)
