"""Rules of the real program when a prompt asks for pictures: the money is not spent on words in silence."""

import asyncio
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import make_images

pytestmark = pytest.mark.e2e

MODEL_TO_TAKE = "gemini-nano-banana-2.1"


def ask(folder: Path, prompt: str, *more: str) -> Finished:
    """Run over two images with a prompt."""
    make_images(folder / "photos", 2)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            return await run_cli(
                *("--input-dir", folder / "photos", "--prompt", prompt, "--output-dir", folder / "out"),
                *("--api-base-url", emulator.base_url, *more),
            )

    return asyncio.run(scenario())


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--dry-run"]])
def test_a_model_without_pictures(tmp_path: Path, more: list[str]) -> None:
    """Before the first call a warning names the model to take, and the summary says that there are none."""
    done = ask(tmp_path, "Convert this to anime style", *more)

    warning = next(line for line in done.stderr.splitlines() if line.startswith("warning: "))
    assert done.code == 0
    assert f"--model {MODEL_TO_TAKE}" in warning
    assert done.stderr.index(warning) < (done.stderr + "0 of 2").index("0 of 2")
    if "--quiet" not in more:
        assert "Pictures     0 pictures; " in done.stdout
        assert f"--model {MODEL_TO_TAKE}" in " ".join(done.stdout.split())


def test_the_model_that_is_named(tmp_path: Path) -> None:
    """With that model there is no warning, and the summary counts its pictures."""
    done = ask(tmp_path, "Convert this to anime style", "--model", MODEL_TO_TAKE)

    assert "warning" not in done.stderr
    assert "Pictures     2 pictures\n" in done.stdout
    assert document(tmp_path / "out", "processing_stats.json")["pictures"] == {
        "made": 2,
        "model_to_take": None,
    }


def test_a_prompt_for_text(tmp_path: Path) -> None:
    """A prompt for text has nothing to do with pictures."""
    done = ask(tmp_path, "Convert the receipt to JSON")

    assert "warning" not in done.stderr
    assert "Pictures" not in done.stdout
    assert document(tmp_path / "out", "processing_stats.json")["pictures"] is None
