"""Misspelled variables: names that are close to a variable of the program, and are none.

A cap in a variable that is not read is not in force, so that a slip costs money in silence.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from settings.option import Group, Option
from settings.options import OPTIONS

_PREFIX = re.compile(r"^(GEMINI_BATCH|GEMINI|GBP)_")
_UNIT = re.compile(r"_(USD|DOLLARS?|S|SECS?|SECONDS|MIN|MINUTES)$")
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_SHORTEST_NAME = 6
"""Shorter ones differ from other words by one letter."""
_LONG_NAME = 10
_END_LENGTH = 3
"""Two names are compared letter by letter only if so many letters at one end are the same."""


class Misspelling(NamedTuple):
    """A name that is set, and what it was probably meant to be."""

    name: str
    option: Option
    is_word_of_others: bool
    """Other programs may read this name, too, such as ``MODEL`` and ``LOGFILE``."""

    @property
    def meant(self) -> str:
        """The variable, or the flag if there is none."""
        return str(self.option.variable or self.option.flag)


def find_misspellings(names: Iterable[str], set_options: Collection[str]) -> Iterator[Misspelling]:
    """Yield the names that are close to a variable; one whose option is set elsewhere does no harm.

    Args:
        names: what is set.
        set_options: names of the options that some source sets.
    """
    index = _Index()
    for name in names:
        found = None if name in index.variables else index.find(name)
        if found is not None and found.option.name not in set_options:
            yield found


class _Index:
    """The variables of all options, by what a slip leaves of their names."""

    def __init__(self) -> None:
        self.variables = {option.variable: option for option in OPTIONS if option.variable}
        self._by_letters = {_letters(name): option for name, option in self.variables.items()}
        self._by_words = {_words(name): option for name, option in self.variables.items()}
        self._by_flag = {_letters(option.flag): option for option in OPTIONS if option.flag}
        self._by_end: dict[str, list[str]] = {}
        for letters in self._by_letters:
            for end in _ends(letters):
                self._by_end.setdefault(end, []).append(letters)

    def find(self, name: str) -> Misspelling | None:
        """Return what a name was probably meant to be; None if it is no misspelling."""
        if not _NAME.fullmatch(name):
            return None
        bare = name.upper().replace("-", "_")
        spellings = (bare, _PREFIX.sub("", bare), _UNIT.sub("", bare))
        for spelling in spellings:
            letters = _letters(spelling)
            option = self._by_letters.get(letters) or self._by_words.get(_words(spelling))
            if option or (option := self._by_flag.get(letters)):
                return Misspelling(name, option, _is_word_of_others(option, spelling))
        letters = _letters(bare)
        candidates = (near for end in _ends(letters) for near in self._by_end.get(end, ()))
        near = next((one for one in candidates if _is_slip(letters, one)), None)
        return None if near is None else Misspelling(name, self._by_letters[near], is_word_of_others=False)


def _is_word_of_others(option: Option, spelling: str) -> bool:
    is_flag = _letters(str(option.flag)) == _letters(spelling)
    is_plain_word = is_flag and "-" not in str(option.flag).removeprefix("--")
    is_cap = option.variable is not None and option.variable.endswith("_PER_MINUTE")
    return option.variable is None or option.group is Group.LOGGING or (is_plain_word and not is_cap)


def _letters(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name in the singular and in no order."""
    return tuple(sorted(re.sub("S$", "", re.sub("IES$", "Y", word)) for word in name.upper().split("_")))


def _ends(letters: str) -> set[str]:
    return {f"^{letters[:_END_LENGTH]}", f"{letters[-_END_LENGTH:]}$"}


def _is_slip(letters: str, known: str) -> bool:
    """Return whether one slip of the keyboard, or two in a long name, make one name of the other."""
    allowed = 2 if len(known) >= _LONG_NAME else 1
    if len(known) < _SHORTEST_NAME:
        return False
    return abs(len(letters) - len(known)) <= allowed and count_slips(letters, known) <= allowed


def count_slips(one: str, other: str) -> int:
    """Return the least number of letters to add, leave out, replace or swap with their neighbor.

    The optimal string alignment distance: https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance.
    """
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, known in enumerate(other, start=1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != known))
            is_swap = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == known
            current.append(min(cost, before[column - 2] + 1) if is_swap else cost)
        before, above = above, current
    return above[-1]
