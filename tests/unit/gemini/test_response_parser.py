"""Rules of gemini/response_parser.py and gemini/text.py: which reply with status 200 is an answer."""

import base64
from typing import Any

import pytest

from errors import ErrorKind, StopReason
from gemini.response_parser import BLOCK_KINDS, FINISH_KINDS
from models import GeneratedImage, Generation, Usage
from tests.support.replies import JPEG, PNG, USAGE, encoded, failure_of, picture, read, reply, words

K, S = ErrorKind, StopReason


FINISHES = {
    "MAX_TOKENS": K.TRUNCATED,
    "CONTINUATION": K.TRUNCATED,
    "SAFETY": K.BLOCKED,
    "IMAGE_SAFETY": K.BLOCKED,
    "RECITATION": K.RECITATION,
    "IMAGE_RECITATION": K.RECITATION,
    "LANGUAGE": K.MALFORMED,
    "OTHER": K.MALFORMED,
    "MALFORMED_RESPONSE": K.MALFORMED,
    "MALFORMED_FUNCTION_CALL": K.MALFORMED,
    "UNEXPECTED_TOOL_CALL": K.MALFORMED,
    "TOO_MANY_TOOL_CALLS": K.MALFORMED,
    "MISSING_THOUGHT_SIGNATURE": K.MALFORMED,
    "NO_IMAGE": K.NO_IMAGE,
    "IMAGE_OTHER": K.NO_IMAGE,
    "PROHIBITED_CONTENT": K.PROHIBITED,
    "IMAGE_PROHIBITED_CONTENT": K.PROHIBITED,
    "BLOCKLIST": K.PROHIBITED,
    "SPII": K.PROHIBITED,
    "ESCALATION": K.PROHIBITED,
    "MODEL_ARMOR": K.PROHIBITED,
    "PUP_LIMITED_DISABLED": S.PERMISSION,
    "A_REASON_OF_TOMORROW": K.MALFORMED,
}
BLOCKS = {
    "BLOCKED_REASON_UNSPECIFIED": K.BLOCKED,
    "SAFETY": K.BLOCKED,
    "OTHER": K.BLOCKED,
    "IMAGE_SAFETY": K.BLOCKED,
    "BLOCKLIST": K.PROHIBITED,
    "PROHIBITED_CONTENT": K.PROHIBITED,
    "MODEL_ARMOR": K.PROHIBITED,
    "JAILBREAK": K.PROHIBITED,
    "A_REASON_OF_TOMORROW": K.BLOCKED,
}


def test_every_reason_of_the_sdk_is_decided() -> None:
    """A reason that a new SDK adds to its lists needs a decision here."""
    from google.genai import types  # noqa: PLC0415 - heavy

    finishes = {reason.value for reason in types.FinishReason} - {"STOP", "FINISH_REASON_UNSPECIFIED"}
    assert finishes == set(FINISHES) - {"A_REASON_OF_TOMORROW"}
    assert finishes - set(FINISH_KINDS) == {"PUP_LIMITED_DISABLED"}
    assert {reason.value for reason in types.BlockedReason} <= set(BLOCK_KINDS)


@pytest.mark.parametrize("has_text", [True, False], ids=["some text", "no text"])
@pytest.mark.parametrize(("finish", "expected"), FINISHES.items(), ids=str)
def test_a_finish_reason_has_its_class(
    finish: str, expected: ErrorKind | StopReason, *, has_text: bool
) -> None:
    """However much text came with it, a reason other than STOP is no answer."""
    assert read(reply(*([words()] if has_text else []), finish=finish)) is expected


@pytest.mark.parametrize(("block", "expected"), BLOCKS.items(), ids=str)
def test_a_block_reason_has_its_class(block: str, expected: ErrorKind) -> None:
    """A blocked prompt has no candidates; its tokens are billed and counted all the same."""
    feedback = {"blockReason": block, "blockReasonMessage": "not\nthis"}
    failure = failure_of({"promptFeedback": feedback, "usageMetadata": USAGE})

    assert failure.kind is expected
    assert failure.api_status == block
    assert failure.usage == Usage(input_tokens=1005, output_tokens=37)
    assert block in failure.detail
    assert failure.detail.endswith(": not this")


