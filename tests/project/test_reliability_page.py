"""Rules of docs/reliability.md: its table is made by the command, and shows a full run without harm."""

import re
import shutil
from pathlib import Path

import pytest

from tests.attack import __main__ as attack
from tests.attack.kinds import KINDS
from tests.attack.page import COMMAND, PAGE, put_table, read_rows
from tests.attack.tally import Harm, Tally
from tests.support.paths import ROOT

FULL_SCALE = {
    "kills": 178,
    "live-copies": 140,
    "corruptions": 500,
    "mutated-replies": 12_000,
    "mutated-images": 2_400,
    "hostile-replies": 118,
    "caps": 200,
    "names": 65,
    "key-hunts": 12,
}
"""The least number of cases at full scale."""


def _counts(row: str) -> list[str]:
    """Return the cells of a row behind the one of what was tried."""
    return [cell.strip() for cell in row.strip("|").split("|")][3:-1]


def test_the_page_has_a_row_for_each_kind_in_their_order() -> None:
    """A new kind is not left out of the table."""
    assert list(read_rows(PAGE.read_text(encoding="utf-8"))) == [kind.name for kind in KINDS]


def test_the_page_shows_at_least_the_numbers_of_a_full_run_and_no_harm() -> None:
    """Figures of a small run, or of one that found harm, do not stand in the page."""
    for name, row in read_rows(PAGE.read_text(encoding="utf-8")).items():
        tried = row.split("|")[3]
        number = int(re.findall(r"[\d,]+", tried)[0].replace(",", ""))

        assert number >= FULL_SCALE.get(name, 1), name
        assert _counts(row) == ["0"] * len(Harm), name
        assert re.search(r"\| 20\d\d-\d\d-\d\d \|$", row), name


def test_the_page_names_the_command_that_makes_it() -> None:
    """And the Makefile has its target, and the README leads to the page."""
    assert f"`{COMMAND}`" in PAGE.read_text(encoding="utf-8")
    assert re.search(
        r"^attack-test:.*\n\t@\$\(IN_VENV\) -m tests.attack$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert "docs/reliability.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_is_made_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is replaced by the command; the others, and the words around, stay."""
    page = tmp_path / "page.md"
    shutil.copy(PAGE, page)
    before = page.read_text(encoding="utf-8")
    words = [
        "tests.attack",
        "--only",
        "settings",
        "--rounds",
        "1",
        "--parallel",
        "1",
        "--markdown",
        str(page),
    ]
    monkeypatch.setattr("sys.argv", words)

    assert attack.main() == 0

    after = page.read_text(encoding="utf-8")
    changed = {name for name, row in read_rows(after).items() if row != read_rows(before)[name]}
    assert changed == {"settings"}
    assert before.partition("\n## What came of it")[0] == after.partition("\n## What came of it")[0]
    assert before.partition("\n## What is not tried")[2] == after.partition("\n## What is not tried")[2]


def test_the_table_is_the_same_when_it_is_put_twice(tmp_path: Path) -> None:
    """Nothing grows with each run."""
    page = tmp_path / "page.md"
    shutil.copy(PAGE, page)
    tallies = {"names": Tally(batches=1, cases=1_234, not_tried={"a disk"})}

    put_table(page, tallies, day="2026-12-01")
    once = page.read_text(encoding="utf-8")
    put_table(page, tallies, day="2026-12-01")

    assert page.read_text(encoding="utf-8") == once
    assert "| 1,234 names | 0 |" in once
    assert "Not tried on that machine: a disk." in once
