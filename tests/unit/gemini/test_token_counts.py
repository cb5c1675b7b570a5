"""Rules of gemini/token_usage.py: what cannot be read or believed is not zero."""

from typing import Any

import pytest

from errors import ApiFailure
from gemini.response_parser import parse_response
from gemini.token_usage import min_text_tokens
from models import Usage

WORDS = "The picture shows a grey cat on a wooden chair beside an open window. "
LONG = WORDS * 230
"""About 4,000 tokens; 3,220 words."""
HONEST = {"promptTokenCount": 1150, "candidatesTokenCount": 4000, "totalTokenCount": 5150}
ABSENT = object()


def usage_of(text: str = LONG, prompt: str = "Describe it", **changes: Any) -> Usage:
    """Return the usage of an answer of this text, with some counts changed or left out."""
    counts = {name: value for name, value in {**HONEST, **changes}.items() if value is not ABSENT}
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": counts}
    return parse_response(body, wants_images=False, prompt=prompt).usage


@pytest.mark.parametrize("count", [4000, "4000", 4000.0, "4000.0", " 4000 ", "4e3"], ids=repr)
def test_what_is_a_whole_number_is_read(count: object) -> None:
    """As text and as a float too; an exponent within a text is none of Google's spellings."""
    usage = usage_of(candidatesTokenCount=count)

    assert usage == Usage(input_tokens=1150, output_tokens=4000, at_least=count == "4e3")


@pytest.mark.parametrize("total", [ABSENT, "junk", 5150, 10**30], ids=["no total", "junk", "total", "10^30"])
@pytest.mark.parametrize(
    "count",
    [
        ABSENT,
        None,
        "many",
        "",
        4000.5,
        -1,
        -4000,
        "-3",
        2**40,
        10**400,
        1e300,
        True,
        [4000],
        {},
        1,
        "1",
        7.0,
        900,
    ],
    ids=lambda value: "absent" if value is ABSENT else str(value)[:12],
)
def test_an_answer_that_refutes_its_count(count: object, total: object) -> None:
    """The total and the text are what it took at least; it is no figure to settle by."""
    usage = usage_of(candidatesTokenCount=count, totalTokenCount=total)

    assert usage.at_least
    assert usage.output_tokens >= (4000 if total == 5150 else 1000)


@pytest.mark.parametrize("field", ["promptTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"])
@pytest.mark.parametrize("count", ["many", -1, 2**40, True, [7], 0.5], ids=str)
def test_no_count_that_is_billed_may_be_unreadable(field: str, count: object) -> None:
    """Each of them is a part of the bill."""
    changes: dict[str, Any] = {field: count}

    assert usage_of(**changes).at_least


@pytest.mark.parametrize(("asked", "is_doubted"), [(ABSENT, True), (1, True), (260, True), (310, False)])
def test_a_question_has_its_tokens_too(asked: object, *, is_doubted: bool) -> None:
    """Three hundred words are no single token."""
    usage = usage_of(prompt="describe every detail " * 200, promptTokenCount=asked, totalTokenCount=ABSENT)

    assert usage.at_least is is_doubted
    assert usage.input_tokens >= 300


def test_the_total_counts_where_it_says_more() -> None:
    """Thoughts that have no count of their own; tools are part of the question."""
    assert usage_of(totalTokenCount=9150) == Usage(input_tokens=1150, output_tokens=8000)
    assert usage_of(totalTokenCount=9150, toolUsePromptTokenCount=1000) == Usage(
        input_tokens=2150, output_tokens=7000
    )


@pytest.mark.parametrize(("said", "is_doubted"), [(0, True), (80, True), (1120, False), (747, False)])
def test_a_picture_has_its_tokens_too(said: int, *, is_doubted: bool) -> None:
    """A picture of a megabyte was not made of 80 tokens."""
    data = "iVBORw0KGgo" + "A" * 1_400_001
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    candidate = {"content": {"parts": [part]}, "finishReason": "STOP"}
    counts = {"promptTokenCount": 1150, "candidatesTokenCount": said}
    body = {"candidates": [candidate], "usageMetadata": counts}

    usage = parse_response(body, wants_images=True).usage

    assert usage.at_least is is_doubted
    assert usage.image_output_tokens >= 600


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (LONG, 4000),
        ("猫が椅子に座っている。" * 300, 2400),
        ("| | |\n" * 500, 1500),
        ("word\n\n\n\n" + " " * 5000, 3),
        ("x = 1;\n" * 100, 400),
        ("https://example.org/a/long/path?with=many&parts=1 " * 20, 300),
        ("", 0),
        ("ok", 1),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_honest_count_is_doubted(text: str, tokens: int) -> None:
    """The bound is below what tokenizers need for prose, Japanese, tables, blanks, code and addresses."""
    assert min_text_tokens(text) <= tokens


def test_an_answer_without_words_needs_no_count() -> None:
    """Google leaves out what is 0."""
    counts = {"promptTokenCount": 1150, "totalTokenCount": 1150}
    body = {
        "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": ""}]}}],
        "usageMetadata": counts,
    }
    with pytest.raises(ApiFailure) as caught:
        parse_response(body, wants_images=False, prompt="Describe it")

    assert caught.value.usage == Usage(input_tokens=1150)
