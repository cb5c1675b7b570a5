"""Rules of dry runs beside real ones: they know what is answered, and leave no trace among results."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, files_below, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e


async def run(folder: Path, url: str, *more: str, key: str | None = "test-key") -> Finished:
    """Run the program once over the folder's photos."""
    return await run_cli(
        *("--input-dir", folder / "photos", "--prompt", "describe", "--output-dir", folder / "out"),
        *("--api-base-url", url, *more),
        key=key,
    )


def real_files(out: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file outside the folder of dry runs, with its bytes and its time."""
    names = (name for name in files_below(out) if not name.startswith("dry-run/"))
    return {name: ((out / name).read_bytes(), (out / name).stat().st_mtime_ns) for name in names}


def test_a_dry_run_tells_what_is_left_and_touches_nothing(tmp_path: Path) -> None:
    """With four of six images answered it plans two, and every file of the real runs stays as it was."""
    make_images(tmp_path / "photos", 4)

    async def scenario() -> tuple[dict[str, tuple[bytes, int]], Finished]:
        async with Emulator() as emulator:
            await run(tmp_path, emulator.base_url)
            make_images(tmp_path / "photos", 6)
            before = real_files(tmp_path / "out")
            done = await run(tmp_path, emulator.base_url, "--dry-run", key=None)
            assert len(emulator.calls) == 4
            return before, done

    before, done = asyncio.run(scenario())

    assert "6 images in" in done.stderr
    assert "2 to ask" in done.stderr
    assert "4 answered already" in done.stderr
    assert real_files(tmp_path / "out") == before
    assert len(files_below(tmp_path / "out/dry-run/successful")) == 2
    assert str(tmp_path / "out/dry-run/successful") in "".join(done.stdout.split())


@pytest.mark.parametrize("damage", ["journal gone", "journal damaged"])
def test_a_dry_run_without_a_sound_journal_reads_the_ledger(tmp_path: Path, damage: str) -> None:
    """It still knows what is answered, and mends nothing: that is left to the next real run."""
    make_images(tmp_path / "photos", 3)
    journal = tmp_path / "out/metadata/journal.db"

    async def scenario() -> tuple[dict[str, tuple[bytes, int]], Finished]:
        async with Emulator() as emulator:
            await run(tmp_path, emulator.base_url)
            if damage == "journal gone":
                journal.unlink()
            else:
                os.truncate(journal, journal.stat().st_size // 2)
            before = real_files(tmp_path / "out")
            return before, await run(tmp_path, emulator.base_url, "--dry-run", key=None)

    before, done = asyncio.run(scenario())

    assert "0 to ask" in done.stderr
    assert real_files(tmp_path / "out") == before


def test_the_state_of_dry_runs_alone_is_told_as_such(tmp_path: Path) -> None:
    """``--status`` finds them below dry-run/, and a real run afterwards asks about everything."""
    make_images(tmp_path / "photos", 3)

    async def scenario() -> tuple[Finished, Finished, int]:
        async with Emulator() as emulator:
            await run(tmp_path, emulator.base_url, "--dry-run", key=None)
            dry = await run_cli("--status", "--output-dir", tmp_path / "out")
            await run(tmp_path, emulator.base_url)
            return dry, await run_cli("--status", "--output-dir", tmp_path / "out"), len(emulator.calls)

    dry, real, calls = asyncio.run(scenario())

    assert "Only dry runs have used this directory" in dry.stdout
    assert calls == 3
    assert "DRY RUN" not in real.stdout
    assert not any("DRY RUN" in path.read_text() for path in (tmp_path / "out/successful").rglob("*.txt"))


def test_every_run_keeps_its_own_figures(tmp_path: Path) -> None:
    """An empty run at noon erases nothing of the night's: each has its document below runs/."""
    make_images(tmp_path / "photos", 3)

    async def scenario() -> None:
        async with Emulator() as emulator:
            for _ in range(2):
                assert (await run(tmp_path, emulator.base_url)).code == 0

    asyncio.run(scenario())

    folder = tmp_path / "out/metadata/runs"
    in_order = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    night, noon = (document(tmp_path / "out", f"runs/{path.name}") for path in in_order)
    assert (night["requests"]["total"], noon["requests"]["total"]) == (3, 0)
    assert document(tmp_path / "out", "processing_stats.json") == noon
