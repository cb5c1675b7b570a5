"""Rules of paid answers: no failure displaces one, none is bought twice, and buying anew is said first."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.launched import Launcher
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import Finished, document, files_below
from tests.support.cli_cases import make_images, text_of

pytestmark = pytest.mark.e2e

WEAK, BETTER = "gemini-3.5-flash-lite", "gemini-3.8-flash"
NIGHTS = 7
NEW_EACH_NIGHT = 3
IMAGES = NIGHTS * NEW_EACH_NIGHT
PROMPT = "describe"


class Models:
    """A weak model that always fails on every third image, a better one, and a folder of photos."""

    def __init__(self, folder: Path, weak: Emulator, better: Emulator, launcher: Launcher) -> None:
        self.photos, self.output = folder / "photos", folder / "out"
        self.weak, self.better = weak, better
        self._launcher = launcher

    async def run(
        self, *more: str, model: str = WEAK, prompt: str = PROMPT, service: Emulator | None = None
    ) -> Finished:
        """Run the program with the weak model, or another one behind its own address."""
        url = (service or (self.weak if model == WEAK else self.better)).base_url
        return await self._launcher.run(
            *("--input-dir", self.photos, "--output-dir", self.output, "--prompt", prompt),
            *("--api-base-url", url, "--model", model, *more),
        )

    def answers(self) -> dict[str, str]:
        """Return the text of each answer in its place, by its path."""
        below = self.output / "successful"
        return {name: (below / name).read_text(encoding="utf-8") for name in files_below(below)}

    def calls(self) -> Counter[tuple[str, str]]:
        """Return the calls so far, by model and image."""
        return Counter(
            [("weak", call.image_sha256) for call in self.weak.calls]
            + [("better", call.image_sha256) for call in self.better.calls]
        )


Story = Callable[[Models], Awaitable[None]]
Player = Callable[[Story], None]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """The launcher of the program, for all tests of this file."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def play(launcher: Launcher, tmp_path: Path) -> Player:
    """Function that plays a story against both models."""
    hashes = make_images(tmp_path / "all", IMAGES)
    faults = [Fault.MAX_TOKENS_PARTIAL, Fault.RECITATION]
    bad = {
        sha256: [faults[number % 2]] * 99
        for number, sha256 in enumerate(hashes.values())
        if number % NEW_EACH_NIGHT == 0
    }

    async def story_with_models(story: Story) -> None:
        async with Emulator(plan=FaultPlan(per_image=bad)) as weak, Emulator() as better:
            await story(Models(tmp_path, weak, better, launcher))

    return lambda story: asyncio.run(story_with_models(story))


@pytest.mark.parametrize(
    "repair", [("--only", "truncated,recitation"), ("--retry-failed",)], ids=["only", "retry-failed"]
)
@pytest.mark.parametrize("change", ["model", "prompt"])
def test_seven_nights_of_cron_and_a_repair_by_hand(
    play: Player, repair: tuple[str, ...], change: str
) -> None:
    """With new photos each night, no answer is lost and none is bought twice; failures are paid for once."""

    async def story(models: Models) -> None:
        texts: dict[str, str] = {}
        for night in range(1, NIGHTS + 1):
            make_images(models.photos, night * NEW_EACH_NIGHT)
            before = models.calls()

            cron = await models.run("--quiet")
            assert cron.code == 3, cron.stderr
            new = models.calls() - before
            assert len({image for _, image in new}) == NEW_EACH_NIGHT
            assert models.answers().items() >= texts.items()
            hand = await models.run(
                *repair,
                model=BETTER if change == "model" else WEAK,
                prompt=PROMPT if change == "model" else f"{PROMPT} in one sentence",
                service=models.better,
            )
            assert hand.code == 0, hand.stderr

            texts = models.answers()
            assert len(texts) == night * NEW_EACH_NIGHT
        noon = await models.run()
        assert (noon.code, models.answers()) == (0, texts)
        answered_twice = {
            image for (model, image), calls in models.calls().items() if model == "better" and calls > 1
        }
        assert answered_twice == set()
        assert len({image for model, image in models.calls() if model == "better"}) == NIGHTS
        assert not (models.output / "metadata/history").exists()
        assert not files_below(models.output / "failed")

    play(story)


