"""Rules of settings/given_options.py: what options of the model may be, and that they decide an answer."""

import json
from pathlib import Path

import pytest

from config import Settings, load
from errors import UsageError
from tests.support.sample_images import WHOLE

KEY = {"GEMINI_API_KEY": "some-key"}

GIVEN = {
    "system_instruction": ("--system-instruction", "Be brief."),
    "temperature": ("--temperature", "0"),
    "top_p": ("--top-p", "0.5"),
    "seed_model": ("--seed-model", "0"),
    "max_output_tokens": ("--max-output-tokens", "300"),
    "thinking_level": ("--thinking-level", "low"),
    "media_resolution": ("--media-resolution", "medium"),
    "safety": ("--safety", "harassment=off"),
    "aspect_ratio": ("--aspect-ratio", "16:9"),
    "image_size": ("--image-size", "512"),
    "reference_image": ("--reference-image", "one.jpg"),
}

WRONG = {
    "a temperature above 2": (("--temperature", "2.1"), "--temperature must be a number from 0 to 2"),
    "no number": (("--top-p", "half"), "--top-p must be a number from 0 to 1"),
    "a seed of 64 bits": (("--seed-model", str(2**31)), "--seed-model must be a whole number"),
    "an answer of nothing": (("--max-output-tokens", "0"), "--max-output-tokens must be"),
    "an unknown level": (("--thinking-level", "deep"), "minimal, low, medium, high or xhigh, not 'deep'"),
    "an unknown resolution": (("--media-resolution", "4k"), "low, medium, high or ultra_high"),
    "a ratio of words": (("--aspect-ratio", "wide"), "--aspect-ratio must be a ratio such as 16:9, or keep"),
    "a ratio with nothing": (("--aspect-ratio", "0:9"), "--aspect-ratio must be"),
    "an unknown size": (("--image-size", "3K"), "512, 1K, 2K or 4K"),
    "no threshold": (("--safety", "harassment"), "--safety must be CATEGORY=THRESHOLD"),
    "an unknown threshold": (("--safety", "harassment=never"), "block_none"),
    "a misspelled category": (("--safety", "harrassment=off"), "hate_speech"),
    "a category twice": (
        ("--safety", "harassment=off", "--safety", "HARM_CATEGORY_HARASSMENT=block_none"),
        "given once for each category; harm_category_harassment is there twice",
    ),
    "one wrong among several": (("--safety", "harassment=off", "--safety", "x"), "not 'harassment=off, x'"),
    "no such reference": (("--reference-image", "none.jpg"), "none.jpg: The file is no longer there."),
    "a reference that is no image": (("--reference-image", "words.txt"), "words.txt"),
    "an empty instruction": (("--system-instruction", " "), "--system-instruction must be"),
    "a missing instruction": (("--system-instruction", "@none.txt"), "--system-instruction names a file"),
    "an instruction that is a name": (("--system-instruction", "words.txt"), "@words.txt"),
    "no catalogue": (("--model-catalogue", "none.toml"), "--model-catalogue: none.toml: it cannot be read"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("one.jpg").write_bytes(WHOLE["jpeg"])
    Path("two.png").write_bytes(WHOLE["png"])
    Path("words.txt").write_text("Be brief.\n", encoding="utf-8")


def load_with(*flags: str, env: dict[str, str] | None = None) -> Settings:
    """Load the settings of a run."""
    argv = ["--input-dir", "photos", "--prompt", "x", *flags]
    settings = load(argv, env=KEY | (env or {}), dotenv_paths=[])
    assert isinstance(settings, Settings)
    return settings


@pytest.mark.parametrize("name", GIVEN)
def test_every_option_decides_an_answer(name: str) -> None:
    """Given or not, and with another value, it is another fingerprint; it stands in the metadata."""
    plain, given = load_with(), load_with(*GIVEN[name])

    assert plain.fingerprint() != given.fingerprint()
    assert name not in plain.public_options()
    assert json.loads(json.dumps(given.public_options()))[name] not in {None, ""}


def test_all_options_are_tried() -> None:
    """The table above leaves none out."""
    assert set(GIVEN) == set(load_with().model_options._fields)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_in_one_sentence(case: str) -> None:
    """The flag, what is allowed, and what was typed."""
    flags, expected = WRONG[case]

    with pytest.raises(UsageError) as caught:
        load_with(*flags)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reference_counts_by_its_bytes() -> None:
    """The same bytes under another name change nothing; other bytes do."""
    first = load_with("--reference-image", "one.jpg").fingerprint()
    Path("renamed.jpg").write_bytes(WHOLE["jpeg"])

    assert load_with("--reference-image", "renamed.jpg").fingerprint() == first
    assert load_with("--reference-image", "two.png").fingerprint() != first


def test_safety_is_given_in_any_order_and_spelling() -> None:
    """Flags, full names and a variable with commas mean the same."""
    flags = load_with("--safety", "HATE_SPEECH=Block_None", "--safety", "harassment=off")
    variable = load_with(env={"GEMINI_SAFETY": "harm_category_harassment=OFF, hate_speech=block_none"})

    assert flags.model_options.safety == variable.model_options.safety
    assert flags.model_options.safety == (
        ("HARM_CATEGORY_HARASSMENT", "OFF"),
        ("HARM_CATEGORY_HATE_SPEECH", "BLOCK_NONE"),
    )
    assert flags.fingerprint() == variable.fingerprint()


def test_an_instruction_comes_from_a_file() -> None:
    """@FILE reads it, and the text decides, not the file's name."""
    settings = load_with("--system-instruction", "@words.txt")

    assert settings.model_options.system_instruction == "Be brief."
    assert settings.fingerprint() == load_with("--system-instruction", "Be brief.").fingerprint()


def test_the_options_are_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The flags that repeat a run mean the same from another directory."""
    given = [word for words in GIVEN.values() for word in words]
    settings = load_with(*given, "--safety", "hate_speech=off", "--reference-image", "two.png")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")

    again = load(list(settings.repeat_flags), env=KEY, dotenv_paths=[])

    assert isinstance(again, Settings)
    assert again.fingerprint() == settings.fingerprint()
    assert again.model_options == settings.model_options
