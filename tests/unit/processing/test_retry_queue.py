"""Rules of processing/retry_queue.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.retry_queue import ROOM, WaitingRoom


@given(st.lists(st.integers(0, 6), max_size=40))
def test_the_fewest_calls_go_first_and_then_the_longest_wait(calls: list[int]) -> None:
    """Whatever the order of arrival: by rounds, and within a round as they came."""
    room = WaitingRoom[int]()
    for number, made in enumerate(calls):
        room.enter(str(number), number, calls=made)

    left = [room.next() for _ in calls]

    assert left == sorted(range(len(calls)), key=lambda number: (calls[number], number))
    assert room.next() is None


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.data())
def test_one_that_is_fetched_is_gone_and_the_rest_keeps_its_order(
    calls: list[int], data: st.DataObject
) -> None:
    """A copy of an image calls it before its turn; nobody else loses or wins a place."""
    room = WaitingRoom[int]()
    for number, made in enumerate(calls):
        room.enter(str(number), number, calls=made)
    wanted = data.draw(st.sampled_from(range(len(calls))))

    assert room.fetch(str(wanted)) == wanted
    assert room.fetch(str(wanted)) is None
    rest = sorted(set(range(len(calls))) - {wanted}, key=lambda number: (calls[number], number))
    assert [room.next() for _ in rest] == rest


def test_it_is_full_at_its_bound() -> None:
    """It never holds more than a few hundred images, however many fail."""
    room = WaitingRoom[int]()
    for number in range(ROOM):
        assert not room.is_full
        room.enter(str(number), number, calls=2)

    assert room.is_full
    assert len(room) == ROOM


def test_nobody_waits_twice() -> None:
    """Two images of one name would mean that one of them is lost."""
    room = WaitingRoom[int]()
    room.enter("a", 1, calls=2)
    with pytest.raises(ValueError, match="waits already"):
        room.enter("a", 2, calls=2)
