"""Rules that a file system has for names, and names that keep them.

Names that are allowed stay as they are. In others the characters that are not allowed are written as ``%3A``,
the bytes of UTF-8; the caller adds a hash, because several names can become one.
"""

import unicodedata
from dataclasses import dataclass
from typing import Final

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL"} | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
)
"""Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file (2026-11)."""

_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRules:
    """What a file system does not take, and which names it takes for one; the defaults forbid nothing."""

    max_bytes: int = 255
    """Longest name, in UTF-8. This is the limit of ext4 and XFS, and within that of NTFS, exFAT and APFS."""
    forbidden: frozenset[str] = frozenset()
    """Characters that no name can have."""
    forbidden_at_end: frozenset[str] = frozenset()
    """Characters that no name can end with; the file system refuses or drops them."""
    is_ascii: bool = False
    """True if no other characters can be stored."""
    is_basic: bool = False
    """True if characters above U+FFFF, emoji among them, cannot be stored."""
    has_devices: bool = False
    """True if names such as ``con.txt`` stand for devices."""
    folds_case: bool = False
    """True if ``After`` and ``after`` are one name."""
    folds_forms: bool = False
    """True if an ``é`` of one character and one of two are one name."""

    @property
    def has_aliases(self) -> bool:
        """True if several names can stand for one file."""
        return self.folds_case or self.folds_forms

    def combine(self, other: "NameRules") -> "NameRules":
        """Return the rules for names that stand on both file systems."""
        return NameRules(
            max_bytes=min(self.max_bytes, other.max_bytes),
            forbidden=self.forbidden | other.forbidden,
            forbidden_at_end=self.forbidden_at_end | other.forbidden_at_end,
            is_ascii=self.is_ascii or other.is_ascii,
            is_basic=self.is_basic or other.is_basic,
            has_devices=self.has_devices or other.has_devices,
            folds_case=self.folds_case or other.folds_case,
            folds_forms=self.folds_forms or other.folds_forms,
        )

    def escape(self, name: str, *, is_whole: bool) -> str:
        """Return the name with ``%XX`` for what is not allowed; unchanged if all of it is.

        Args:
            name: a name without folders, in printable UTF-8.
            is_whole: nothing is added to its end, so that the last character counts.
        """
        escaped = "".join(self._escape_character(character) for character in name)
        if is_whole and escaped and escaped[-1] in self.forbidden_at_end:
            escaped = f"{escaped[:-1]}{_percent(escaped[-1])}"
        if self.has_devices and escaped.partition(".")[0].rstrip().upper() in _DEVICES:
            escaped = f"{_percent(escaped[0])}{escaped[1:]}"
        return escaped

    def fold(self, path: str) -> str:
        """Return the same text for all spellings that stand for one file; maybe for a few more."""
        if self.folds_case:
            path = (_decompose(path) if self.folds_forms else path).upper().casefold()
        return _decompose(path) if self.folds_forms else path

    def describe(self) -> str:
        """Return in words what is not ordinary, for a sentence; empty if nothing is."""
        cannot = "".join(sorted(self.forbidden))
        parts = (
            cannot and f"no {' '.join(cannot)} in them",
            self.max_bytes < ORDINARY.max_bytes and f"at most {self.max_bytes} bytes",
            self.is_ascii and "no characters but ASCII",
            self.is_basic and not self.is_ascii and "no emoji",
            self.forbidden_at_end and "no full stop or space at their end",
            self.has_devices and "none of Windows' devices",
            self.folds_case and "capital and small letters are one",
            self.folds_forms and "composed and decomposed characters are one",
        )
        return ", ".join(part for part in parts if part)

    def _escape_character(self, character: str) -> str:
        is_foreign = (self.is_ascii and character > "\x7f") or (self.is_basic and character > "\uffff")
        return _percent(character) if is_foreign or character in self.forbidden else character


ORDINARY: Final = NameRules()
"""The rules of ext4, XFS, btrfs and tmpfs."""


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _decompose(path: str) -> str:
    """Return the path in decomposed characters, without those that some file systems pass over."""
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", path)
        if unicodedata.category(character) != "Cf" and character not in _VARIATION_SELECTORS
    )
