"""Rules of gemini/response_stream.py: a streamed reply is the answer that it is, and is paid for once."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.client import GeminiClient
from gemini.response_body import extract_base64, parse_json
from gemini.response_parser import parse_response
from models import Generation, Usage
from tests.support.gateway import serve
from tests.support.gemini_harness import IMAGE_MODEL, KEY, request
from tests.support.pictures import encode, picture_part, png

K = ErrorKind
Chunk = dict[str, Any]


def chunk(*parts: Chunk, finish: str = "", output: int = 0, **more: Any) -> Chunk:
    """Return one chunk of a stream."""
    candidate: Chunk = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    usage = {"promptTokenCount": 7, **({"candidatesTokenCount": output} if output else {})}
    return {
        "candidates": [{**candidate, **({"finishReason": finish} if finish else {})}],
        "usageMetadata": usage,
        "modelVersion": "gemini-x",
        "responseId": "r1",
        **more,
    }


WORDS = [
    chunk({"text": "Thinking", "thought": True}),
    chunk({"text": "A cat"}, output=2),
    chunk({"text": " on a\u2028 mat."}, output=6),
    chunk({"text": ""}, finish="STOP", output=10),
]
ANSWER = Generation(
    text="A cat on a\u2028 mat.",
    usage=Usage(input_tokens=7, output_tokens=10),
    finish_reason="STOP",
    model_version="gemini-x",
    response_id="r1",
)
Framing = Callable[[list[Chunk]], str]
FRAMINGS: dict[str, Framing] = {
    "events": lambda chunks: "".join(f"data: {json.dumps(one)}\n\n" for one in chunks),
    "events with returns": lambda chunks: "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in chunks),
    "events as other encoders write them": lambda chunks: "".join(
        f"data:{json.dumps(one, ensure_ascii=False)}\n\n" for one in chunks
    ),
    "events with names, numbers and comments": lambda chunks: (
        ": hello\n\n"
        + "".join(
            f"event: message\nid: {number}\ndata: {json.dumps(one)}\n\n" for number, one in enumerate(chunks)
        )
    ),
    "events over several lines": lambda chunks: "".join(
        "".join(f"data: {line}\n" for line in json.dumps(one, indent=1).split("\n")) + "\n" for one in chunks
    ),
    "events without a last blank line": lambda chunks: "\n\n".join(
        f"data: {json.dumps(one)}" for one in chunks
    ),
    "an end mark": lambda chunks: (
        "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"
    ),
    "lines": lambda chunks: "\n".join(json.dumps(one) for one in chunks),
    "an array": json.dumps,
    "an array as Google prints it": lambda chunks: json.dumps(chunks, indent=2),
}


def read(text: str, *, wants_images: bool = False) -> Generation:
    """Return the answer in a body."""
    rest, pictures = extract_base64(text.encode())
    return parse_response(parse_json(rest.decode(), pictures), wants_images=wants_images)


def failure_of(text: str) -> ApiFailure:
    """Return the failure that a body is."""
    with pytest.raises(ApiFailure) as caught:
        read(text)
    return caught.value


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_the_chunks_of_a_stream_are_one_answer(framing: Framing) -> None:
    """Texts are joined, thoughts left out, and the last counts of tokens are those that are billed."""
    assert read(framing(WORDS)) == ANSWER


@pytest.mark.parametrize("framing", [name for name in FRAMINGS if name != "lines"])
def test_one_chunk_is_an_answer_as_well(framing: str) -> None:
    """A short answer comes in one piece."""
    whole = chunk({"text": "A cat."}, finish="STOP", output=3)
    assert read(FRAMINGS[framing]([whole])).text == "A cat."


@pytest.mark.parametrize("size", [10, 400], ids=["small", "large"])
@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_pictures_come_through_a_stream(framing: Framing, size: int) -> None:
    """Small ones in the JSON, and large ones, which are taken out of it before it is parsed."""
    pictures = [png(size, seed=seed) for seed in (1, 2)]
    chunks = [chunk({"text": "Here"}), *(chunk(picture_part(one)) for one in pictures), chunk(finish="STOP")]

    answer = read(framing(chunks), wants_images=True)

    assert [image.data for image in answer.images] == pictures
    assert answer.text == "Here"


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize(
    ("finish", "kind"), [("MAX_TOKENS", K.TRUNCATED), ("SAFETY", K.BLOCKED), ("RECITATION", K.RECITATION)]
)
def test_the_reason_of_the_last_chunk_counts(framing: Framing, finish: str, kind: ErrorKind) -> None:
    """A streamed answer that was cut off or withheld has its class, its tokens and its part."""
    failure = failure_of(framing([*WORDS[:3], chunk(finish=finish, output=9)]))

    assert failure.kind is kind
    assert failure.partial_text == ANSWER.text
    assert failure.usage == Usage(input_tokens=7, output_tokens=9)


@pytest.mark.parametrize("framing", ["events", "lines", "an array"])
def test_a_stream_without_its_end_is_no_answer(framing: str) -> None:
    """What broke off is asked once more; what came is kept, since it is paid for."""
    failure = failure_of(FRAMINGS[framing](WORDS[:3]))

    assert failure.kind is K.MALFORMED
    assert failure.partial_text == ANSWER.text


def test_an_end_mark_ends_a_stream_without_a_reason() -> None:
    """Gateways that speak OpenAI's dialect say [DONE]."""
    assert read(FRAMINGS["an end mark"](WORDS[:3])).text == ANSWER.text


