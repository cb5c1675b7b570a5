"""The table in docs/reliability.md: one row for each kind, with the day on which it was played."""

import re
from collections.abc import Mapping
from pathlib import Path

from tests.attack.kinds import KINDS, Kind
from tests.attack.tally import Harm, Tally
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"
COMMAND = "python -m tests.attack --markdown docs/reliability.md"
HEADING = "## What came of it"
_SECTION = re.compile(rf"^{HEADING}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| `(?P<name>[a-z-]+)`[^|]*\|.*$", re.MULTILINE)
_PLURALS = {"batch": "batches", "copy": "copies", "reply": "replies"}


def put_table(page: Path, tallies: Mapping[str, Tally], *, day: str) -> None:
    """Put the rows of these kinds into the page's table; the others keep theirs."""
    text = page.read_text(encoding="utf-8")
    rows = {
        **read_rows(text),
        **{kind.name: format_row(kind, tallies[kind.name], day) for kind in KINDS if kind.name in tallies},
    }
    section = format_section(rows, sorted(set().union(*(tally.not_tried for tally in tallies.values()))))
    if not _SECTION.search(text):
        raise ValueError(f"{page} has no heading {HEADING!r}")
    page.write_text(_SECTION.sub(lambda _: section, text), encoding="utf-8")


def read_rows(text: str) -> dict[str, str]:
    """Return the rows of a page, by the kind's name."""
    found = _SECTION.search(text)
    return {row["name"]: row[0] for row in _ROW.finditer(found[0])} if found else {}


def format_section(rows: Mapping[str, str], not_tried: list[str]) -> str:
    """Return the section with its heading, in Markdown."""
    columns = ["attack", "what is done", "tried", *(harm.value for harm in Harm), "day"]
    lines = [f"| {' | '.join(columns)} |", f"|---|---|---|{'--:|' * len(Harm)}---|"]
    lines += [rows[kind.name] for kind in KINDS if kind.name in rows]
    absent = [f"Not tried on that machine: {'; '.join(not_tried)}.", ""] if not_tried else []
    return "\n".join([HEADING, "", f"Made by `{COMMAND}` (`make attack-test`).", "", *lines, "", *absent, ""])


def format_row(kind: Kind, tally: Tally, day: str) -> str:
    """Return the row of a kind."""
    counts = [count_words(tally.cases, kind.case)]
    counts += [
        f"{number:,} {what}" for what, number in sorted(tally.what.items()) if what in kind.also_counts
    ]
    cells = [f"`{kind.name}`", kind.title, ", ".join(counts), *(str(tally.harms[harm]) for harm in Harm), day]
    return f"| {' | '.join(cells)} |"


def count_words(number: int, thing: str) -> str:
    """Return a number with its thing, in the plural where it is one."""
    return f"{number:,} {thing if number == 1 else _PLURALS.get(thing, f'{thing}s')}"
