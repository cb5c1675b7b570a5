"""Rules of costs/token_estimates.py: how many tokens a call will take, likely and at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs.token_estimates import answer_length, expected_input_tokens, max_input_tokens
from models import IMAGE_OUTPUT_TOKENS

MODELS = [
    "gemini-3.5-flash-lite", "gemini-4-argon", "gemini-nano-banana-2.1", "gemini-flash-latest",
    "gemini-2.5-flash", "gemini-2.0-flash", "models/gemini-2.0-flash", "something-else",
]  # fmt: skip
SIZES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        ("gemini-3.5-flash-lite", 4000, 3000, 1120),
        ("gemini-3.5-flash-lite", 10, 10, 1120),
        ("gemini-4-carbon", 4000, 3000, 1120),
        ("gemini-flash-latest", 4000, 3000, 1120),
        ("gemini-nano-banana-2.1", 4000, 3000, 1120),
        ("gemini-2.5-flash", 384, 384, 258),
        ("gemini-2.5-flash", 1500, 700, 516),
        ("gemini-2.5-flash", 4000, 3000, 2304),
        ("gemini-2.0-flash", 384, 384, 258),
        ("gemini-2.0-flash", 385, 100, 258),
        ("models/gemini-2.0-flash", 4000, 3000, 24 * 258),
    ],
)
def test_an_image_by_generation(*, model: str, width: int, height: int, tokens: int) -> None:
    """Google's page on media resolution, November 2026."""
    assert expected_input_tokens(model, width=width, height=height, prompt="") == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("", 0), ("a", 1), ("Describe it!", 3), ("x" * 401, 101), ("描述图片", 4), ("Опиши", 4), ("a描", 2)],
)
def test_words(prompt: str, tokens: int) -> None:
    """Four letters of ASCII, or three bytes of anything else, are about one token."""
    assert expected_input_tokens("gemini-3.5-flash-lite", width=1, height=1, prompt=prompt) == 1120 + tokens


@given(st.sampled_from(MODELS), SIZES, SIZES, st.text(st.characters(), max_size=300))
def test_the_most_is_never_less_than_the_likely(model: str, width: int, height: int, prompt: str) -> None:
    """The bound allows for a token in every byte; half a surrogate pair breaks nothing."""
    likely = expected_input_tokens(model, width=width, height=height, prompt=prompt)
    most = max_input_tokens(model, width=width, height=height, prompt=prompt)

    assert likely < most
    assert most >= len(prompt.encode("utf-8", "surrogatepass")) + 258


def test_small_tiles_count_in_the_most() -> None:
    """Google's page cuts 960 x 540 into six crops of 360 px, not into two of 768."""
    assert max_input_tokens("gemini-2.0-flash", width=960, height=540, prompt="") >= 6 * 258


def test_answers_of_words() -> None:
    """Enough for thoughts at first, never more than the model can answer."""
    lengths = answer_length("gemini-3.5-flash-lite", wants_images=False)

    assert (lengths.initial, lengths.minimum, lengths.maximum) == (8192, 1024, 65_536)
    assert answer_length("gemini-2.0-flash", wants_images=False).maximum == 8192


@pytest.mark.parametrize(("size", "tokens"), IMAGE_OUTPUT_TOKENS.items())
def test_answers_with_a_picture(size: str, tokens: int) -> None:
    """The picture fits into every bound, with words beside it."""
    lengths = answer_length("gemini-nano-banana-2.1", wants_images=True, picture_tokens=tokens)

    assert lengths.minimum == tokens + 1024
    assert lengths.initial == tokens + 4096
    assert lengths.maximum == 32_768


@pytest.mark.parametrize("limit", [1, 300, 5_000, 100_000])
@pytest.mark.parametrize("wants_images", [False, True])
def test_no_bound_exceeds_the_users_own(limit: int, wants_images: bool) -> None:  # noqa: FBT001
    """A user's bound lowers all three, and raises none."""
    free = answer_length("gemini-3.5-flash-lite", wants_images=wants_images)
    bound = answer_length("gemini-3.5-flash-lite", wants_images=wants_images, limit=limit)

    assert bound.initial == min(free.initial, limit)
    assert bound.minimum == min(free.minimum, limit)
    assert bound.maximum == min(free.maximum, limit)


@pytest.mark.parametrize(
    ("model", "resolution", "expected", "most"),
    [
        ("gemini-3.5-flash-lite", None, 1120, 1120),
        ("gemini-3.5-flash-lite", "LOW", 280, 1120),
        ("gemini-4-argon", "MEDIUM", 560, 1120),
        ("gemini-3.8-flash", "HIGH", 1120, 1120),
        ("gemini-3.8-flash", "ULTRA_HIGH", 2240, 2240),
        ("gemini-flash-latest", "LOW", 280, 2304),
        ("gemini-2.5-flash", "LOW", 64, 2304),
    ],
)
def test_an_image_takes_the_tokens_of_its_resolution(
    model: str, resolution: str | None, expected: int, most: int
) -> None:
    """The likely number follows the resolution; the bound holds where a model does not know it."""
    question = {"width": 3000, "height": 2000, "prompt": "", "media_resolution": resolution}

    assert expected_input_tokens(model, **question) == expected  # type: ignore[arg-type]
    assert max_input_tokens(model, **question) == most + 32  # type: ignore[arg-type]


def test_what_goes_with_every_call_is_counted() -> None:
    """The system instruction and reference images are added to both numbers."""
    for count in (expected_input_tokens, max_input_tokens):
        plain = count("gemini-3.8-flash", width=9, height=9, prompt="Describe it.")
        assert count("gemini-3.8-flash", width=9, height=9, prompt="Describe it.", extra=777) == plain + 777


@pytest.mark.parametrize(("size", "dollars"), [("1K", 0.0336), ("2K", 0.0504), ("4K", 0.1134)])
def test_pictures_cost_what_the_page_says(size: str, dollars: float) -> None:
    """At $30 a million tokens, to a twentieth of a cent."""
    assert IMAGE_OUTPUT_TOKENS[size] * 30 / 1e6 == pytest.approx(dollars, abs=0.0005)
