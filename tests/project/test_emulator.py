"""Rules of the emulator: the real SDK and a plain HTTP client take it for the Gemini API.

The rows of docs/api-facts.md, section 1.4, are proved here: what the emulator sends must surface in
google-genai 3.4.0 as the replies of the real service do.
"""

import hashlib
import io
import json
import warnings
from http import HTTPStatus
from typing import Any

import aiohttp
import pydantic
import pytest
from google.genai import errors, types
from PIL import Image

from tests.emulator import Emulator, Fault, FaultPlan
from tests.emulator.probe import (
    IMAGE_MODEL,
    IMPATIENCE_MS,
    JPEG,
    PATIENCE_MS,
    SDK_WARNING,
    SHA256,
    TEXT_MODEL,
    ask,
    catch,
    run_with_sdk,
)
from tests.emulator.service import REPLIES
from tests.emulator.transport import WIRE_FAULTS

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a proxy of the machine out: the SDK's session obeys HTTP_PROXY even for loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def ask_for(service: Any, fault: Fault) -> Any:
    """Send a request for text and a picture, with a short timeout for faults without a reply."""
    timeout_ms = IMPATIENCE_MS if fault is Fault.HANG else PATIENCE_MS
    return await ask(service, model=IMAGE_MODEL, timeout_ms=timeout_ms)


@pytest.fixture(scope="module")
def surfaced() -> dict[Fault, Any]:
    """Every fault once, through the real SDK: what came back or was raised."""
    emulator = Emulator(plan=FaultPlan(per_call=dict(enumerate(Fault))), hint_s=36.429760048, drip_s=0.05)

    async def story(service: Any) -> dict[Fault, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # unknown reasons; has its own test
            return {fault: await catch(ask_for(service, fault)) for fault in Fault}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        results = run_with_sdk(emulator, story)
    assert [row.outcome for row in emulator.calls] == [fault.value for fault in Fault]
    return results


def test_every_fault_is_a_reply_or_happens_to_the_wire() -> None:
    """No fault without a meaning, none with two."""
    assert set(REPLIES) | set(WIRE_FAULTS) == set(Fault)
    assert not set(REPLIES) & set(WIRE_FAULTS)


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (Fault.RATE_LIMIT, 429, "RESOURCE_EXHAUSTED"),
        (Fault.RATE_LIMIT_EVENT_STREAM, 429, "Too Many Requests"),
        (Fault.PAYMENT_REQUIRED, 402, "RESOURCE_EXHAUSTED"),
        (Fault.INVALID_ARGUMENT, 400, "INVALID_ARGUMENT"),
        (Fault.LOCATION, 400, "FAILED_PRECONDITION"),
        (Fault.UNAUTHENTICATED, 401, "UNAUTHENTICATED"),
        (Fault.PERMISSION_DENIED, 403, "PERMISSION_DENIED"),
        (Fault.MODEL_NOT_FOUND, 404, "NOT_FOUND"),
        (Fault.FILE_NOT_FOUND, 404, "NOT_FOUND"),
        (Fault.REQUEST_TIMEOUT, 408, "DEADLINE_EXCEEDED"),
        (Fault.TOO_LARGE, 413, HTTPStatus(413).phrase),
        (Fault.CANCELLED, 499, "CANCELLED"),
        (Fault.INTERNAL, 500, "INTERNAL"),
        (Fault.BAD_GATEWAY, 502, "Bad Gateway"),
        (Fault.UNAVAILABLE, 503, "UNAVAILABLE"),
        (Fault.UNAVAILABLE_EMPTY, 503, None),
        (Fault.LIST_WRAPPED, 503, "UNAVAILABLE"),
        (Fault.DEADLINE_EXCEEDED, 504, "DEADLINE_EXCEEDED"),
        (Fault.CREATED, 201, None),
        (Fault.NO_CONTENT, 204, None),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else "",
)
def test_an_error_surfaces_with_its_code(
    surfaced: dict[Fault, Any], fault: Fault, code: int, status: str | None
) -> None:
    """HTTP errors come out as the SDK's APIError with code and status, 201 and 204 among them."""
    error = surfaced[fault]

    assert isinstance(error, errors.APIError)
    assert (error.code, error.status) == (code, status)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        # With the request read, a reset is an OS error (docs/api-facts.md, section 1.4).
        (Fault.RESET, aiohttp.ClientOSError),
        (Fault.CLOSE, aiohttp.ServerDisconnectedError),
        (Fault.CUT_BODY, aiohttp.ClientPayloadError),
        (Fault.RESET_BODY, aiohttp.ClientPayloadError),
        (Fault.HANG, TimeoutError),
        (Fault.UNAVAILABLE_BROKEN_JSON, json.JSONDecodeError),
        (Fault.OK_BROKEN_JSON, json.JSONDecodeError),
        (Fault.CAPTIVE_PORTAL, json.JSONDecodeError),
        (Fault.BAD_BASE64, pydantic.ValidationError),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else "",
)
def test_what_is_no_reply_surfaces_as_its_own_error(
    surfaced: dict[Fault, Any], fault: Fault, kind: type[Exception]
) -> None:
    """Broken connections and broken JSON are the transport's errors, not the SDK's."""
    assert type(surfaced[fault]) is kind


