"""``--status`` reports the state of the work after any history, and changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.status import RunningProcess, format_status, open_status
from errors import ErrorKind, ExitCode, UsageError
from models import Usage
from storage.journal.journal import Journal
from storage.journal.plan import Selection
from storage.output.folders import JOURNAL
from tests.support.journal_harness import (
    START,
    World,
    an_attempt,
    deferred,
    failed,
    run_info,
    sha256_of,
)

NOW = START + timedelta(days=3, hours=2)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An input directory with four images."""
    world = World(tmp_path)
    for name in ("a.png", "b.png", "c.png", "d.png"):
        world.put(name, name.encode())
    return world


def status(
    world: World, running: RunningProcess | None = None, *, now: datetime = NOW, name: str = "out"
) -> str:
    """Return the report on the world's output directory."""
    with open_status(world.output) as reader:
        return format_status(reader, output_dir=name, running=running, now=now)


def lock_holder(number: int) -> RunningProcess:
    """Return the process that does the run of this number."""
    return RunningProcess(pid=4711, host="nightbox", started_at=run_info(number).started_at)


def row(text: str, label: str) -> str:
    """Return what stands beside a label, on one line."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(label))
    more = next(
        (n for n, line in enumerate(lines[at + 1 :], at + 1) if not line.startswith(" " * 13)), len(lines)
    )
    return " ".join(" ".join(lines[at:more]).removeprefix(label).split())


def begin_run(world: World, number: int = 1, *, dry_run: bool = False) -> Journal:
    """Begin a run and make its plan."""
    world.runs_played = number
    journal = world.open(run_info(number, dry_run=dry_run))
    journal.begin_run()
    journal.plan(
        world.find_images(), selection=Selection(), hash_file=lambda path: sha256_of(path.read_bytes())
    )
    return journal


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file with its bytes and its time, and every folder with its own."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def test_the_whole_page(world: World) -> None:
    """After a run with an answer, failures and a deferred image, the page shows all of them."""
    world.endings = {"b.png": ErrorKind.TIMEOUT, "c.png": ErrorKind.PROHIBITED, "d.png": "deferred"}
    world.play_run()

    assert status(world, name="results").splitlines() == [
        "Output       results",
        "Running      no",
        "      1  answered",
        "      2  failed",
        "      1  deferred: the next run asks about them",
        "Deferred because",
        "      1  the service was unavailable",
        "Failures",
        "      1  prohibited: Google's rules forbid this content. Leave this image out;",
        "         another prompt will not help.",
        "      1  timeout: The answer did not come within the time allowed. Run the same",
        "         command again with --timeout 600, or with fewer calls at once",
        "         (--max-concurrent).",
        "Left to do   1 of the 4 that the newest run set out to ask about",
        "Calls        4 in all, 4 in the newest run",
        "Tokens in    1,120 in all, 1,120 in the newest run",
        "Tokens out   10 in all, 10 in the newest run",
        "Last run     ended 2026-11-23 22:00 UTC (3 days ago), exit code 0: everything",
        "             done, or nothing to do",
        "Next         run the same command again to go on.",
    ]


def test_a_tree_without_a_journal_is_a_usage_error(tmp_path: Path) -> None:
    """Where no run has been, that is said, and nothing is created."""
    with pytest.raises(UsageError, match="no run has used this output directory"):
        open_status(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_touched_at_rest(world: World) -> None:
    """A look at a directory that no run holds changes no byte, no time and no name in it."""
    world.play_run()
    before = contents(world.output)

    status(world)

    assert contents(world.output) == before
    assert not list(world.output.rglob("journal.db-*"))


@pytest.mark.parametrize("is_killed", [False, True], ids=["going-on", "killed"])
def test_nothing_but_side_files_is_touched_beside_a_run(world: World, *, is_killed: bool) -> None:
    """While a run goes on, or after it was killed, only SQLite's shared memory may be touched."""
    with begin_run(world) as journal:
        world.finish(journal, run_info(), world.succeeded(next(world.find_images())))
        if is_killed:
            world = copy_killed_run(world)
        before = contents(world.output)

        text = status(world)

        after = contents(world.output)
        shared = f"{JOURNAL}-shm"
        assert {name: before[name] for name in before if name != shared} == {
            name: after[name] for name in after if name != shared
        }
        assert row(text, "Left to do").startswith("3 of the 4")