@pytest.mark.parametrize("finish", ["STOP", None, "", "FINISH_REASON_UNSPECIFIED"])
def test_a_finished_text_is_an_answer(finish: str | None) -> None:
    """STOP, or no reason at all, with text is an answer; its facts are kept."""
    answer = read(reply(words(), finish=finish, modelVersion="gemini-x", responseId="r1"))

    assert answer == Generation(
        text="A cat.",
        usage=Usage(input_tokens=1005, output_tokens=37),
        finish_reason=finish or "",
        model_version="gemini-x",
        response_id="r1",
    )


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": []},
        {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": [{}]},
        {**reply(), "promptFeedback": {"blockReason": "SAFETY"}},
        {"prompt_feedback": {"block_reason": "SAFETY"}},
        reply(words("half"), finish="SAFETY", promptFeedback={"blockReason": "OTHER"}),
    ],
    ids=["no candidates", "an empty candidate", "no parts", "snake case", "both"],
)
def test_a_block_is_seen_beside_candidates(body: Any) -> None:
    """An empty candidate does not hide why the prompt was blocked."""
    assert read(body) is K.BLOCKED


def test_an_answer_beats_the_feedback() -> None:
    """Ratings and even a reason beside a finished answer do not take it away."""
    assert isinstance(read(reply(words(), promptFeedback={"blockReason": "OTHER"})), Generation)
    assert isinstance(read(reply(words(), promptFeedback={"safetyRatings": []})), Generation)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, K.NETWORK),
        ({}, K.NETWORK),
        ([], K.NETWORK),
        ("oops", K.NETWORK),
        (0, K.NETWORK),
        (float("nan"), K.NETWORK),
        ([words()], K.NETWORK),
        ([7, None], K.NETWORK),
        ({"error": {"code": 500, "message": "x", "status": "INTERNAL"}}, K.SERVER),
        ([{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}], K.SERVER),
        ({"error": {"code": "429", "message": "x"}}, K.RATE_LIMITED),
        ({"error": {"status": "RESOURCE_EXHAUSTED"}}, K.RATE_LIMITED),
        ({"error": {"code": 10**400}}, K.SERVER),
        ({"error": "upstream timed out"}, K.SERVER),
        ({"error": None}, K.NETWORK),
        ({"error": {"code": 404, "status": "NOT_FOUND", "message": "x"}}, S.UNKNOWN_MODEL),
        ({"usageMetadata": USAGE}, K.EMPTY),
        ({"candidates": None}, K.EMPTY),
        ({"candidates": []}, K.EMPTY),
        ({"candidates": [None]}, K.EMPTY),
        ({"candidates": "oops"}, K.MALFORMED),
        ({"candidates": {"0": {}}}, K.MALFORMED),
        ({"candidates": [{"content": []}]}, K.EMPTY),
        ({"candidates": [{"content": {"parts": "x"}}]}, K.EMPTY),
        (reply(), K.EMPTY),
        (reply(words("")), K.EMPTY),
        (reply(words(" \n")), K.EMPTY),
        (reply({"text": None}), K.EMPTY),
        (reply(words(thought=True)), K.EMPTY),
        (reply({"functionCall": {"name": "f", "args": {}}}), K.EMPTY),
        (reply({"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}), K.EMPTY),
        (reply(picture(mime_type="audio/wav")), K.EMPTY),
        (reply(picture(thought=True)), K.EMPTY),
        (reply({"inlineData": {"mimeType": "image/png", "data": "this is *not* base64!"}}), K.MALFORMED),
        (reply({"inlineData": {"mimeType": "image/png", "data": "\u00e9"}}), K.MALFORMED),
        (reply({"inlineData": {"mimeType": "image/png"}}), K.MALFORMED),
    ],
    ids=repr,
)
def test_what_is_no_answer(body: Any, expected: ErrorKind | StopReason) -> None:
    """Every odd reply with status 200 has its class."""
    assert read(body) is expected


def test_the_answer_is_what_was_spoken() -> None:
    """Thoughts and code are left out; the parts of the text are joined."""
    parts = [words("hm", thought=True), words("A "), {"executableCode": {"code": "1"}}, 7, words("cat.")]

    answer = read(reply(*parts))

    assert isinstance(answer, Generation)
    assert answer.text == "A cat."


def test_the_first_candidate_is_the_answer() -> None:
    """Other candidates, which were not asked for, are left out."""
    body = reply(words("first"))
    body["candidates"] += reply(words("second"))["candidates"]

    answer = read(body)

    assert isinstance(answer, Generation)
    assert answer.text == "first"


def test_the_spelling_of_protocol_buffers_is_read() -> None:
    """A gateway that prints snake_case is understood."""
    part = {"inline_data": {"mime_type": "image/png", "data": encoded(PNG)}}
    body = {
        "candidates": [{"content": {"parts": [words(), part]}, "finish_reason": "STOP"}],
        "usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 2},
        "model_version": "gemini-x",
        "response_id": "r1",
    }

    assert read(body, wants_images=True) == Generation(
        text="A cat.",
        images=(GeneratedImage(data=PNG, mime_type="image/png"),),
        usage=Usage(input_tokens=3, output_tokens=2, image_output_tokens=2),
        finish_reason="STOP",
        model_version="gemini-x",
        response_id="r1",
    )
    assert read({"candidates": [{"finish_reason": "SAFETY"}]}) is K.BLOCKED


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([picture()], [(PNG, "image/png")]),
        ([picture(JPEG)], [(JPEG, "image/jpeg")]),
        ([picture(mime_type="IMAGE/PNG")], [(PNG, "image/png")]),
        ([picture(mime_type=None)], [(PNG, "image/png")]),
        ([picture(b"of tomorrow", "image/x-new")], [(b"of tomorrow", "image/x-new")]),
        ([picture(), picture(JPEG)], [(PNG, "image/png"), (JPEG, "image/jpeg")]),
        ([picture(PNG, thought=True), picture(JPEG)], [(JPEG, "image/jpeg")]),
        ([picture(PNG, thought=True), picture(JPEG, thought=True)], [(JPEG, "image/jpeg")]),
        ([words("here", thoughtSignature="x"), picture(thoughtSignature="x")], [(PNG, "image/png")]),
        ([picture(), picture(b"RIFF", "audio/wav")], [(PNG, "image/png")]),
    ],
    ids=[
        "png",
        "jpeg called png",
        "capitals",
        "no type",
        "unknown bytes",
        "two",
        "draft first",
        "drafts alone",
        "signatures",
        "sound",
    ],
)
def test_pictures_are_chosen_by_rule(parts: list[Any], expected: list[tuple[bytes, str]]) -> None:
    """All that are no drafts; else the last draft; the bytes decide the type."""
    answer = read(reply(*parts), wants_images=True)

    assert isinstance(answer, Generation)
    assert [(image.data, image.mime_type) for image in answer.images] == expected


