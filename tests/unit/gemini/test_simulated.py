"""Rules of gemini/simulated.py: the answers of a dry run."""

import asyncio
import hashlib
import io
import subprocess
import sys

import pytest
from PIL import Image

from gemini.simulated import SimulatedModel
from models import Generation, GenerationRequest

IMAGE = b"\xff\xd8\xff\xe0 a small picture"
MODEL = "gemini-nano-banana-2.1"


def answer(
    *, prompt: str = "describe it", image: bytes = IMAGE, key: str = "a.jpg", wants_images: bool = True
) -> Generation:
    """Ask a fresh model once."""
    request = GenerationRequest(key=key, image=image, mime_type="image/jpeg", prompt=prompt, timeout_s=1.0)

    async def ask() -> Generation:
        async with SimulatedModel(model=MODEL, wants_images=wants_images) as model:
            return await model.generate(request)

    return asyncio.run(ask())


def test_the_same_question_has_the_same_answer() -> None:
    """Image and prompt alone decide; the name of the file does not."""
    assert answer() == answer(key="b.jpg")


@pytest.mark.parametrize("other", [{"prompt": "other"}, {"image": b"other"}], ids=["prompt", "image"])
def test_another_question_has_another_answer(other: dict[str, str]) -> None:
    """Neither words nor picture are the same for another image or prompt."""
    one, two = answer(), answer(**other)  # type: ignore[arg-type]

    assert one.text != two.text
    assert one.images != two.images


def test_every_answer_says_that_it_is_simulated() -> None:
    """Text, picture, version and id are marked, and name the image they belong to."""
    marked = answer()

    assert marked.text.startswith("Simulated answer")
    assert hashlib.sha256(IMAGE).hexdigest() in marked.text
    assert "describe it" in marked.text
    assert "simulated" in marked.model_version
    assert marked.response_id.startswith("simulated")
    assert b"dry run" in marked.images[0].data
    assert marked.usage.input_tokens >= 1120
    assert marked.usage.output_tokens > 0


def test_the_picture_opens() -> None:
    """It is a whole PNG, whose comment says what it is."""
    (picture,) = answer().images
    with Image.open(io.BytesIO(picture.data)) as opened:
        opened.load()

    assert picture.mime_type == "image/png"
    assert opened.format == "PNG"
    assert opened.size == (64, 64)
    assert "dry run" in opened.info["Comment"]


def test_no_pictures_unless_wanted() -> None:
    """A model of words answers with words."""
    assert answer(wants_images=False).images == ()


@pytest.mark.parametrize(
    "prompt", ["", "\ud800", "\x00\x1b", "x" * 100_000], ids=["empty", "half", "nul", "long"]
)
def test_no_prompt_is_too_odd(prompt: str) -> None:
    """A dry run never fails."""
    assert answer(prompt=prompt).images


def test_a_dry_run_does_not_pay_for_the_sdk() -> None:
    """Importing the stand-in, or what reads replies, loads neither the SDK nor an HTTP library."""
    code = (
        "import sys, gemini.simulated, gemini.response_parser, gemini.error_mapping;"
        "print([name for name in ('google.genai', 'aiohttp', 'pydantic') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