def copy_killed_run(world: World) -> World:
    """Return a world whose files are as a killed run leaves them: not open in any process."""
    folder = world.output.parent / "dead"
    folder.mkdir()
    dead = World(folder)
    for path in (path for path in world.output.rglob("*") if path.is_file()):
        target = dead.output / path.relative_to(world.output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return dead


def test_beside_a_run_that_goes_on(world: World) -> None:
    """The holder is named, what it has done so far is subtracted, and the last run is the one before."""
    world.play_run()
    world.put("e.png", b"e")
    world.put("f.png", b"f")
    with begin_run(world, 2) as journal:
        jobs = list(journal.jobs())
        world.finish(journal, run_info(2), world.succeeded(jobs[0]))

        text = status(world, lock_holder(2))

    assert row(text, "Running") == "yes: process 4711 on nightbox, since 2026-11-25 22:00 UTC (1 day ago)"
    assert "      5  answered" in text
    assert row(text, "Left to do") == "1 of the 2 that the newest run set out to ask about"
    assert row(text, "Calls") == "5 in all, 1 in the newest run"
    assert row(text, "Last run").startswith("ended 2026-11-23 22:00 UTC")
    assert row(text, "Next") == "wait; a second run here would ask nothing."


def test_a_journal_that_is_open_for_writing_tells_the_same(world: World) -> None:
    """The run itself can print its status (SIGUSR1) from the journal that it writes."""
    with begin_run(world) as journal:
        own = format_status(journal, output_dir="out", running=lock_holder(1), now=NOW)

        assert own == status(world, lock_holder(1))


def test_copies_are_not_mistaken_for_progress(world: World) -> None:
    """Answers put in place under new names were never to do, so that they shorten nothing."""
    world.play_run()
    for name in ("a.png", "b.png", "c.png"):
        (world.images / name).rename(world.images / f"new-{name}")
    world.put("e.png", b"e")
    with begin_run(world, 2) as journal:
        for job, answer in journal.copies():
            world.copy(journal, run_info(2), job, answer)

        text = status(world, lock_holder(2))

    assert row(text, "Left to do").startswith("1 of the 1 ")


def test_a_clock_that_was_set_back_hides_no_progress(world: World) -> None:
    """An image that was asked about counts as done even when the clock says that it was before the run."""
    with begin_run(world) as journal:
        world.runs_played = 0
        world.finish(journal, run_info(), world.succeeded(next(world.find_images())))

        assert row(status(world, lock_holder(1)), "Left to do").startswith("3 of the 4 ")


def test_beside_a_run_on_a_drive_without_wal(world: World) -> None:
    """Where the journal has no WAL, a reader still sees what the run writes while it looks."""
    with begin_run(world) as journal:
        journal._connection.execute("PRAGMA journal_mode = DELETE")
        with open_status(world.output) as reader:
            for done, job in enumerate(world.find_images()):
                text = format_status(reader, output_dir="out", running=lock_holder(1), now=NOW)
                assert row(text, "Left to do").startswith(f"{4 - done} of the 4 ")
                world.finish(journal, run_info(), world.succeeded(job))


def test_a_run_that_was_killed(world: World) -> None:
    """A run without an end whose lock is free was cut off; what it left is what is left."""
    with begin_run(world) as journal:
        world.finish(journal, run_info(), world.succeeded(next(world.find_images())))

    text = status(world)

    assert row(text, "Running") == "no"
    assert row(text, "Left to do").startswith("3 of the 4 ")
    assert row(text, "Last run") == (
        "cut off (killed, or the power failed); it began 2026-11-24 22:00 UTC (2 days ago)"
    )
    assert row(text, "Next").startswith("run the same command again: it goes on")


def test_a_run_that_has_only_just_begun(world: World) -> None:
    """Before the run stands in the journal, the last run's numbers are not passed off as its own."""
    world.play_run()

    text = status(world, lock_holder(2))

    assert row(text, "Left to do") == "not known yet: the run has only just begun"
    assert row(text, "Last run").startswith("ended")


def test_a_killed_run_is_not_taken_for_the_one_that_begins(world: World) -> None:
    """A run without an end that began before the holder did is known to be dead."""
    with begin_run(world):
        pass

    text = status(world, lock_holder(2))

    assert row(text, "Left to do") == "not known yet: the run has only just begun"
    assert row(text, "Last run").startswith("cut off")


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (lock_holder(1), "not known yet: the run is still looking at the images"),
        (None, "not known: the newest run ended before it had looked at all images"),
    ],
    ids=["going-on", "killed"],
)
def test_before_the_plan_is_made(world: World, running: RunningProcess | None, expected: str) -> None:
    """Nothing is guessed while the images are not yet counted, nor when they never were."""
    with world.open(run_info()) as journal:
        journal.begin_run()

        assert row(status(world, running), "Left to do") == expected


