"""Rules of the options of the model: what the service receives, what it costs, what is asked again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.emulator import Emulator, Fault, FaultPlan
from tests.emulator.particular import ConfigurableEmulator
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

WORDS = "gemini-3.8-flash"
PICTURES = "gemini-nano-banana-2.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Some runs of the program, one after another, and what the service received in each."""

    runs: list[Finished] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)


def run_each(
    emulator: Emulator, folder: Path, *commands: Sequence[str | Path], env: Mapping[str, str] | None = None
) -> Seen:
    """Run the program with each of these flags on one output directory."""

    async def scenario() -> Seen:
        seen = Seen()
        async with emulator:
            for flags in commands:
                before = emulator.log.arrived
                common = (
                    "--input-dir",
                    folder / "photos",
                    "--prompt",
                    "Describe it",
                    "--output-dir",
                    folder / "out",
                )
                done = await run_cli(*common, "--api-base-url", emulator.base_url, *flags, env=env)
                seen.runs.append(done)
                seen.calls.append(emulator.log.arrived - before)
        return seen

    return asyncio.run(scenario())


def test_every_picture_keeps_its_shape(tmp_path: Path) -> None:
    """With --aspect-ratio keep each call names the ratio nearest to its own image, seen upright."""
    shapes = {"wide": (1600, 900), "tall": (600, 900), "square": (500, 505), "strip": (1600, 200)}
    (tmp_path / "photos").mkdir()
    for name, size in shapes.items():
        Image.new("RGB", size, "red").save(tmp_path / "photos" / f"{name}.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone held upright: the file's rows are its columns
    Image.new("RGB", (1600, 900), "blue").save(tmp_path / "photos" / "turned.jpg", exif=turned)
    emulator = ConfigurableEmulator()

    seen = run_each(emulator, tmp_path, ["--model", PICTURES, "--aspect-ratio", "keep", "--image-size", "2k"])

    assert seen.runs[0].code == 0, seen.runs[0].stderr
    ratios = sorted(row.config["imageConfig"]["aspectRatio"] for row in emulator.received)
    assert ratios == sorted(["16:9", "2:3", "1:1", "8:1", "9:16"])
    assert {row.config["imageConfig"]["imageSize"] for row in emulator.received} == {"2K"}


def test_what_is_not_given_is_not_sent(tmp_path: Path) -> None:
    """Without options a call of words has an empty generation config."""
    make_images(tmp_path / "photos", 2)
    emulator = ConfigurableEmulator()

    run_each(emulator, tmp_path, [])

    assert [dict(row.config) for row in emulator.received] == [{}, {}]


SETTINGS: dict[str, tuple[str, ...]] = {
    "resolution": ("--media-resolution", "low"),
    "level": ("--thinking-level", "low"),
    "bound": ("--max-output-tokens", "5000"),
    "seed": ("--seed-model", "7"),
    "instruction": ("--system-instruction", "Be brief."),
    "safety": ("--safety", "harassment=off"),
}


def test_an_option_asks_anew_and_its_return_costs_nothing(tmp_path: Path) -> None:
    """Other options are other answers; the answers to the first ones are still there."""
    make_images(tmp_path / "photos", 3)
    commands = [[], *SETTINGS.values(), [], SETTINGS["safety"]]

    seen = run_each(Emulator(), tmp_path, *[["--model", WORDS, *flags] for flags in commands])

    assert [done.code for done in seen.runs] == [0] * 9
    assert seen.calls == [*[3] * 7, 0, 0]


def test_a_refused_option_ends_the_run_with_the_services_words(tmp_path: Path) -> None:
    """When the first images are all refused for it: not a failure of every image, and told once."""
    make_images(tmp_path / "photos", 40)
    emulator = ConfigurableEmulator(refuses=frozenset({"thinkingConfig"}))

    seen = run_each(emulator, tmp_path, ["--model", WORDS, "--thinking-level", "minimal"], ["--model", WORDS])

    refused, mended = seen.runs
    assert refused.code not in {0, 3}
    assert seen.calls[0] < 20
    told = " ".join((refused.stdout + refused.stderr).split())
    assert "this setting is not supported for this model" in told
    assert "it may refuse --thinking-level minimal" in told
    assert (mended.code, seen.calls[1]) == (0, 40)


def test_a_cap_counts_what_goes_with_every_call(tmp_path: Path) -> None:
    """Reference images are paid with each call; the cap holds, and fewer images fit below it."""
    make_images(tmp_path / "photos", 60)
    Image.new("RGB", (800, 800), "green").save(tmp_path / "style.png")
    cap = ("--model", WORDS, "--max-cost", "0.05", "--max-output-tokens", "1500")
    style = ("--reference-image", tmp_path / "style.png")

    seen = run_each(Emulator(), tmp_path, [*cap, *style])

    stats = document(tmp_path / "out", "processing_stats.json")
    spent = find_cost(stats)
    assert 0.02 < spent <= 0.05
    assert 10 < seen.calls[0] < 30  # without the reference it would be half as much again
    assert stats["tokens"]["input"] == seen.calls[0] * (2 * 1120 + 3)
    assert stats["options"]["reference_image"].endswith("style.png")


def find_cost(stats: Any) -> float:
    """Return the US dollars of a run."""
    return float(stats["cost"]["total_usd"])


def test_an_answer_longer_than_the_bound_fails_as_truncated(tmp_path: Path) -> None:
    """Repairing the prompt gives it no more room than the user did."""
    make_images(tmp_path / "photos", 3)
    cut_off = dict.fromkeys(range(60), Fault.MAX_TOKENS_PARTIAL)
    emulator = ConfigurableEmulator(plan=FaultPlan(per_call=cut_off))

    seen = run_each(
        emulator, tmp_path, ["--model", WORDS, "--max-output-tokens", "900", "--enable-prompt-optimization"]
    )

    assert seen.runs[0].code == 3, seen.runs[0].stderr
    assert document(tmp_path / "out", "processing_stats.json")["failed"]["by"] == {"truncated": 3}
    assert {row.config["maxOutputTokens"] for row in emulator.received} == {900}
