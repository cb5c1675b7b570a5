"""Rules of processing/image_loader.py.

Never more bytes than there is room for; nothing stays that was taken.
"""

from hypothesis import given
from hypothesis import strategies as st

from processing.image_loader import ImageShelf

ROOM = 100


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 150), st.booleans())))
def test_it_never_holds_more_than_its_room_and_gives_back_what_was_put(
    steps: list[tuple[str, int, bool]],
) -> None:
    """Whatever comes and goes: what is taken is what was put, and the room is as large as ever."""
    shelf, held = ImageShelf(ROOM), dict[str, bytes]()
    for key, size, is_put in steps:
        image = key.encode() * size
        if not is_put:
            assert shelf.take(key) == held.pop(key, None)
        elif key not in held and sum(map(len, held.values())) + size <= ROOM:
            shelf.put(key, image)
            held[key] = image
        else:
            shelf.put(key, image)
    assert sum(map(len, held.values())) <= ROOM
    for key in "abcd":
        assert shelf.take(key) == held.pop(key, None)
    shelf.put("whole", bytes(ROOM))
    assert shelf.take("whole") == bytes(ROOM)
    assert shelf.take("whole") is None


def test_an_image_that_is_not_to_be_sent_as_it_is_takes_no_room() -> None:
    """None, as ``read_image`` says it, is not held."""
    shelf = ImageShelf(ROOM)
    shelf.put("a", None)
    assert shelf.take("a") is None