def test_a_journal_without_a_run(world: World) -> None:
    """A run that was killed before it had a name leaves a journal that says little, and no error."""
    world.open(run_info()).close()

    text = status(world)

    assert row(text, "Left to do") == "not known: no run has begun here"
    assert (row(text, "Last run"), row(text, "Next")) == ("none", "run the command.")


def test_only_dry_runs(world: World) -> None:
    """Simulated answers are counted as such, and the next step is a real run."""
    world.play_run(dry_run=True)

    text = status(world)

    assert row(text, "[DRY RUN]").startswith("Only dry runs have used this directory: nothing was asked")
    assert "      4  answered" in text
    assert "Calls" not in text
    assert row(text, "Next") == "run the command without --dry-run."


def test_a_dry_run_does_not_hide_real_answers(world: World) -> None:
    """Real answers taken over into a fresh journal are real, though only a dry run stands in it."""
    world.play_run()
    world.journal_path.unlink()
    world.play_run(dry_run=True)

    text = status(world)

    assert "DRY RUN" not in text
    assert "      4  answered" in text


def test_a_dry_run_in_a_real_tree_changes_no_number(world: World) -> None:
    """Beside real answers a dry run is only named while it is going on."""
    world.endings = {"d.png": "deferred"}
    world.play_run()
    before = status(world)
    world.play_run(dry_run=True)

    assert status(world) == before
    with begin_run(world, 3, dry_run=True):
        text = status(world, lock_holder(3))
    assert row(text, "Running").startswith("yes: a dry run, process 4711")
    assert row(text, "Left to do").startswith("1 of the 4 ")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ExitCode.DONE, "nothing; every image of the last run is answered."),
        (ExitCode.UNEXPECTED, "see what its last line or its log says, then run the same command again."),
        (ExitCode.USAGE, "correct the flag, the variable or the model's name, then run again."),
        (ExitCode.KEY_REFUSED, "check the key, its permissions and its project's billing, then run again."),
        (ExitCode.BUDGET, "run the same command again to go on, with a larger cap to get further."),
        (ExitCode.TRY_LATER, "run the same command again later."),
        (99, "nothing; every image of the last run is answered."),
    ],
)
def test_the_next_step_follows_from_the_exit_code(world: World, code: int, expected: str) -> None:
    """The page shows how the last run ended, by number and text, and the next step that follows."""
    with begin_run(world) as journal:
        for job in journal.jobs():
            world.finish(journal, run_info(), world.succeeded(job))
        journal.end_run(exit_code=code, ended_at=NOW)

    text = status(world)

    meaning = ExitCode(code).meaning if code in set(ExitCode) else "unknown"
    assert row(text, "Last run") == f"ended 2026-11-27 00:00 UTC (just now), exit code {code}: {meaning}"
    assert row(text, "Next") == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["deferred", ErrorKind.BLOCKED], "run the same command again to go on."),
        ([ErrorKind.NETWORK, ErrorKind.SERVER], "run the same command again."),
        ([ErrorKind.TIMEOUT, ErrorKind.SERVER], "run the same command again with --timeout 600."),
        (
            [ErrorKind.TIMEOUT, ErrorKind.PROHIBITED, ErrorKind.BLOCKED],
            (
                "run the same command again with --only blocked,timeout --enable-prompt-optimization"
                " --timeout 600; for the others see the report of each image in out/failed."
            ),
        ),
        (
            [ErrorKind.INVALID_REQUEST, ErrorKind.PROHIBITED],
            "see the report of each image in out/failed, and do what it says.",
        ),
    ],
    ids=["deferred", "transient", "slow", "curable", "incurable"],
)
def test_the_next_step_follows_from_the_images(
    world: World, verdicts: list[ErrorKind | str], expected: str
) -> None:
    """Where the exit code leaves it open, what became of the images decides, and what a flag is worth."""
    world.endings = dict(zip(("a.png", "b.png", "c.png"), verdicts, strict=False))
    world.play_run()

    assert row(status(world), "Next") == expected


