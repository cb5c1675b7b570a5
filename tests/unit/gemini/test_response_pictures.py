"""Rules of gemini/response_pictures.py: pictures are unwrapped, and looked at before they count."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from errors import ApiFailure, ErrorKind
from gemini.client import GeminiClient
from gemini.response_body import MIN_EXTRACTED_CHARACTERS
from gemini.response_pictures import take_pictures
from models import AnswerNote, Generation
from tests.support.gateway import always_answer, serve
from tests.support.gemini_harness import IMAGE_MODEL, KEY, TEXT_MODEL, request
from tests.support.pictures import encode, picture_file, picture_part, png

K = ErrorKind
SMALL, LARGE = png(24), png(200)
assert len(encode(SMALL)) < MIN_EXTRACTED_CHARACTERS < len(encode(LARGE))


def lines(text: str, end: str = "\n", width: int = 76) -> str:
    """Return a text in lines, as MIME encoders write it."""
    return end.join(text[start : start + width] for start in range(0, len(text), width))


def in_markdown(data: bytes) -> str:
    """Return a picture as gateways put it into a text."""
    return f"![image](data:image/png;base64,{encode(data)})"


async def ask(body: Any, *, model: str = IMAGE_MODEL) -> Generation:
    """Return the answer to one call whose reply has this body."""
    async with (
        serve(always_answer(200, json.dumps(body))) as url,
        GeminiClient(api_key=KEY, model=model, base_url=url, wants_images=model == IMAGE_MODEL) as client,
    ):
        return await client.generate(request())


def answer_of(*parts: dict[str, Any], model: str = IMAGE_MODEL) -> Generation:
    """Return the answer with these parts."""
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 1120}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
    return asyncio.run(ask({"candidates": [candidate], "usageMetadata": usage}, model=model))


def failure_of(*parts: dict[str, Any], model: str = IMAGE_MODEL) -> ApiFailure:
    """Return the failure of a reply with these parts."""
    with pytest.raises(ApiFailure) as caught:
        answer_of(*parts, model=model)
    return caught.value


WRAPPINGS: dict[str, Callable[[bytes], str]] = {
    "plain": encode,
    "for URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "unpadded": lambda data: encode(data).rstrip("="),
    "a data URI": lambda data: f"data:image/png;base64,{encode(data)}",
    "a data URI with parameters": lambda data: f"DATA:image/png;charset=utf-8;base64,{encode(data)}",
    "lines": lambda data: lines(encode(data)),
    "lines with returns": lambda data: lines(encode(data), "\r\n", 64) + "\r\n",
    "blanks around": lambda data: f"  {encode(data)}\n",
    "twice": lambda data: encode(encode(data).encode()),
    "twice, in lines": lambda data: encode(lines(encode(data)).encode()),
    "three times": lambda data: encode(encode(encode(data).encode()).encode()),
    "a data URI, encoded": lambda data: encode(f"data:image/png;base64,{encode(data)}".encode()),
    "a data URI of what is encoded twice": lambda data: (
        f"data:image/png;base64,{encode(encode(data).encode())}"
    ),
}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_wrapped_picture_is_the_picture(wrap: Callable[[bytes], str], data: bytes) -> None:
    """However a gateway hands it on, the file is what the model drew."""
    answer = answer_of({"inlineData": {"mimeType": "image/png", "data": wrap(data)}})

    assert [(image.data, image.mime_type) for image in answer.images] == [(data, "image/png")]
    assert answer.notes == ()


@pytest.mark.parametrize("model", [IMAGE_MODEL, TEXT_MODEL])
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("{0}", ""),
        ("Here it is:\n\n{0}\n", "Here it is:\n\n\n"),
        ("{0} and {0}", " and "),
    ],
    ids=["alone", "with words", "two"],
)
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_pictures_in_the_text_are_files(text: str, left: str, data: bytes, model: str) -> None:
    """Markdown that holds a picture becomes the picture, and the words around it stay."""
    answer = answer_of({"text": text.format(in_markdown(data))}, model=model)

    assert {image.data for image in answer.images} == {data}
    assert answer.text == left


def test_a_picture_may_be_spread_over_parts() -> None:
    """Gateways that collect a stream split the text anywhere."""
    text = in_markdown(SMALL)
    answer = answer_of(*({"text": text[start : start + 100]} for start in range(0, len(text), 100)))

    assert [image.data for image in answer.images] == [SMALL]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("![a cat (on a mat)](", ")"),
        ("![](<", ">)"),
        ("![x]( ", ' "a title")'),
        ('<img src="', '" alt="x">'),
        ("<img alt='x' src='", "'/>"),
        ("", ""),
        ("See ", " above"),
        ("(", ")"),
    ],
)
def test_forms_of_pictures_in_a_text(before: str, after: str) -> None:
    """Markdown with and without brackets and titles, HTML, and bare addresses."""
    found = take_pictures(f"A {before}data:image/jpeg;base64,{encode(SMALL)}{after} B")

    assert found.encoded == (encode(SMALL),)
    assert found.text.startswith("A ")
    assert found.text.endswith(" B")
    assert "base64" not in found.text


@pytest.mark.parametrize(
    "text",
    [
        "A cat.",
        "Write data:image/png;base64,iVBORw0 in your page.",
        "![x](data:image/png;base64,SGVsbG8gd29ybGQ=)",
        "![x](data:image/png;base64,)",
        "![x](https://example.com/a.png)",
        "data:image/png;base64",
        "![x](data:image/png;base64,####)",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    """What does not begin like a picture is the model's text, which is paid for."""
    assert take_pictures(text) == (text, ())