@pytest.mark.parametrize(
    "fault", [Fault.OK_EMPTY, Fault.OK_NULL, Fault.OK_LIST, Fault.OK_ERROR, Fault.REDIRECT]
)
def test_a_200_without_an_answer_is_silent(surfaced: dict[Fault, Any], fault: Fault) -> None:
    """The SDK raises nothing: the client itself must see that there are no candidates."""
    assert surfaced[fault].candidates is None


def test_candidates_that_are_a_word_become_empty_candidates(surfaced: dict[Fault, Any]) -> None:
    """`"candidates": "oops"` is four candidates without content."""
    assert [candidate.content for candidate in surfaced[Fault.CANDIDATES_STRING].candidates] == [None] * 4


def test_every_finish_reason_of_the_sdk_can_be_had(surfaced: dict[Fault, Any]) -> None:
    """The list of finish reasons is whole, so a mapping can be tested against all of them."""
    answers = [result for result in surfaced.values() if getattr(result, "candidates", None)]
    seen = {candidate.finish_reason for answer in answers for candidate in answer.candidates}

    assert set(types.FinishReason) <= seen


def test_every_block_reason_of_the_sdk_can_be_had_and_has_no_candidates(surfaced: dict[Fault, Any]) -> None:
    """A blocked prompt has feedback and nothing else."""
    blocked = [result for result in surfaced.values() if getattr(result, "prompt_feedback", None)]

    assert set(types.BlockedReason) <= {result.prompt_feedback.block_reason for result in blocked}
    assert all(result.candidates is None for result in blocked)


def test_an_unknown_reason_is_a_warning_only() -> None:
    """A finish reason that the SDK does not know warns and goes on."""
    emulator = Emulator(plan=FaultPlan(per_call={0: Fault.FINISH_UNKNOWN}))

    async def story(service: Any) -> str:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            return str((await ask(service)).candidates[0].finish_reason.value)

    assert run_with_sdk(emulator, story) == "A_REASON_OF_TOMORROW"


