"""Rules of a repeated command: it sends exactly the images that are not answered yet."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.crash.checks import count_calls_by_image
from tests.crash.launched import Launcher
from tests.crash.launcher import Fault
from tests.crash.points import KILLED, PICTURE_MODEL
from tests.emulator import Emulator, FaultPlan
from tests.emulator import Fault as Wrong
from tests.support.cli import Finished, document, files_below
from tests.support.cli_cases import make_images, text_of

pytestmark = pytest.mark.e2e

IMAGES = 10
CONCURRENT = 3
NO_PLAN = FaultPlan()


class Nights:
    """One directory of photos, one output directory, and runs over them."""

    def __init__(self, folder: Path, emulator: Emulator, launcher: Launcher) -> None:
        self.photos, self.output = folder / "photos", folder / "out"
        self.hashes = make_images(self.photos, IMAGES)
        self.emulator = emulator
        self._launcher = launcher

    async def run(self, *more: str, prompt: str = "describe", fault: Fault | None = None) -> Finished:
        """Run the same command again."""
        return await self._launcher.run(
            *("--input-dir", self.photos, "--output-dir", self.output, "--prompt", prompt),
            *("--api-base-url", self.emulator.base_url, "--max-concurrent", str(CONCURRENT)),
            *("--max-retries", "0", *more),
            fault=fault or Fault(),
        )

    async def calls(self, *more: str, code: int = 0, prompt: str = "describe") -> list[str]:
        """Run once more; return the images that were sent."""
        before = len(self.emulator.calls)
        done = await self.run(*more, prompt=prompt)
        assert done.code == code, done.stderr
        return [call.image_sha256 for call in self.emulator.calls[before:]]

    def put(self, key: str, colour: tuple[int, int, int]) -> str:
        """Write an image; return its hash."""
        Image.new("RGB", (16, 16), colour).save(self.photos / key)
        return hashlib.sha256((self.photos / key).read_bytes()).hexdigest()

    def names(self, key: str, sha256: str) -> bool:
        """Return whether the current answer of an image is about these bytes."""
        return sha256 in text_of(self.output, key)


Story = Callable[[Nights], Awaitable[None]]
Player = Callable[..., None]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launcher of the program, for all tests of this file."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def play(launcher: Launcher, tmp_path: Path) -> Player:
    """Function that plays a test's runs against one emulator."""

    async def nights(story: Story, plan: FaultPlan) -> None:
        async with Emulator(plan=plan) as emulator:
            await story(Nights(tmp_path, emulator, launcher))

    return lambda story, plan=NO_PLAN: asyncio.run(nights(story, plan))


