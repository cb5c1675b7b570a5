"""Rules of the real program's selection: what is not selected is neither asked, done nor failed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e


def run_each(folder: Path, *commands: Sequence[str | Path]) -> tuple[list[Finished], list[int]]:
    """Run the program with each of these flags; return the runs and the calls of each."""

    async def scenario() -> tuple[list[Finished], list[int]]:
        runs, calls = [], []
        async with Emulator() as emulator:
            for flags in commands:
                before = emulator.log.arrived
                common = (
                    "--input-dir",
                    folder / "photos",
                    "--output-dir",
                    folder / "out",
                    "--prompt",
                    "Describe",
                )
                runs.append(await run_cli(*common, "--api-base-url", emulator.base_url, *flags))
                calls.append(emulator.log.arrived - before)
        return runs, calls

    return asyncio.run(scenario())


def test_a_try_on_a_sample_is_part_of_the_whole(tmp_path: Path) -> None:
    """What the sample answered is not paid again; what was left out is told as such."""
    make_images(tmp_path / "photos", 30)

    runs, calls = run_each(tmp_path, ["--sample", "5"], ["--sample", "5"], ["--limit", "4"], [])

    assert [done.code for done in runs] == [0, 0, 0, 0]
    assert calls[:2] == [5, 0]
    assert sum(calls) == 30
    assert "25  not selected, left alone" in runs[0].stdout
    accounting = document(tmp_path / "out", "processing_stats.json")["accounting"]
    assert accounting["not_selected"] == 0


def test_a_listed_file_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """The others are answered, and the accounting adds up."""
    names = sorted(make_images(tmp_path / "photos", 6))
    (tmp_path / "list.txt").write_text(f"{names[0]}\ngone.jpg\n{names[1]}\n", encoding="utf-8")

    runs, calls = run_each(tmp_path, ["--input-list", tmp_path / "list.txt"])

    assert (runs[0].code, calls) == (0, [2])
    accounting = document(tmp_path / "out", "processing_stats.json")["accounting"]
    assert accounting["not_selected"] == 4
    assert accounting["files_seen"] == accounting["passed_over"] + accounting["found"]
    assert accounting["passed_over"] == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--include", "/"], "--include: '/' is no pattern"),
        (["--input-list", "none.txt"], "none.txt cannot be read"),
        (["-0"], "--null must be used together with --input-list"),
        (["--newer-than", "soon"], "--newer-than must be a duration"),
        (["--sample", "0"], "--sample must be a whole number"),
    ],
)
def test_a_wrong_selection_ends_with_2_before_any_call(
    tmp_path: Path, flags: list[str], expected: str
) -> None:
    """One sentence, no traceback, nothing asked."""
    make_images(tmp_path / "photos", 2)

    runs, calls = run_each(tmp_path, flags)

    assert (runs[0].code, calls) == (2, [0])
    assert expected in runs[0].stderr
    assert "Traceback" not in runs[0].stderr
