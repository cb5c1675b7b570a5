"""What the program advises, typed as it stands: it asks about the images that it is about."""

import asyncio
import json
import re
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from errors import WORTH_RETRYING_LATER, ErrorKind
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import KEY, MAIN, Finished, environment, finish
from tests.support.cli_cases import PROMPT, make_images

pytestmark = pytest.mark.e2e

TEXT_MODEL, PICTURE_MODEL = "gemini-3.5-flash-lite", "gemini-nano-banana-2.1"
_FAULTS = {
    ErrorKind.SERVER: Fault.INTERNAL,
    ErrorKind.NETWORK: Fault.OK_BROKEN_JSON,
    ErrorKind.TIMEOUT: Fault.REQUEST_TIMEOUT,
    ErrorKind.BLOCKED: Fault.IMAGE_SAFETY,
    ErrorKind.RECITATION: Fault.IMAGE_RECITATION,
    ErrorKind.TRUNCATED: Fault.MAX_TOKENS_PARTIAL,
    ErrorKind.EMPTY: Fault.STOP_NO_PARTS,
    ErrorKind.MALFORMED: Fault.MALFORMED_RESPONSE,
    ErrorKind.PROHIBITED: Fault.PROHIBITED_CONTENT,
    ErrorKind.INVALID_REQUEST: Fault.CORRUPT_IMAGE,
}
FAULTS = {
    TEXT_MODEL: _FAULTS | {ErrorKind.REFUSED: Fault.REFUSAL},
    PICTURE_MODEL: _FAULTS | {ErrorKind.NO_IMAGE: Fault.NO_IMAGE},
}
"""By model, a reply for each class that a service can cause for an image."""
LATER = WORTH_RETRYING_LATER & {*_FAULTS}
HOPELESS = {ErrorKind.PROHIBITED, ErrorKind.INVALID_REQUEST}
CURABLE = {model: {*faults} - LATER - HOPELESS for model, faults in FAULTS.items()}
GOOD = 3