def test_long_texts_are_searched_in_time() -> None:
    """Nothing in an answer makes the search slow."""
    for text in (
        "data:image/png;base64," * 20_000,
        "![" * 200_000,
        "<img " * 200_000 + "data:image/png;base64,A",
    ):
        assert take_pictures(text).encoded == ()


DAMAGED = {
    "cut off": LARGE[: len(LARGE) // 2],
    "without its end": LARGE[:-8],
    "a changed byte": LARGE[:5000] + bytes([LARGE[5000] ^ 255]) + LARGE[5001:],
    "a head alone": LARGE[:8] + b"x" * 99,
    "half a JPEG": picture_file("JPEG", 200)[:9000],
    "half a WebP": picture_file("WEBP", 200)[:9000],
    "a page": b"<!DOCTYPE html><title>403 Forbidden</title>",
    "an error": b'{"error": {"code": 500}}',
    "a word": b"no picture",
    "sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(99),
    "a PDF": b"%PDF-1.7\n" + bytes(99),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_whole_picture_does_not_count(data: bytes) -> None:
    """It is asked for once more, with its tokens counted; nothing of it is stored as a result."""
    failure = failure_of({"text": "Here it is."}, picture_part(data))

    assert failure.kind is K.MALFORMED
    assert failure.usage.output_tokens == 1120
    assert failure.partial_text == "Here it is."
    assert "picture" in failure.detail


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_whole_pictures_count_by_what_they_are(kind: str) -> None:
    """Whatever is declared, the file gets the type of its bytes."""
    data = picture_file(kind, 60)
    for declared in ("image/png", "image/x-new", "application/octet-stream", "PNG"):
        answer = answer_of(picture_part(data, declared))
        assert [(image.data, image.mime_type) for image in answer.images] == [(data, f"image/{kind.lower()}")]


@pytest.mark.parametrize(
    ("parts", "model"),
    [
        ([picture_part(LARGE), picture_part(LARGE[:-99])], IMAGE_MODEL),
        ([{"text": "A plot."}, picture_part(LARGE[:-99])], TEXT_MODEL),
    ],
    ids=["another picture", "words of a model of words"],
)
def test_what_is_left_of_an_answer_counts(parts: list[dict[str, Any]], model: str) -> None:
    """A damaged picture takes nothing else with it, and is not left out in silence."""
    answer = answer_of(*parts, model=model)

    assert [image.data for image in answer.images] == ([LARGE] if model == IMAGE_MODEL else [])
    assert answer.notes == (AnswerNote.PICTURE_LEFT_OUT,)
