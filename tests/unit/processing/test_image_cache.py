"""Rules of processing/image_loader.py.

Never more bytes than its capacity; nothing stays that was taken.
"""

from hypothesis import given
from hypothesis import strategies as st

from processing.image_loader import ImageCache

CAPACITY = 100


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 150), st.booleans())))
def test_it_never_exceeds_its_capacity_and_returns_what_was_put(
    steps: list[tuple[str, int, bool]],
) -> None:
    """Whatever comes and goes: what is taken is what was put, and the capacity is as large as ever."""
    cache, expected = ImageCache(CAPACITY), dict[str, bytes]()
    for key, size, is_put in steps:
        image = key.encode() * size
        if not is_put:
            assert cache.pop(key) == expected.pop(key, None)
        elif key not in expected and sum(map(len, expected.values())) + size <= CAPACITY:
            cache.put(key, image)
            expected[key] = image
        else:
            cache.put(key, image)
    assert sum(map(len, expected.values())) <= CAPACITY
    for key in "abcd":
        assert cache.pop(key) == expected.pop(key, None)
    cache.put("whole", bytes(CAPACITY))
    assert cache.pop("whole") == bytes(CAPACITY)
    assert cache.pop("whole") is None


def test_none_takes_no_capacity() -> None:
    """None, as ``read_image`` says it, is not held."""
    cache = ImageCache(CAPACITY)
    cache.put("a", None)
    assert cache.pop("a") is None
