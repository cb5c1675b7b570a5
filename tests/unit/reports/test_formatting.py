"""Rules of reports/formatting.py: lines of a terminal's width, counts with their noun, US dollars."""

from decimal import Decimal

import pytest

from reports.formatting import (
    WIDTH,
    format_count,
    format_dollars,
    format_images,
    round_dollars,
    wrap,
    wrap_count,
    wrap_row,
)


def test_lines_fit_and_long_words_stay_whole() -> None:
    """A path can be copied, however long it is."""
    path = "/" + "a-b/" * 40

    first, second, third = wrap(f"{'word ' * 15}{path} end", indent=2)

    assert len(first) <= WIDTH
    assert (second, third) == (f"  {path}", "  end")
    assert wrap("one two", width=4) == ["one", "two"]


def test_rows_are_aligned() -> None:
    """Further lines begin where the text of the first one does; control characters are escaped."""
    text = "word " * 20

    assert wrap_row("Label", text)[1].startswith(f"{'':13}word")
    assert wrap_row("Label", "a\x1bb") == [r"Label        a\x1bb"]
    assert wrap_count(1234, text)[0].startswith("  1,234  word")
    assert wrap_count(1, text)[1].startswith(f"{'':9}word")


def test_a_noun_has_its_number() -> None:
    """Only one of a thing is singular."""
    assert [format_images(count) for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert format_count(2_000, "more night") == "2,000 more nights"


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0.0, "$0.0000"),
        (0.00004, "$0.000040"),
        (0.001, "$0.0010"),
        (0.9999, "$0.9999"),
        (1.0, "$1.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars_have_the_digits_that_matter(amount: float, said: str) -> None:
    """Two decimal places from a dollar on, four from a tenth of a cent on, six below."""
    assert format_dollars(amount) == said


def test_documents_have_millionths_of_a_dollar() -> None:
    """An unknown amount stays None."""
    assert round_dollars(Decimal("0.0000014")) == 0.000001
    assert round_dollars(None) is None