def test_what_was_put_off_is_not_forgotten(world: World) -> None:
    """A later run for other images leaves nothing of its own to do, and yet there is something left."""
    world.endings = {"a.png": "deferred"}
    world.play_run()
    world.play_run(selection=Selection(only=frozenset({ErrorKind.TIMEOUT})))

    text = status(world)

    assert row(text, "Left to do").startswith("0 of the 0 ")
    assert row(text, "Next") == "run the same command again to go on."


def test_all_calls_are_counted(world: World) -> None:
    """Calls that failed and calls of earlier runs were made too, with what they were billed for."""
    world.play_run()
    with begin_run(world, 2) as journal:
        job = next(world.find_images())
        costly = replace(an_attempt(kind=ErrorKind.TRUNCATED), usage=Usage(input_tokens=9, output_tokens=8))
        journal.record_one(replace(failed(job, ErrorKind.TRUNCATED), attempts=(costly,)), (), finished_at=NOW)
        journal.record_one(
            deferred(job, attempts=(an_attempt(2, kind=ErrorKind.SERVER),)), (), finished_at=NOW
        )

    text = status(world)

    assert row(text, "Calls") == "6 in all, 2 in the newest run"
    assert row(text, "Tokens in") == "4,489 in all, 9 in the newest run"
    assert row(text, "Tokens out") == "48 in all, 8 in the newest run"


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=-600), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=119), "1 hour ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(days=1234), "1,234 days ago"),
    ],
    ids=str,
)
def test_how_long_ago(world: World, ago: timedelta, expected: str) -> None:
    """Times are shown in UTC and by their age, which a clock that was set back makes no nonsense of."""
    world.play_run()

    assert f"2026-11-23 22:00 UTC ({expected})" in row(status(world, now=START + ago), "Last run")


def test_nothing_in_it_commands_a_terminal(world: World) -> None:
    """Names from outside are spelt out where they hold control characters, and no line is too long."""
    world.endings = {"b.png": ErrorKind.TIMEOUT, "c.png": "deferred"}
    world.play_run()
    running = RunningProcess(pid=1, host="evil\nLeft to do 0\x1b[2J", started_at=NOW.astimezone(UTC))

    text = status(world, running, name="two words\r\x9b1m")

    assert text.count("Left to do") == 2
    assert text.replace("\n", "").isprintable()
    assert text.endswith(".\n")
    assert max(map(len, text.splitlines())) <= 79


def test_a_long_path_stays_whole(world: World) -> None:
    """A path is there to be copied, so that it alone may be longer than a line."""
    world.play_run()
    path = "/" + "long/" * 40

    assert path in status(world, name=path).splitlines()[1]
