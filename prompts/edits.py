"""Edits: small named changes of the user's prompt, read from ``edits.toml`` and the user's own file.

An edited prompt holds all words that the user wants kept, and is at most ``max_prompt_length`` long. An edit
that changes nothing is not offered. A file is never executed; a mistake in it ends in one sentence.
"""

import errno
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from errors import ErrorKind, UsageError
from models import Parameter
from prompts.rules import CURABLE_KINDS
from prompts.transforms import TRANSFORMS, extract_core, replace_words
from prompts.word_lists import WordList, read_word_list

BUNDLED_FILE = Path(__file__).with_name("edits.toml")
MAX_EDITS = 50
"""Edits of a run. An image tries at most a few of them, so more could not be learned."""
MAX_TEMPLATE_CHARACTERS = 600
"""Characters of a template, and of each replacement."""
MAX_FILE_BYTES = 256 * 1024
MAX_DOTS = 1_000
"""Dots of a line: the library takes minutes for a key of thousands of parts."""
ASK_AGAIN = "ask_again"
"""The recorded name of a call with the user's own prompt."""
LEAVE_OUT = "without"
"""The arm under which all edits that leave out parts of the prompt stand in the statistics."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PLACEHOLDER = re.compile(r"\{[^{}\n]*\}")
_KNOWN_PLACEHOLDERS = frozenset({"{prompt}", "{core}"})
_RESERVED = frozenset({ASK_AGAIN, LEAVE_OUT, *Parameter})
_FIELDS = frozenset({"name", "serves", "template", "transforms", "replace", "neutral"})


def max_prompt_length(prompt: str) -> int:
    """Return how many characters an edited prompt may have: twice the prompt and 300 more."""
    return 2 * len(prompt) + 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One small change that keeps the user's intent."""

    name: str
    serves: frozenset[ErrorKind]
    template: str
    transforms: tuple[str, ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    neutral: bool = False
    """Whether it may be the one try of an image that the safety filter withheld."""

    def apply(self, prompt: str, *, keep: Sequence[str] = ()) -> str | None:
        """Return the edited prompt with all words to keep; None if the edit cannot be used.

        It cannot if it would change nothing, leave nothing, or exceed ``max_prompt_length``.
        """
        text = prompt.strip()
        for name in self.transforms:
            text = TRANSFORMS[name](text)
        parts = {"{prompt}": replace_words(text, self.replace), "{core}": extract_core(prompt)}
        # One pass, so that a prompt that itself contains "{core}" stays as the user wrote it.
        text = _PLACEHOLDER.sub(lambda found: parts.get(found.group(), found.group()), self.template).strip()
        text = add_missing_words(text, keep)
        is_useless = (
            not text
            or normalize_words(text) == normalize_words(prompt)
            or len(text) > max_prompt_length(prompt)
        )
        return None if is_useless else text


def add_missing_words(text: str, keep: Sequence[str]) -> str:
    """Return the text with a sentence at its end that names the words missing in it."""
    missing = [words for words in keep if normalize_words(words) not in normalize_words(text)]
    if not missing:
        return text
    named = ", ".join(missing)
    return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} Be sure to observe: {named}."


def check_kept_words(prompt: str, keep: Sequence[str]) -> None:
    """Raise UsageError unless the prompt contains the words that its edits have to keep."""
    for words in keep:
        if not words.strip():
            raise UsageError("--prompt-keep needs words that stand in the prompt")
        if normalize_words(words) not in normalize_words(prompt):
            raise UsageError(f'--prompt-keep names "{words}", which the prompt does not say')


