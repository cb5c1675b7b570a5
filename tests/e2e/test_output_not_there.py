"""Rules of an output directory that has lost its answers: said loudly, and nothing is paid for again."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from errors import ExitCode
from tests.crash.launched import Launcher
from tests.crash.launcher import Fault
from tests.emulator import Emulator
from tests.support.cli import Finished, files_below, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

IMAGES = 4


class Share:
    """Photos, an output directory on a share that can be unmounted, and one state directory."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder, self.emulator = folder, emulator
        self.mount, self.away = folder / "mnt", folder / "server"
        self.output = self.mount / "results/captions"
        self.mount.mkdir()
        make_images(folder / "photos", IMAGES)

    async def night(self, *more: str | Path, output: Path | None = None) -> tuple[Finished, int]:
        """Run the program quietly, as cron does; return its end and the number of its calls."""
        before = len(self.emulator.calls)
        done = await run_cli(
            *("--input-dir", self.folder / "photos", "--prompt", "describe", "--quiet"),
            *("--output-dir", output or self.output, "--api-base-url", self.emulator.base_url, *more),
            env={"GEMINI_BATCH_STATE_DIR": str(self.folder / "state")},
        )
        return done, len(self.emulator.calls) - before

    def unmount(self) -> None:
        """Leave the mount point as an empty directory."""
        self.mount.rename(self.away)
        self.mount.mkdir()

    def mount_again(self) -> None:
        """Bring the share back, over whatever was written below the mount point."""
        shutil.rmtree(self.mount)
        self.away.rename(self.mount)


Story = Callable[[Share], Awaitable[None]]


def play(folder: Path, story: Story) -> None:
    """Play a story against one service."""

    async def with_service() -> None:
        async with Emulator() as emulator:
            await story(Share(folder, emulator))

    asyncio.run(with_service())


def leave_nothing(share: Share) -> None:
    """The mount point is empty."""


def leave_folders(share: Share) -> None:
    """Something made the folders, as ``--log-file`` or a script may."""
    (share.output / "successful").mkdir(parents=True)
    (share.output / "batch.log").write_text("night\n")


def leave_empty_files(share: Share) -> None:
    """Files of an earlier version that was refused after it had begun."""
    (share.output / "metadata").mkdir(parents=True)
    (share.output / "metadata/journal.db").touch()
    (share.output / "metadata/results.jsonl").touch()


def leave_one_answer(share: Share) -> None:
    """A night of an earlier version had begun to pay again, on the local disk."""
    old = share.away / "results/captions"
    (share.output / "metadata").mkdir(parents=True)
    line = (old / "metadata/results.jsonl").read_bytes().splitlines(keepends=True)[0]
    (share.output / "metadata/results.jsonl").write_bytes(line)
    shutil.copytree(old / "successful", share.output / "successful")


@pytest.mark.parametrize("leave", [leave_nothing, leave_folders, leave_empty_files, leave_one_answer])
def test_an_unmounted_share_costs_nothing(tmp_path: Path, leave: Callable[[Share], None]) -> None:
    """Also with --quiet: exit code 6, how many answers are missing where, the way out; later all goes on."""

    async def story(share: Share) -> None:
        assert (await share.night())[1] == IMAGES
        share.unmount()
        leave(share)
        left = files_below(share.mount)

        for _ in range(2):
            done, calls = await share.night()
            assert (done.code, calls, done.stdout) == (ExitCode.NO_OUTPUT, 0, "")
            assert f"had {IMAGES} answers for" in done.stderr
            assert str(share.output) in done.stderr
            assert "--new-output" in done.stderr
        if leave is leave_nothing:
            assert files_below(share.mount) == left == set()
            assert list(share.mount.iterdir()) == []

        share.mount_again()
        assert await share.night() == (Finished(code=0, stdout="", stderr=""), 0)

    play(tmp_path, story)


def test_a_link_on_the_share_hides_nothing(tmp_path: Path) -> None:
    """An output directory given by a link whose target is a link on the share is known by both paths."""

    async def story(share: Share) -> None:
        (share.mount / "2026").mkdir()
        (share.mount / "current").symlink_to("2026")
        link = tmp_path / "captions"
        link.symlink_to(share.mount / "current")
        assert (await share.night(output=link))[1] == IMAGES
        share.unmount()

        done, calls = await share.night(output=share.mount / "current")

        assert (done.code, calls) == (ExitCode.DONE, IMAGES), "another path, never used before"
        share.mount_again()
        share.unmount()
        (share.mount / "current").mkdir()
        assert (await share.night(output=link))[0].code == ExitCode.NO_OUTPUT

    play(tmp_path, story)


