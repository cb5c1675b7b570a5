"""Rules of journal and ledger that come from another moment than the tree: nothing proven is bought again."""

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, files_below, run_cli, start
from tests.support.cli_cases import arguments, make_images, text_of, until_calls

pytestmark = pytest.mark.e2e

EARLIER, ALL = 4, 10
JOURNAL = "metadata/journal.db"
LEDGER = "metadata/results.jsonl"
Change = Callable[[Path, Path], None]
"""Gets the output directory and its backup of the first night."""


def older_journal(out: Path, backup: Path) -> None:
    """Restore the journal of the first night."""
    _remove_journal(out)
    shutil.copy2(backup / JOURNAL, out / JOURNAL)


def older_journal_beside_newer_wal(out: Path, backup: Path) -> None:
    """Restore the journal's file and leave side files of a later, killed run where they are."""
    shutil.copy2(backup / JOURNAL, out / JOURNAL)


def no_wal(out: Path, _: Path) -> None:
    """Lose the file in which the last commits are."""
    for suffix in ("-wal", "-shm"):
        (out / f"{JOURNAL}{suffix}").unlink(missing_ok=True)


def no_journal(out: Path, _: Path) -> None:
    """Lose the journal."""
    _remove_journal(out)


def deleted(*tables: str) -> Change:
    """Return a change that deletes half of the rows of these tables by hand."""

    def change(out: Path, _: Path) -> None:
        with closing(sqlite3.connect(out / JOURNAL, isolation_level=None)) as connection:
            for table in tables:
                connection.execute(f"DELETE FROM {table} WHERE key > 'photo' OR key LIKE '%5%'")  # noqa: S608

    return change


def older_ledger(out: Path, backup: Path) -> None:
    """Restore the ledger of the first night."""
    shutil.copy2(backup / LEDGER, out / LEDGER)


def no_ledger(out: Path, _: Path) -> None:
    """Lose the ledger."""
    (out / LEDGER).unlink()


def copied_tree(out: Path, _: Path) -> None:
    """Move everything to another disk: other inodes and times, nothing else."""
    out.rename(out.with_name("aside"))
    shutil.copytree(out.with_name("aside"), out)


def _remove_journal(out: Path) -> None:
    for path in (out / "metadata").glob("journal.db*"):
        path.unlink()


def _nights(
    folder: Path, change: Change, *, then: Change | None = None, kills: bool = False
) -> list[Finished]:
    """Play two nights, the change, a third night, and perhaps another change and a fourth one."""
    out, backup = folder / "out", folder / "backup"
    make_images(folder / "photos", EARLIER)

    async def scenario() -> tuple[list[Finished], int]:
        async with Emulator(latency_s=0.05) as emulator:
            nights = [await run_cli(*arguments(folder, emulator))]
            shutil.copytree(out, backup)
            make_images(folder / "photos", ALL)
            if kills:
                process = await start(*arguments(folder, emulator, "--max-concurrent", "1"))
                await until_calls(emulator, ALL - 1)
                process.send_signal(signal.SIGKILL)
                await process.communicate()
            else:
                nights.append(await run_cli(*arguments(folder, emulator)))
            before = len(emulator.calls)
            for one in filter(None, (change, then)):
                one(out, backup)
                nights.append(await run_cli(*arguments(folder, emulator)))
            return nights, len(emulator.calls) - before

    nights, bought = asyncio.run(scenario())
    assert [night.code for night in nights] == [0] * len(nights), nights[-1].stderr
    # A kill costs the call in flight, and the one whose line was not written yet.
    assert bought <= 2 if kills else bought == 0, nights[-1].stderr
    return nights


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(older_journal, "the journal is older than the ledger", id="older-journal"),
        pytest.param(no_journal, "answers that the journal did not have", id="no-journal"),
        pytest.param(deleted("answers"), "rows of answers were removed", id="answers-deleted"),
        pytest.param(deleted("images"), "", id="images-deleted"),
        pytest.param(
            deleted("answers", "images", "attempts"), "rows of answers were removed", id="rows-deleted"
        ),
        pytest.param(older_ledger, "6 answers that it lacked were added", id="older-ledger"),
        pytest.param(no_ledger, "10 answers that it lacked were added", id="no-ledger"),
        pytest.param(copied_tree, "", id="copied-tree"),
    ],
)
def test_what_is_proven_is_not_bought_again(tmp_path: Path, change: Change, words: str) -> None:
    """0 of 10 are bought again, and the log says what was found."""
    nights = _nights(tmp_path, change)

    assert words in nights[-1].stderr
    if not words:
        assert "adopted" not in nights[-1].stderr


@pytest.mark.parametrize("first", [older_ledger, no_ledger])
def test_a_ledger_that_was_older_proves_everything_again(tmp_path: Path, first: Change) -> None:
    """After the next night the journal may be lost as well."""
    _nights(tmp_path, first, then=no_journal)


@pytest.mark.parametrize("change", [no_wal, older_journal, older_journal_beside_newer_wal])
def test_after_a_kill_the_ledger_knows_what_was_answered(tmp_path: Path, change: Change) -> None:
    """A lost WAL file, or a backup beside it, costs no answer whose files stand."""
    _nights(tmp_path, change, kills=True)

    for key in make_images(tmp_path / "photos", ALL):
        assert text_of(tmp_path / "out", key)


def test_a_dry_run_adopts_for_itself_and_changes_nothing(tmp_path: Path) -> None:
    """It plans as the real run would, and leaves journal and ledger as they are."""
    make_images(tmp_path / "photos", EARLIER)

    async def scenario() -> tuple[Finished, Finished]:
        async with Emulator() as emulator:
            await run_cli(*arguments(tmp_path, emulator))
            older_ledger_bytes = (tmp_path / "out" / LEDGER).read_bytes().splitlines(keepends=True)[:2]
            (tmp_path / "out" / LEDGER).write_bytes(b"".join(older_ledger_bytes))
            before = {name: (tmp_path / "out" / name).read_bytes() for name in (JOURNAL, LEDGER)}
            dry = await run_cli(*arguments(tmp_path, emulator, "--dry-run"))
            assert before == {name: (tmp_path / "out" / name).read_bytes() for name in before}
            return dry, await run_cli(*arguments(tmp_path, emulator))

    dry, real = asyncio.run(scenario())

    assert (dry.code, real.code) == (0, 0)
    assert "added" not in dry.stderr
    assert "2 answers that it lacked were added" in real.stderr
    assert not [name for name in files_below(tmp_path / "out") if name.startswith("metadata/history/")]