def normalize_words(text: str) -> str:
    """Return the text for comparison: lower case, single blanks."""
    return " ".join(text.lower().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class EditBook:
    """All edits of a run, in their order."""

    edits: tuple[Edit, ...]
    word_lists: tuple[WordList, ...] = ()
    """Words that are often to blame, for each class."""
    leaves_out: bool = True
    """Whether parts of the prompt may be left out as well."""

    def __getitem__(self, name: str) -> Edit:
        """Return the edit of that name; raise KeyError if there is none."""
        return {edit.name: edit for edit in self.edits}[name]

    def applicable_edits(self, prompt: str, *, keep: Sequence[str] = ()) -> dict[ErrorKind, tuple[str, ...]]:
        """Return for each curable class the names of the edits that change this prompt.

        If two edits make the same prompt, only the first one is offered.
        """
        texts = {edit.name: edit.apply(prompt, keep=keep) for edit in self.edits}
        names_by_kind = {}
        for kind in sorted(CURABLE_KINDS):
            by_text: dict[str, str] = {}
            for edit in self.edits:
                text = texts[edit.name]
                if kind in edit.serves and text is not None:
                    by_text.setdefault(text, edit.name)
            names_by_kind[kind] = tuple(by_text.values())
        return names_by_kind

    @property
    def neutral_names(self) -> frozenset[str]:
        """Names of the edits that are allowed after the safety filter withheld an answer."""
        return frozenset(edit.name for edit in self.edits if edit.neutral)


def load(path: Path | None = None) -> EditBook:
    """Return the bundled edits, extended by the user's file.

    An edit with the name of a bundled one replaces it; ``replace_all = true`` leaves the bundled ones out,
    and with them the leaving out of parts, unless the file says ``leave_out = true``.

    Raises:
        UsageError: one sentence that names the file, the edit and what is wrong with it.
    """
    bundled = _read(BUNDLED_FILE)
    if path is None:
        return bundled.book
    own = _read(path)
    by_name = {} if own.replace_all else {edit.name: edit for edit in bundled.book.edits}
    by_name |= {edit.name: edit for edit in own.book.edits}
    if len(by_name) > MAX_EDITS:
        raise UsageError(f"{path}: {len(by_name)} edits are more than the {MAX_EDITS} allowed")
    word_lists = () if own.replace_all else bundled.book.word_lists
    return replace(own.book, edits=tuple(by_name.values()), word_lists=(*word_lists, *own.book.word_lists))


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What one file says."""

    book: EditBook
    replace_all: bool


_SETTINGS = ("replace_all", "leave_out")


def _read(path: Path) -> _File:
    """Read the edits and words of one file."""
    document = _read_document(path)
    unknown = sorted(set(document) - {"edit", "words", *_SETTINGS})
    if unknown:
        raise UsageError(
            f'{path}: "{unknown[0]}" is not known; allowed are [[edit]], [[words]], replace_all and leave_out'
        )
    for name in _SETTINGS:
        if not isinstance(document.get(name, False), bool):
            raise UsageError(f"{path}: {name} must be true or false")
    replace_all = document.get("replace_all", False)
    tables, lists = document.get("edit", []), document.get("words", [])
    if not _are_tables(tables) or not (tables or lists or "leave_out" in document):
        raise UsageError(f"{path}: there is no edit in it; each begins with a line [[edit]]")
    if not _are_tables(lists):
        raise UsageError(f"{path}: each list of words begins with a line [[words]]")
    edits = [_EditReader(path, number, table).read() for number, table in enumerate(tables, start=1)]
    names = [edit.name for edit in edits]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f'{path}: two edits are called "{twice}"')
    book = EditBook(
        edits=tuple(edits),
        word_lists=tuple(_read_word_lists(path, lists)),
        leaves_out=document.get("leave_out", not replace_all),
    )
    return _File(book=book, replace_all=replace_all)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _read_word_lists(path: Path, tables: Sequence[Mapping[str, Any]]) -> Iterator[WordList]:
    for number, table in enumerate(tables, start=1):
        try:
            yield read_word_list(table)
        except ValueError as error:
            raise UsageError(f"{path}: list {number} of words {error}") from error


def _read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file, a few more than allowed at most; a pipe would never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(MAX_FILE_BYTES + 1)


def _read_document(path: Path) -> dict[str, Any]:
    try:
        content = _read_regular(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path}: is larger than {MAX_FILE_BYTES // 1024} KB")
    if any(line.count(b".") > MAX_DOTS for line in content.splitlines()):
        raise UsageError(f"{path}: has a line with more than {MAX_DOTS} dots")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8") from error
    except (ValueError, RecursionError) as error:  # also over a number of thousands of digits
        raise UsageError(f"{path}: is not TOML ({error})") from error


class _EditReader:
    """Reader of one ``[[edit]]`` table, which checks every field."""

    def __init__(self, path: Path, number: int, table: Mapping[str, Any]) -> None:
        name = table.get("name")
        self._location = f'{path}: edit "{name}"' if isinstance(name, str) else f"{path}: edit {number}"
        self._table = table

    def read(self) -> Edit:
        """Return the edit; raise UsageError for any mistake in the table."""
        unknown = sorted(set(self._table) - _FIELDS)
        if unknown:
            raise self._error(f'has a field "{unknown[0]}", allowed are {", ".join(sorted(_FIELDS))}')
        return Edit(
            name=self._read_name(),
            serves=self._read_kinds(),
            template=self._read_template(),
            transforms=self._read_transforms(),
            replace=self._read_replacements(),
            neutral=self._read_neutral(),
        )

    def _error(self, what: str) -> UsageError:
        return UsageError(f"{self._location} {what}")

    def _read_name(self) -> str:
        name = self._table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._error("needs a name of small letters, digits and _, at most 40, a letter first")
        if name in _RESERVED:
            raise self._error("has a name that means something else in the reports")
        return name

    def _read_kinds(self) -> frozenset[ErrorKind]:
        classes = self._read_words("serves")
        if not classes:
            raise self._error("serves no class")
        unknown = next((one for one in classes if one not in set(CURABLE_KINDS)), None)
        if unknown is not None:
            raise self._error(f'serves "{unknown}", which is none of {", ".join(sorted(CURABLE_KINDS))}')
        return frozenset(ErrorKind(one) for one in classes)

    def _read_template(self) -> str:
        template = self._table.get("template")
        if not isinstance(template, str) or not template.strip():
            raise self._error("needs a template that is not empty")
        if len(template) > MAX_TEMPLATE_CHARACTERS:
            raise self._error(
                f"has a template of {len(template)} characters, more than {MAX_TEMPLATE_CHARACTERS}"
            )
        found = set(_PLACEHOLDER.findall(template))
        unknown = min(found - _KNOWN_PLACEHOLDERS, default=None)
        if unknown is not None:
            raise self._error(f"has a placeholder {unknown}, known are {{prompt}} and {{core}}")
        if not found:
            raise self._error("has a template without {prompt} or {core}: the user's words would be lost")
        return template

    def _read_transforms(self) -> tuple[str, ...]:
        names = self._read_words("transforms")
        unknown = next((one for one in names if one not in TRANSFORMS), None)
        if unknown is not None:
            raise self._error(f'names a transform "{unknown}", which is none of {", ".join(TRANSFORMS)}')
        return names

    def _read_replacements(self) -> Mapping[str, str]:
        table = self._table.get("replace", {})
        if not isinstance(table, dict) or not all(isinstance(words, str) for words in table.values()):
            raise self._error('has a "replace" that is not a table of words')
        if any(not phrase.strip() for phrase in table):
            raise self._error("replaces nothing by something")
        if any(len(words) > MAX_TEMPLATE_CHARACTERS for words in table.values()):
            raise self._error(f"puts in more than {MAX_TEMPLATE_CHARACTERS} characters at once")
        return table

    def _read_neutral(self) -> bool:
        neutral = self._table.get("neutral", False)
        if not isinstance(neutral, bool):
            raise self._error('has a "neutral" that is neither true nor false')
        return neutral

    def _read_words(self, member: str) -> tuple[str, ...]:
        words = self._table.get(member, [])
        if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
            raise self._error(f'has a "{member}" that is not a list of words')
        return tuple(words)