@pytest.mark.parametrize("data", [b"\xfb\xff\xfe" * 3, b"\xff", b"\xff\xee"], ids=len)
@pytest.mark.parametrize("is_padded", [True, False])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_both_alphabets_are_read(data: bytes, encode: Any, *, is_padded: bool) -> None:
    """Standard and URL-safe base64, padded or not."""
    text = encode(data).decode()
    part = {"inlineData": {"mimeType": "image/x", "data": text if is_padded else text.rstrip("=")}}

    answer = read(reply(part))

    assert isinstance(answer, Generation)
    assert answer.images[0].data == data


def test_words_instead_of_the_picture_are_kept() -> None:
    """They are paid for, and say why."""
    failure = failure_of(reply(words("I cannot\ndraw this.")), wants_images=True)

    assert failure.kind is K.NO_IMAGE
    assert failure.partial_text == "I cannot\ndraw this."
    assert "I cannot draw this." in failure.detail
    assert failure.usage.output_tokens == 37


def test_a_cut_answer_is_kept() -> None:
    """The beginning, the tokens and the reason of a truncated answer stay."""
    failure = failure_of(reply(words("A c"), finish="MAX_TOKENS"))

    assert (failure.partial_text, failure.api_status, failure.http_status) == ("A c", "MAX_TOKENS", 200)
    assert failure.usage == Usage(input_tokens=1005, output_tokens=37)


@pytest.mark.parametrize("count", [-1, 2**40, 10**400, 1.5, "x", True, [7]], ids=lambda value: str(value)[:9])
def test_wrong_token_counts_are_unknown(count: object) -> None:
    """A number that cannot be one is not counted as zero, and breaks no record."""
    answer = read(reply(words(), usageMetadata={"promptTokenCount": count, "candidatesTokenCount": 3}))

    assert isinstance(answer, Generation)
    assert answer.usage == Usage(input_tokens=0, output_tokens=3, at_least=True)