def test_killed_midway_only_calls_in_flight_are_made_again(play: Player) -> None:
    """Killed when half is recorded: in all at most ``images + --max-concurrent`` calls."""

    async def story(nights: Nights) -> None:
        fault = Fault(act="kill", nth=IMAGES // 2, at="after storage.journal.writes:write_outcome")
        assert (await nights.run(fault=fault)).code == KILLED
        await nights.calls()
        assert IMAGES <= count_calls_by_image(nights.emulator).total() <= IMAGES + CONCURRENT
        assert len(files_below(nights.output / "successful")) == IMAGES

    play(story)


@pytest.mark.parametrize("key", ["zzz.png", "000.png"], ids=["at the end", "sorted first"])
def test_one_more_image_is_one_more_call(play: Player, key: str) -> None:
    """+1 image in any position: exactly one call, for that image."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        new = nights.put(key, (1, 2, 3))
        assert await nights.calls() == [new]
        assert nights.names(key, new)

    play(story)


def test_changed_bytes_under_the_same_name_are_asked_about_once(play: Player) -> None:
    """Other content, same name: one call, the new answer in place, the earlier one in the history."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        earlier = text_of(nights.output, "photo000.png")
        new = nights.put("photo000.png", (9, 9, 9))
        assert await nights.calls() == [new]
        assert nights.names("photo000.png", new)
        history = nights.output / "metadata" / "history"
        assert [(history / name).read_text() for name in files_below(history)] == [earlier]
        assert await nights.calls() == []

    play(story)


def test_nothing_new_is_no_call_and_one_line(play: Player) -> None:
    """The same again: no call, exit code 0, and the last line says that there was nothing new."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        before = len(nights.emulator.requests)
        done = await nights.run()
        assert (done.code, len(nights.emulator.requests)) == (0, before)
        assert done.stderr.splitlines()[-1].startswith("Nothing new: 10 images")

    play(story)


def test_a_touched_file_costs_nothing(play: Player) -> None:
    """Another time on the same bytes: no call, in that run and the next."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        for key in nights.hashes:
            os.utime(nights.photos / key, (1_900_000_000, 1_900_000_000))
        assert await nights.calls() == []
        assert await nights.calls() == []

    play(story)


@pytest.mark.parametrize("how", ["renamed", "moved", "copied", "swapped"])
def test_known_bytes_under_another_name_cost_nothing(play: Player, how: str) -> None:
    """Renamed, moved, copied or swapped: no call, and the answer is copied to the new name."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        old, other = nights.photos / "photo000.png", nights.photos / "photo003.png"
        if how == "swapped":
            aside = old.rename(nights.photos / "aside")
            other.rename(old)
            aside.rename(other)
            expected = {"photo000.png": nights.hashes["photo003.png"]}
            expected["photo003.png"] = nights.hashes["photo000.png"]
        else:
            key = {"renamed": "new.png", "moved": "album/photo000.png", "copied": "copy.png"}[how]
            (nights.photos / key).parent.mkdir(exist_ok=True)
            (shutil.copy if how == "copied" else shutil.move)(old, nights.photos / key)
            expected = {key: nights.hashes["photo000.png"]}
        assert await nights.calls() == []
        assert all(nights.names(key, sha256) for key, sha256 in expected.items())
        assert await nights.calls() == []

    play(story)


@pytest.mark.parametrize("changed", ["prompt", "model"])
def test_other_settings_ask_again_and_keep_the_earlier_answers(play: Player, changed: str) -> None:
    """Another prompt or model: all sent once; the earlier answers go to the history and are copied later."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        first = {key: text_of(nights.output, key) for key in nights.hashes}
        prompt = "list colours" if changed == "prompt" else "describe"
        more = ("--model", PICTURE_MODEL) if changed == "model" else ()
        assert sorted(await nights.calls(*more, prompt=prompt)) == sorted(nights.hashes.values())
        history = nights.output / "metadata" / "history"
        kept = {path.name: path.read_text() for path in history.rglob("*.txt")}
        assert kept == {f"{Path(key).name}_result.txt": text for key, text in first.items()}
        assert await nights.calls() == []
        assert {key: text_of(nights.output, key) for key in nights.hashes} == first

    play(story)


def test_a_bad_item_is_told_every_night_and_paid_for_once(play: Player, tmp_path: Path) -> None:
    """A permanent failure: exit code 3 and one call; the next run makes none, and still reports it."""
    bad = make_images(tmp_path / "photos", IMAGES)["photo003.png"]
    plan = FaultPlan(per_image={bad: [Wrong.INVALID_ARGUMENT] * 9})

    async def story(nights: Nights) -> None:
        assert (await nights.calls(code=3)).count(bad) == 1
        done = await nights.run()
        assert "failed in an earlier run" in done.stdout
        assert count_calls_by_image(nights.emulator)[bad] == 1
        assert document(nights.output, "error_analysis.json")["failures"][0]["key"] == "photo003.png"

    play(story, plan)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(Wrong.UNAVAILABLE, 75), (Wrong.INTERNAL, 3), (Wrong.RESET, 3)],
    ids=["deferred", "server", "network"],
)
def test_what_a_night_may_cure_is_asked_again(play: Player, tmp_path: Path, wrong: Wrong, code: int) -> None:
    """Deferred images and transient failures: the next run sends these, and no others."""
    unlucky = make_images(tmp_path / "photos", IMAGES)["photo003.png"]
    plan = FaultPlan(per_image={unlucky: [wrong]})

    async def story(nights: Nights) -> None:
        await nights.calls(code=code)
        assert await nights.calls() == [unlucky]
        assert not files_below(nights.output / "failed")
        assert await nights.calls() == []

    play(story, plan)


def test_a_result_that_was_deleted_is_asked_for_again(play: Player) -> None:
    """A result that was deleted: one call, and it exists again."""

    async def story(nights: Nights) -> None:
        await nights.calls()
        (nights.output / "successful" / "photo000.png_result.txt").unlink()
        assert await nights.calls() == [nights.hashes["photo000.png"]]

    play(story)
