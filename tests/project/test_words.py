"""Rules of words: one word for one thing, wherever users read."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import ErrorKind, StopReason
from settings.options import OPTIONS
from tests.project.house import DIALECT
from tests.project.source import modules, tree
from tests.support.paths import ROOT
from utils.image_discovery import PassedOverReason

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".env.example")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs" / "schema").glob("*.json"),
]
REPLACED = {
    "put off": "deferred", "passed over": "skipped", "to be had": "unavailable", "not started": "deferred",
    "other words": "an edited prompt", "nobody": "the subject by its name", "somebody": "others",
    "everybody": "all calls", "whoever": "the user", "known to fail": "failed before",
}  # fmt: skip
"""What was said before, and what is said now."""
_REPLACED = re.compile(rf"\b(?:{'|'.join(REPLACED)})\b", re.IGNORECASE)
_DIALECT = re.compile(rf"\b(?:{'|'.join([*DIALECT, *REPLACED])})\b", re.IGNORECASE)
_CODE = re.compile(r"`[^`]*`|^```.*?^```", re.MULTILINE | re.DOTALL)


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are no docstrings, each with its line."""
    parsed = tree(path)
    docstrings = {id(node.value) for node in ast.walk(parsed) if isinstance(node, ast.Expr)}
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("module", modules())
def test_sentences_of_the_program_use_the_words_of_the_readme(module: str) -> None:
    """No printed sentence says in another word what the README, the summary and --status call otherwise."""
    found = [(line, text) for line, text in sentences(modules()[module]) if _DIALECT.search(text)]

    assert found == [], f"say: {REPLACED}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_use_the_same_words(page: Path) -> None:
    """So do the pages for users; names of members and commands are quoted as code."""
    text = page.read_text(encoding="utf-8")
    prose = " ".join(_descriptions(json.loads(text))) if page.suffix == ".json" else _CODE.sub("", text)

    assert _REPLACED.findall(prose) == [], f"say: {REPLACED}"


def _descriptions(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (value for key, value in schema.items() if key == "description" and isinstance(value, str))
        for value in schema.values():
            yield from _descriptions(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _descriptions(value)


@pytest.mark.parametrize("module", modules())
def test_a_flag_in_a_sentence_exists(module: str) -> None:
    """What a sentence tells the user to type can be typed."""
    flags = {option.flag for option in OPTIONS if option.flag}
    flags |= {f"--no-{flag.removeprefix('--')}" for flag in flags}
    flags |= {"--quiet", "--verbose", "--status", "--print-job", "--version", "--help"}
    if module == "settings.argument_parser":  # it says what is to be done about flags that do not exist
        flags |= {"--api-key", "--apikey", "--key", "--gemini-api-key", "--google-api-key"}

    if module == "utils.requirements":  # it says how packages are installed
        flags |= {"--upgrade", "--clear"}

    named = {
        (line, flag)
        for line, text in sentences(modules()[module])
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)
        if text != "--no-"
    }

    assert {(line, flag) for line, flag in named if flag not in flags} == set()


@pytest.mark.parametrize("reason", PassedOverReason)
def test_a_reason_for_skipping_is_said_in_words(reason: PassedOverReason) -> None:
    """No name of the code stands in a sentence."""
    codes = {one.value for one in (*PassedOverReason, *ErrorKind, *StopReason) if "_" in one.value}

    assert not any(code in reason.meaning for code in codes)
    assert " " in reason.meaning
