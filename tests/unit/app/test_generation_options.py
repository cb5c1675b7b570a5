"""Rules of app/generation_options.py: what is said of a model before the first call."""

from datetime import date
from pathlib import Path

import pytest

from app.generation_options import describe_doubts, load_facts
from config import Settings, load

TODAY = date(2026, 12, 1)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model", "gemini-3.5-flash-lite"], []),
        (["--model", "gemini-99-unheard-of", "--thinking-level", "xhigh"], []),
        (["--model", "gemini-3.1-flash-image"], ["was shut down on 2026-10-29"]),
        (["--model", "models/gemini-3.1-flash-lite"], []),
        (
            ["--model", "gemini-3.8-flash", "--thinking-level", "minimal"],
            ["--thinking-level minimal"],
        ),
        (["--model", "gemini-3.8-flash", "--image-size", "2k"], ["makes no pictures"]),
        (["--model", "gemini-nano-banana-2.1", "--image-size", "512"], ["may refuse --image-size 512"]),
        (["--model", "gemini-3-pro-image", "--aspect-ratio", "1:8"], ["may refuse --aspect-ratio 1:8"]),
        (["--model", "gemini-nano-banana-2.1", "--aspect-ratio", "keep", "--image-size", "4k"], []),
    ],
)
def test_doubts_are_told_and_nothing_is_refused(
    tmp_path: Path, flags: list[str], expected: list[str]
) -> None:
    """One sentence for each, by what is known today; of a stranger nothing is said."""
    argv = ["--input-dir", str(tmp_path), "--prompt", "x", *flags]
    settings = load(argv, env={"GEMINI_API_KEY": "k"}, dotenv_paths=[])
    assert isinstance(settings, Settings)

    told = list(describe_doubts(settings, load_facts(settings), today=TODAY))

    assert len(told) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, told, strict=True))
