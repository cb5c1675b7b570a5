"""Rules of utils/name_rules.py: names are left alone where they can be, and stay apart."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.name_rules import ORDINARY, NameRules

NTFS = NameRules(
    forbidden=frozenset('\\:*?"<>|'), forbidden_at_end=frozenset(". "), has_devices=True, folds_case=True
)
OLD_SHARE = NameRules(max_bytes=143, is_ascii=True)


@pytest.mark.parametrize(
    ("rules", "name", "escaped"),
    [
        (NTFS, "IMG_20140502_155004:nopm:.jpg", "IMG_20140502_155004%3Anopm%3A.jpg"),
        (NTFS, "who?", "who%3F"),
        (NTFS, "trip.", "trip%2E"),
        (NTFS, "trip ", "trip%20"),
        (NTFS, "con.jpg", "%63on.jpg"),
        (NTFS, "LPT1", "%4CPT1"),
        (NTFS, "console.jpg", "console.jpg"),
        (NTFS, "After.jpg", "After.jpg"),
        (NTFS, "100 % ~1.jpg", "100 % ~1.jpg"),
        (NTFS, "\N{PARTY POPPER}.jpg", "\N{PARTY POPPER}.jpg"),
        (NameRules(is_basic=True), "é\N{PARTY POPPER}.jpg", "é%F0%9F%8E%89.jpg"),
        (OLD_SHARE, "café.jpg", "caf%C3%A9.jpg"),
        (ORDINARY, 'a:b*?"<>|\\ .', 'a:b*?"<>|\\ .'),
    ],
)
def test_what_is_not_allowed_is_escaped(rules: NameRules, name: str, escaped: str) -> None:
    """A name that is allowed is not touched; in others the one character is, and all can read the rest."""
    assert rules.escape(name, is_whole=True) == escaped


def test_an_end_counts_only_where_the_name_ends() -> None:
    """A stem that gets an ending may end as it likes."""
    assert NTFS.escape("trip.", is_whole=False) == "trip."


@pytest.mark.parametrize(
    ("rules", "one", "other", "is_one"),
    [
        (NTFS, "After.jpg", "after.jpg", True),
        (NTFS, "STRASSE.jpg", "straße.jpg", True),
        (NTFS, "a.jpg", "b.jpg", False),
        (NTFS, "é.jpg", "e\u0301.jpg", False),
        (NameRules(folds_forms=True), "é.jpg", "e\u0301.jpg", True),
        (NameRules(folds_forms=True), "é.jpg", "É.jpg", False),
        (NameRules(folds_forms=True), "a\u200db.jpg", "ab.jpg", True),
        (NameRules(folds_forms=True, folds_case=True), "É.jpg", "e\u0301.jpg", True),
        (ORDINARY, "After.jpg", "after.jpg", False),
    ],
)
def test_spellings_of_one_file(rules: NameRules, one: str, other: str, *, is_one: bool) -> None:
    """Names that the file system takes for one fold to one."""
    assert (rules.fold(one) == rules.fold(other)) == is_one


@given(st.text())
def test_a_folded_name_is_that_of_its_other_spellings(name: str) -> None:
    """Case and form are both left out, in whatever order they were changed."""
    rules = NameRules(folds_case=True, folds_forms=True)
    decomposed = unicodedata.normalize("NFD", name)

    assert rules.fold(decomposed) == rules.fold(name)
    assert rules.fold(rules.fold(name)) == rules.fold(name)


def test_two_file_systems_allow_what_both_allow() -> None:
    """Results and history may lie on different disks."""
    both = NTFS.combine(OLD_SHARE)

    assert (both.max_bytes, both.is_ascii, both.has_devices, both.folds_case) == (143, True, True, True)
    assert both.forbidden == NTFS.forbidden
    assert ORDINARY.combine(ORDINARY) == ORDINARY


def test_rules_are_said_in_words() -> None:
    """The ordinary rules need none."""
    assert ORDINARY.describe() == ""
    assert NameRules(max_bytes=143, folds_case=True).describe() == (
        "at most 143 bytes, capital and small letters are one"
    )
    assert NTFS.describe().startswith('no " * : < > ? \\ | in them, ')