@dataclass(kw_only=True)
class Place:
    """A directory of photos in which two images fail in each way, and what was asked about them."""

    folder: Path
    emulator: Emulator
    model: str
    kinds: dict[str, ErrorKind]
    """By the image's hash."""
    environment: dict[str, str] = field(default_factory=lambda: environment(key=KEY))

    def mend(self) -> None:
        """Answer every call from now on."""
        self.emulator.reset(FaultPlan())

    def asked(self) -> dict[ErrorKind, int]:
        """Return how many images of each class were asked about, and reset the count."""
        images = {call.image_sha256 for call in self.emulator.calls}
        counts: dict[ErrorKind, int] = defaultdict(int)
        for image in images:
            counts[self.kinds[image]] += 1
        self.emulator.reset(FaultPlan())
        return dict(counts)

    async def type(self, *words: str, cwd: Path | None = None) -> Finished:
        """Type a command into a shell; the environment has a key, and no Python with our libraries."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", " ".join(words)),
            cwd=cwd or self.folder,
            env=self.environment | {"PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return await finish(process)

    def document(self) -> Any:
        """Return error_analysis.json."""
        return json.loads((self.folder / "out/metadata/error_analysis.json").read_text(encoding="utf-8"))

    def command(self, *more: str) -> str:
        """Return a first command as users type it: paths from where they are."""
        words = (
            *(sys.executable, str(MAIN), "--input-dir", "photos", "--prompt", PROMPT, "--output-dir", "out"),
            *("--api-base-url", self.emulator.base_url, "--model", self.model, "--max-retries", "0"),
        )
        return shlex.join([*words, *more])


def make_place(folder: Path, emulator: Emulator, model: str, *, without: Collection[ErrorKind] = ()) -> Place:
    """Make the photos, three that are answered first, and the plan of the faults."""
    faults = {kind: fault for kind, fault in FAULTS[model].items() if kind not in without}
    hashes = make_images(folder / "photos", GOOD + 2 * len(faults))
    sick = dict(zip([*hashes.values()][GOOD:], [*faults, *faults], strict=True))
    emulator.reset(FaultPlan(per_image={image: [faults[kind]] * 9 for image, kind in sick.items()}))
    return Place(folder=folder, emulator=emulator, model=model, kinds=sick)


def flags_of(sentence: str) -> str:
    """Return what a sentence says is to be added to the same command."""
    found = re.search(r"Next:? +run the same command again with (--.*?)[;.]", " ".join(sentence.split()))
    assert found, sentence
    return found[1]


@pytest.mark.parametrize("model", FAULTS)
def test_the_command_of_each_class_asks_about_its_images(tmp_path: Path, model: str) -> None:
    """Typed in another directory, it asks about all images of its class and no other that is left alone."""
    folder = tmp_path / "first"
    asked = {}

    async def scenario() -> None:
        async with Emulator() as emulator:
            place = make_place(folder, emulator, model)
            first = await place.type(place.command())
            assert first.code == 3, first.stderr
            place.mend()
            for group in place.document()["groups"]:
                if group["command"]:
                    other = tmp_path / group["kind"]
                    shutil.copytree(folder, other)
                    typed = group["command"].replace(f"{folder}/", f"{other}/")
                    done = await place.type(typed, cwd=tmp_path)
                    assert done.code == 0, done.stderr
                    asked[ErrorKind(group["kind"])] = place.asked()

    asyncio.run(scenario())

    later = dict.fromkeys(LATER, 2)
    assert asked == {kind: {kind: 2} for kind in CURABLE[model]} | dict.fromkeys(LATER, later)


@pytest.mark.parametrize("model", FAULTS)
def test_the_next_step_is_one_command(tmp_path: Path, model: str) -> None:
    """The last line and --status name the same flags, with which all are asked that can be answered."""

    async def scenario() -> tuple[str, str, Finished, dict[ErrorKind, int]]:
        async with Emulator() as emulator:
            place = make_place(tmp_path, emulator, model)
            first = await place.type(place.command())
            status = await place.type(
                shlex.join([sys.executable, str(MAIN), "--status", "--output-dir", str(tmp_path / "out")])
            )
            place.mend()
            advice = first.stderr.splitlines()[-1]
            done = await place.type(place.command(), flags_of(advice))
            return advice, status.stdout, done, place.asked()

    advice, status, done, asked = asyncio.run(scenario())

    assert flags_of(status[status.index("\nNext") :]) == flags_of(advice)
    assert done.code == 0, done.stderr
    assert asked == dict.fromkeys(CURABLE[model] | LATER, 2)


def test_after_force_no_answered_image_is_asked_again(tmp_path: Path) -> None:
    """All images are answered, then forced, and some fail: each command is about those of its class alone."""
    folder = tmp_path / "first"
    asked = {}

    async def scenario() -> None:
        async with Emulator() as emulator:
            place = make_place(folder, emulator, TEXT_MODEL)
            faults = emulator.plan
            place.mend()
            await place.type(place.command())
            emulator.reset(faults)
            forced = await place.type(place.command("--force"))
            assert forced.code == 3, forced.stderr
            place.mend()
            for group in place.document()["groups"]:
                if group["command"]:
                    other = tmp_path / group["kind"]
                    shutil.copytree(folder, other)
                    done = await place.type(group["command"].replace(f"{folder}/", f"{other}/"), cwd=tmp_path)
                    assert done.code == 0, done.stderr
                    asked[ErrorKind(group["kind"])] = place.asked()

    asyncio.run(scenario())

    assert asked == {kind: {kind: 2} for kind in CURABLE[TEXT_MODEL] | LATER}


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["told", "quiet"])
def test_images_that_still_fail_are_told_by_every_run(tmp_path: Path, quiet: list[str]) -> None:
    """The second and the third run of a command name them in one line, with code 0 and no call."""

    async def scenario() -> tuple[list[Finished], int, Finished, dict[ErrorKind, int]]:
        async with Emulator() as emulator:
            place = make_place(tmp_path, emulator, TEXT_MODEL, without=LATER)
            await place.type(place.command())
            place.mend()
            later = [await place.type(place.command(*quiet)) for _ in range(2)]
            calls = len(emulator.calls)
            return later, calls, await place.type(place.command(), flags_of(later[-1].stderr)), place.asked()

    later, calls, done, asked = asyncio.run(scenario())

    assert calls == 0
    for run in later:
        told = [line for line in run.stderr.splitlines() if "failed in earlier runs" in line]
        assert (run.code, len(told)) == (0, 1)
        assert "16 images failed in earlier runs and were left alone (2 blocked, 2 empty," in told[0]
        assert not quiet or run.stderr.splitlines() == told
    assert done.code == 0, done.stderr
    assert asked == dict.fromkeys(CURABLE[TEXT_MODEL], 2)
