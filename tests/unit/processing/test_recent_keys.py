"""What happened since a moment is known, or said to be possible."""

from processing.duplicates import Lately


def test_what_happened_since_is_known() -> None:
    """A name counts from the moment when it was heard."""
    lately = Lately()
    lately.add("before")
    moment = lately.now
    lately.add("after")

    assert lately.may_hold("after", since=moment)
    assert not lately.may_hold("before", since=moment)
    assert not lately.may_hold("after", since=lately.now)


def test_what_is_forgotten_may_have_happened() -> None:
    """Nothing is ruled out that lies before the last names."""
    lately = Lately(remembered=2)
    for name in ("a", "b", "c"):
        lately.add(name)

    assert lately.may_hold("x", since=0)
    assert not lately.may_hold("x", since=1)