def test_google_s_hints_stand_where_google_puts_them(surfaced: dict[Fault, Any]) -> None:
    """RetryInfo in whole seconds, the exact wait in the message, the quota's id and value."""
    error = surfaced[Fault.DAILY_QUOTA]
    failure, _, retry = error.details["error"]["details"]

    assert "Please retry in 36.429760048s." in error.message
    assert retry["retryDelay"] == "36s"
    assert failure["violations"][0]["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    assert failure["violations"][0]["quotaValue"] == "20"


def test_other_hints_come_alone(surfaced: dict[Fault, Any]) -> None:
    """A header only; a message only; and as an event stream the whole JSON is inside the message."""
    header = surfaced[Fault.RATE_LIMIT_HEADER_ONLY]
    assert (header.response.headers["Retry-After"], "details" in header.details["error"]) == ("37", False)

    message = surfaced[Fault.RATE_LIMIT_MESSAGE_ONLY]
    assert "Please retry in 36.429760048s." in message.message
    assert "Retry-After" not in message.response.headers

    streamed = json.loads(surfaced[Fault.RATE_LIMIT_EVENT_STREAM].message)
    assert streamed["error"]["details"][-1]["retryDelay"] == "36s"


def test_limit_zero_says_so_twice(surfaced: dict[Fault, Any]) -> None:
    """A model that is not in the tier: `limit: 0` in the message, "0" as the quota's value."""
    error = surfaced[Fault.LIMIT_ZERO]

    assert "limit: 0, model: gemini-nano-banana-2.1" in error.message
    assert error.details["error"]["details"][0]["violations"][0]["quotaValue"] == "0"


def pictures(result: Any) -> list[tuple[bytes, str, bool]]:
    """Return bytes, declared type and thought flag of the pictures of an answer."""
    parts = result.candidates[0].content.parts
    return [
        (part.inline_data.data, part.inline_data.mime_type, bool(part.thought))
        for part in parts
        if part.inline_data
    ]


def test_pictures_are_real_and_belong_to_image_and_prompt(surfaced: dict[Fault, Any]) -> None:
    """The same image and prompt give the same bytes, another prompt gives others; Pillow opens them."""

    async def story(service: Any) -> list[Any]:
        return [
            await ask(service, model=IMAGE_MODEL, prompt=prompt) for prompt in ("describe it", "paint it")
        ]

    same, other = (pictures(answer)[0][0] for answer in run_with_sdk(Emulator(), story))
    final = pictures(surfaced[Fault.SLOW_DRIP])[0][0]

    assert (final == same, final == other) == (True, False)
    with Image.open(io.BytesIO(final)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (64, 64))


def test_draft_pictures_are_thoughts_and_come_before_the_real_one(surfaced: dict[Fault, Any]) -> None:
    """The last picture without the thought flag is the answer."""
    drafts = pictures(surfaced[Fault.DRAFT_IMAGES])

    assert [thought for _, _, thought in drafts] == [True, True, False]
    assert drafts[-1][0] == pictures(surfaced[Fault.SLOW_DRIP])[0][0]
    assert len({data for data, _, _ in drafts}) == 3


def test_a_jpeg_may_be_called_a_png(surfaced: dict[Fault, Any]) -> None:
    """The declared type and the bytes disagree, and the bytes are a real JPEG."""
    data, mime_type, _ = pictures(surfaced[Fault.JPEG_AS_PNG])[0]

    assert mime_type == "image/png"
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.format == "JPEG"


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the SDK's chunks are bytes
def test_the_files_api_serves_the_sdk_s_upload() -> None:
    """Upload in chunks, get, ask about, list and delete a file; a deleted file is unknown."""
    content = JPEG * 50_000  # more than one chunk of 8 MiB
    emulator = Emulator()

    async def story(service: Any) -> tuple[str, int, list[str], Any]:
        config = {"mime_type": "image/jpeg"}
        file = await service.files.upload(file=io.BytesIO(content), config=config)
        answer = await service.models.generate_content(model=TEXT_MODEL, contents=[file, "describe it"])
        listed = [each.name async for each in await service.files.list()]
        await service.files.delete(name=file.name)
        return answer.text, file.size_bytes, listed, await catch(service.files.get(name=file.name))

    text, size_bytes, listed, gone = run_with_sdk(emulator, story)

    assert f"image {hashlib.sha256(content).hexdigest()}" in text
    assert (size_bytes, len(listed), gone.code) == (len(content), 1, 404)


def test_models_and_tokens_can_be_asked_for() -> None:
    """models.get, models.list and countTokens answer; none of them is a generateContent call."""
    emulator = Emulator(models=[TEXT_MODEL])

    async def story(service: Any) -> tuple[str, list[str], int, Any]:
        model = await service.models.get(model=TEXT_MODEL)
        listed = [each.name async for each in await service.models.list()]
        tokens = await service.models.count_tokens(model=TEXT_MODEL, contents="one two three")
        return model.name, listed, tokens.total_tokens, await catch(service.models.get(model="none"))

    name, listed, tokens, unknown = run_with_sdk(emulator, story)

    assert ([name], tokens, unknown.code) == (listed, 4, 404)
    assert [row.operation for row in emulator.requests] == [
        "models.get",
        "models.list",
        "countTokens",
        "models.get",
    ]
    assert emulator.calls == []


def test_one_attempt_is_one_request() -> None:
    """With attempts=1 the SDK's hidden resend after a reset is off: one failure, one request."""
    emulator = Emulator(plan=FaultPlan(per_image={SHA256: [Fault.RESET]}))

    async def story(service: Any) -> Any:
        await catch(ask(service))
        return len(emulator.requests), await ask(service)

    requests, answer = run_with_sdk(emulator, story)

    assert requests == 1
    assert f"image {SHA256}" in answer.text
    assert emulator.answered(SHA256) == 1


def test_a_client_that_gives_up_leaves_the_hanging_call() -> None:
    """A hang ends with the client's timeout, and is not in flight beside the next call."""
    emulator = Emulator(plan=FaultPlan(counted={Fault.HANG: 1}))

    async def story(service: Any) -> tuple[Any, int]:
        given_up = await catch(ask(service, timeout_ms=IMPATIENCE_MS))
        await ask(service)
        return given_up, emulator.calls[-1].in_flight

    given_up, in_flight = run_with_sdk(emulator, story)

    assert (type(given_up), str(given_up), in_flight) == (TimeoutError, "", 1)


def test_a_proxy_of_the_machine_catches_loopback_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTP_PROXY and without NO_PROXY the SDK never comes here (docs/api-facts.md, section 1.1)."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    emulator = Emulator()

    error = run_with_sdk(emulator, lambda service: catch(ask(service)))

    assert type(error) is aiohttp.ClientProxyConnectionError
    assert emulator.requests == []