def test_the_table_and_the_summary_say_which_model_made_an_answer(play: Player) -> None:
    """In the repair, in the next night's last line and document, and in the line of each answer."""

    async def story(models: Models) -> None:
        make_images(models.photos, 3)
        await models.run()
        hand = await models.run("--only", "truncated", model=BETTER)
        night = await models.run()

        assert f"1  answered by {BETTER}" in hand.stdout
        assert f"all answered before, 1 of them by {BETTER} in a repair" in night.stderr
        repaired = document(models.output, "processing_stats.json")["earlier_answers"]["repaired"]
        assert repaired == {"total": 1, "by": {BETTER: 1}}
        lines = (models.output / "metadata/results.jsonl").read_text().splitlines()
        assert sorted(json.loads(line)["model"] for line in lines) == [WEAK, WEAK, BETTER]

    play(story)


def test_a_failure_says_which_answer_the_image_keeps(play: Player) -> None:
    """Under another prompt the weak model fails: the summary counts it, and the report names the answer."""

    async def story(models: Models) -> None:
        make_images(models.photos, 3)
        await models.run(model=BETTER)
        texts = models.answers()

        done = await models.run(prompt="list colours")

        assert done.code == 3
        assert "1  failed, 1 of them keeps the answer it had before" in done.stdout
        (report,) = files_below(models.output / "failed")
        assert f"by {BETTER} on" in (models.output / "failed" / report).read_text()
        kept = text_of(models.output, report.removesuffix("_error.log"))
        assert kept in texts.values()
        assert document(models.output, "processing_stats.json")["earlier_answers"]["kept_by_failures"] == 1
        # Back to the model that has answered it: its report goes, nothing is asked.
        back = await models.run(model=BETTER)
        assert back.code == 0, back.stderr
        assert (len(models.better.calls), files_below(models.output / "failed")) == (3, set())
        assert models.answers() == texts

    play(story)


@pytest.mark.parametrize(
    ("model", "prompt", "words"),
    [
        (BETTER, "describe,", "3 images were answered with another prompt: they are asked anew (about $0.0"),
        (WEAK, PROMPT, "3 images were answered by another model: they are asked anew (about $0.0"),
        (
            WEAK,
            "describe,",
            "3 images were answered by another model with another prompt: they are asked",
        ),
    ],
    ids=["prompt", "model", "both"],
)
def test_buying_anew_is_said_first(play: Player, model: str, prompt: str, words: str) -> None:
    """A comma in the prompt is heard of, also with --quiet: how many, why, the price, and the way out."""

    async def story(models: Models) -> None:
        make_images(models.photos, 3)
        await models.run(model=BETTER)

        done = await models.run("--quiet", model=model, prompt=prompt)

        first = done.stderr.splitlines()[0]
        assert words in first
        assert first.endswith("the earlier answers go to the history; --keep-answers leaves them")
        again = await models.run("--quiet", model=model, prompt=prompt)
        assert "asked anew" not in again.stderr

    play(story)


def test_keep_answers_leaves_them(play: Player) -> None:
    """Under another prompt only the new photo is asked about; a renamed one keeps its answer too."""

    async def story(models: Models) -> None:
        make_images(models.photos, 3)
        await models.run(model=BETTER)
        texts = models.answers()
        make_images(models.photos, 4)
        (models.photos / "photo000.png").rename(models.photos / "renamed.png")

        done = await models.run("--keep-answers", model=BETTER, prompt="describe,")

        assert done.code == 0, done.stderr
        assert len(models.better.calls) == 4
        assert "2 answers of other settings are left in place (--keep-answers)" in done.stderr
        assert text_of(models.output, "renamed.png") == texts["photo000.png_result.txt"]
        assert models.answers().items() >= texts.items()

    play(story)