def test_a_last_event_that_broke_off_is_left_out() -> None:
    """The connection was closed within an event."""
    assert failure_of(FRAMINGS["events"](WORDS)[:-60]).kind is K.MALFORMED


def test_an_error_within_a_stream_breaks_it_off() -> None:
    """The answer is not whole, whatever the error; the call is repeated like one that was lost."""
    error = {"error": {"code": 499, "message": "The operation was cancelled.", "status": "CANCELLED"}}
    for text in (
        FRAMINGS["events"]([*WORDS[:2], error]),
        FRAMINGS["events"](WORDS[:2]) + json.dumps(error, indent=2) + "\n",
        FRAMINGS["an array"]([*WORDS[:2], error]),
    ):
        failure = failure_of(text)
        assert failure.kind is K.NETWORK
        assert "broke off" in failure.detail
        assert "cancelled" in failure.detail
        assert failure.usage.output_tokens == 2


@pytest.mark.parametrize("framing", ["events", "an array"])
def test_a_stream_that_is_an_error_means_the_error(framing: str) -> None:
    """Where nothing came before it, it has its own class."""
    key = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    busy = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}

    with pytest.raises(FatalError) as caught:
        read(FRAMINGS[framing]([key]))
    assert caught.value.reason is StopReason.KEY_INVALID
    assert failure_of(FRAMINGS[framing]([busy])).kind is K.SERVER


@pytest.mark.parametrize(
    "block",
    [{"promptFeedback": {"blockReason": "SAFETY"}}, {"promptFeedback": {"blockReason": "SAFETY"}, "x": 1}],
)
def test_a_blocked_prompt_is_known_in_a_stream(block: Chunk) -> None:
    """It has neither candidates nor a finish reason."""
    assert failure_of(FRAMINGS["events"]([block])).kind is K.BLOCKED


@pytest.mark.parametrize(
    "text",
    [
        "data: hello\n\n",
        "data:\n\n",
        "event: ping\n\n",
        "A cat.\nA dog.",
        "{'a': 1}\n{'b': 2}",
        "[1, 2]",
        "[]",
    ],
)
def test_other_texts_are_no_stream(text: str) -> None:
    """A page, a word or a list of numbers is not taken for an answer."""
    with pytest.raises((ApiFailure, ValueError)) as caught:
        read(text)
    assert not isinstance(caught.value, ApiFailure) or caught.value.kind is K.NETWORK


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain"])
def test_a_gateway_that_always_streams_is_asked_once(content_type: str) -> None:
    """Whatever type it declares, the picture is there after one call."""
    data, calls = png(64), []

    async def handler(_: web.Request) -> web.Response:
        calls.append(1)
        chunks = [chunk({"text": "Here"}), chunk(picture_part(data), finish="STOP")]
        body = FRAMINGS["events"](chunks).encode()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def run() -> Generation:
        async with (
            serve(handler) as url,
            GeminiClient(api_key=KEY, model=IMAGE_MODEL, base_url=url, wants_images=True) as client,
        ):
            return await client.generate(request())

    answer = asyncio.run(run())
    assert encode(answer.images[0].data) == encode(data)
    assert len(calls) == 1
