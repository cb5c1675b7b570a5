"""``--status`` shows why the last run was stopped, and what follows by now."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.status import StoppedRun, format_status, open_status, read_stopped_run
from errors import ExitCode
from tests.support.journal_harness import START, World, run_info

RESETS_AT = START + timedelta(hours=10)
STOPPED = StoppedRun(
    run_id=run_info(1).run_id,
    detail="the project's quota for the day is used up: HTTP 429: no more",
    remedy="run again after 09:00 on 24 Nov (local time), when the quota of a day resets",
    resets_at=RESETS_AT,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An input directory with an image, and one run that ended with 75."""
    world = World(tmp_path)
    world.put("a.png", b"a")
    end(world, 1, ExitCode.TRY_LATER)
    return world


def end(world: World, number: int, code: ExitCode) -> None:
    """Do a run without any outcome that ends with this code."""
    with world.open(run_info(number)) as journal:
        journal.begin_run()
        journal.end_run(exit_code=code, ended_at=START)


def report(world: World, stopped: StoppedRun | None, now: datetime) -> dict[str, str]:
    """Return the rows of the report by label."""
    with open_status(world.output) as reader:
        text = format_status(reader, output_dir="out", running=None, now=now, stopped=stopped)
    assert max(map(len, text.splitlines())) <= 79
    rows: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        label = line[:13].strip() or label
        rows[label] = f"{rows.get(label, '')} {line[13:].strip()}".strip()
    return rows


def test_before_the_reset_the_advice_of_the_run_holds(world: World) -> None:
    """Why it was stopped and what to do stand there as its document has them."""
    rows = report(world, STOPPED, RESETS_AT - timedelta(minutes=1))

    assert rows["Stopped"] == f"{STOPPED.detail}."
    assert rows["Next"] == f"{STOPPED.remedy}."


def test_after_the_reset_there_is_quota_again(world: World) -> None:
    """The page never advises to wait for a moment that has passed."""
    rows = report(world, STOPPED, RESETS_AT + timedelta(hours=2))

    assert rows["Next"] == (
        "run the same command again: there is quota again since 2026-11-24 08:00 UTC (2 hours ago)."
    )


def test_what_no_clock_decides_stays_as_it_was(world: World) -> None:
    """Credit that is spent is still spent the year after."""
    spent = StoppedRun(run_id=STOPPED.run_id, detail="spent.", remedy="top up", resets_at=None)
    rows = report(world, spent, START + timedelta(days=365))

    assert (rows["Stopped"], rows["Next"]) == ("spent.", "top up.")


def test_the_document_of_another_run_says_nothing(world: World) -> None:
    """A run that was killed later has no document; that of the run before is not taken for its own."""
    end(world, 2, ExitCode.TRY_LATER)
    rows = report(world, STOPPED, START)

    assert "Stopped" not in rows
    assert rows["Next"] == "run the same command again later."


@pytest.mark.parametrize("stopped", [None, STOPPED], ids=["without", "with"])
def test_a_status_without_the_document_says_the_rest(world: World, stopped: StoppedRun | None) -> None:
    """The journal holds how the run ended in any case."""
    assert "exit code 75" in report(world, stopped, START)["Last run"]


# The document


def written(world: World, document: object) -> StoppedRun | None:
    """Return what is read of a document with this content."""
    path = world.output / "metadata" / "processing_stats.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_stopped_run(world.output)


def test_the_document_is_read(world: World) -> None:
    """As the archiver writes it."""
    stopped = {
        "reason": "daily_quota",
        "detail": STOPPED.detail,
        "remedy": STOPPED.remedy,
        "resets_at": "2026-11-24T08:00:00.000Z",
    }

    assert written(world, {"run_id": STOPPED.run_id, "stopped": stopped}) == STOPPED


def test_a_document_of_an_earlier_version_has_no_moment(world: World) -> None:
    """What it says is shown all the same."""
    read = written(world, {"run_id": "r", "stopped": {"detail": "d", "remedy": "x"}})

    assert read == StoppedRun(run_id="r", detail="d", remedy="x", resets_at=None)


@pytest.mark.parametrize(
    "document",
    [
        {"run_id": "r", "stopped": None},
        {"run_id": "r"},
        {"stopped": {"detail": "d", "remedy": "x"}},
        {"run_id": "r", "stopped": {"detail": "d", "remedy": "x", "resets_at": "soon"}},
        {"run_id": "r", "stopped": {"detail": "d", "remedy": "x", "resets_at": 7}},
        {"run_id": "r", "stopped": "yes"},
        [],
        None,
    ],
)
def test_a_document_that_says_nothing_is_passed_over(world: World, document: Any) -> None:
    """A run that was not stopped, or a file that is not ours: no row, no error."""
    assert written(world, document) is None


def test_a_document_that_cannot_be_read_is_passed_over(world: World) -> None:
    """Not there, or cut off in the middle."""
    assert read_stopped_run(world.output) is None

    (world.output / "metadata" / "processing_stats.json").write_bytes(b'{"run_id": "\xff')

    assert read_stopped_run(world.output) is None
