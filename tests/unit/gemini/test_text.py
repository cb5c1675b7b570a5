"""Rules of gemini/text.py: texts of the service become safe to print and store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini.text import MAX_SENTENCE, remove_secret, repair_surrogates, sanitize_sentence, sanitize_word


@given(st.text(max_size=600), st.integers(1, 300))
def test_one_short_printable_line(text: str, limit: int) -> None:
    """Whatever is said: printable, on one line, within the limit, and the same when said again."""
    for said in (sanitize_sentence(text, limit), sanitize_word(text, limit)):
        assert said.isprintable()
        assert len(said) <= limit
        assert sanitize_word(said, limit) == said


@pytest.mark.parametrize("piece", ["<", "<a", "<script>", "</style", "<a b=", "\x1b[", " "], ids=repr)
def test_a_hostile_page_is_not_read_to_its_end(piece: str) -> None:
    """Megabytes made to slow a search down are cut before anything is searched."""
    page = piece * 20_000

    assert len(sanitize_sentence(page)) <= MAX_SENTENCE
    assert sanitize_sentence(page + "the end") == sanitize_sentence(page)
    assert sanitize_word(page + "the end") == sanitize_word(page)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ud83d" + "\ude00b", "a\U0001f600b"),
        ("a\ud83d", "a\ufffd"),
        ("\u00e9\n\x1b", "\u00e9\n\x1b"),
        ("", ""),
    ],
    ids=["pair", "half", "fine", "empty"],
)
def test_text_can_be_written(text: str, expected: str) -> None:
    """Halves of a pair that two parts hold are joined; a lone half becomes U+FFFD; all else stays."""
    assert repair_surrogates(text) == expected


SECRET = "AIzaSyA-0123456789_abcdefghijklmnopqrst"  # noqa: S105 - made up


@given(st.text(max_size=300), st.text(max_size=300), st.integers(5, 200))
def test_no_cut_leaves_a_piece_of_the_key(before: str, after: str, limit: int) -> None:
    """However the service's words are cut, at most four characters of the key stay."""
    said = remove_secret(sanitize_word(before + SECRET + after, limit), SECRET)

    assert SECRET[:5] not in said
