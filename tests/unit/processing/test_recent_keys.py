"""What happened since a moment is known, or said to be possible."""

from processing.duplicates import RecentKeys


def test_what_happened_since_is_known() -> None:
    """A key counts from the position at which it was added."""
    recent = RecentKeys()
    recent.add("before")
    position = recent.position
    recent.add("after")

    assert recent.maybe_added_since("after", position=position)
    assert not recent.maybe_added_since("before", position=position)
    assert not recent.maybe_added_since("after", position=recent.position)


def test_what_is_forgotten_may_have_happened() -> None:
    """Nothing is ruled out that lies before the last names."""
    recent = RecentKeys(capacity=2)
    for name in ("a", "b", "c"):
        recent.add(name)

    assert recent.maybe_added_since("x", position=0)
    assert not recent.maybe_added_since("x", position=1)