def test_new_output_begins_anew_once(tmp_path: Path) -> None:
    """It asks about everything again; from then on the new directory is the one that is remembered."""

    async def story(share: Share) -> None:
        await share.night()
        share.unmount()

        assert (await share.night("--new-output"))[1] == IMAGES
        assert (await share.night())[1] == 0
        shutil.rmtree(share.output)
        assert (await share.night())[0].code == ExitCode.NO_OUTPUT

    play(tmp_path, story)


def test_another_directory_is_no_lost_one(tmp_path: Path) -> None:
    """Other photos, or another output directory, have no answers to miss; nor has a failed first night."""

    async def story(share: Share) -> None:
        await share.night()
        assert (await share.night(output=tmp_path / "elsewhere"))[1] == IMAGES
        share.unmount()
        make_images(tmp_path / "others", 2)
        done, calls = await share.night("--input-dir", tmp_path / "others")
        assert (done.code, calls) == (0, 2)

    play(tmp_path, story)


def test_expect_output_needs_no_memory(tmp_path: Path) -> None:
    """With --expect-output an empty directory ends the run also where the state is lost (a container)."""

    async def story(share: Share) -> None:
        await share.night()
        shutil.rmtree(tmp_path / "state")
        assert await share.night("--expect-output") == (Finished(code=0, stdout="", stderr=""), 0)
        share.unmount()
        shutil.rmtree(tmp_path / "state")

        done, calls = await share.night("--expect-output")

        assert (done.code, calls) == (ExitCode.NO_OUTPUT, 0)
        assert "--expect-output is set" in done.stderr
        assert list(share.mount.iterdir()) == []
        assert (await share.night("--expect-output", "--new-output"))[1] == IMAGES

    play(tmp_path, story)


def test_another_set_of_images_under_the_same_path_is_no_loss(tmp_path: Path) -> None:
    """Images that are all newer than the remembered answers never had one: they are asked about."""

    async def story(share: Share) -> None:
        assert (await share.night())[1] == IMAGES
        share.unmount()
        shutil.rmtree(tmp_path / "photos")
        make_images(tmp_path / "photos", IMAGES)

        done, calls = await share.night()

        assert (done.code, calls) == (ExitCode.DONE, IMAGES), done.stderr

    play(tmp_path, story)


def test_a_first_night_that_was_killed_is_remembered(tmp_path: Path) -> None:
    """From the first answer on, not from the run's end."""

    async def story(share: Share) -> None:
        with Launcher() as launcher:
            flags: list[str | Path] = ["--input-dir", tmp_path / "photos", "--prompt", "describe"]
            flags += ["--max-concurrent", "1"]
            flags += ["--output-dir", share.output, "--api-base-url", share.emulator.base_url]
            flags += ["--state-dir", tmp_path / "state"]
            killed = Fault(act="kill", nth=3, at="after storage.journal.writes:write_outcome")
            assert (await launcher.run(*flags, fault=killed)).code < 0
        share.unmount()

        assert (await share.night())[0].code == ExitCode.NO_OUTPUT

    play(tmp_path, story)


def test_a_dry_run_only_warns(tmp_path: Path) -> None:
    """It pays nothing, so it goes on."""

    async def story(share: Share) -> None:
        await share.night()
        share.unmount()

        done, calls = await share.night("--dry-run")

        assert (done.code, calls) == (0, 0)
        assert "is a share or a disk not mounted?" in done.stderr
        assert {path.name for path in share.output.iterdir()} == {"dry-run"}

    play(tmp_path, story)


@pytest.mark.parametrize("leave", [leave_nothing, leave_empty_files])
def test_the_dead_mans_switch_hears_of_it(tmp_path: Path, leave: Callable[[Share], None]) -> None:
    """A night that does not begin is a failure with its code, not silence."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    async def story(share: Share) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hear)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await share.night()
        share.unmount()
        leave(share)
        await share.night("--ping", f"http://127.0.0.1:{runner.addresses[0][1]}/check")
        await runner.cleanup()

    play(tmp_path, story)

    assert heard[-1] == "/check/6"
