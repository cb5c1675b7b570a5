"""Rules of gemini/client.py: the real SDK over real HTTP against the emulator, fault by fault."""

import asyncio
import hashlib
import logging
from collections.abc import Callable

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini import produces_images
from gemini.client import MAX_INLINE_BYTES, GeminiClient
from models import Generation, GenerationRequest
from tests.emulator import Emulator, Fault, FaultPlan

pytestmark = [
    # google-genai 3.4.0 subclasses aiohttp's session, and aiohttp warns of bodies above 1 MiB.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

TEXT_MODEL = "gemini-3.5-flash-lite"
IMAGE_MODEL = "gemini-nano-banana-2.1"
KEY = "test-key"
IMAGE = b"\xff\xd8\xff\xe0 a small picture \xfb\xff\xfe"
K, S = ErrorKind, StopReason

EXPECTED: dict[Fault, ErrorKind | StopReason] = {
    Fault.RATE_LIMIT: K.RATE_LIMITED,
    Fault.TOKEN_LIMIT: K.RATE_LIMITED,
    Fault.RATE_LIMIT_HEADER_ONLY: K.RATE_LIMITED,
    Fault.RATE_LIMIT_MESSAGE_ONLY: K.RATE_LIMITED,
    Fault.RATE_LIMIT_NO_HINT: K.RATE_LIMITED,
    Fault.RATE_LIMIT_EVENT_STREAM: K.RATE_LIMITED,
    Fault.DAILY_QUOTA: K.RATE_LIMITED,
    Fault.DAILY_AND_MINUTE: K.RATE_LIMITED,
    Fault.LIMIT_ZERO: S.NO_QUOTA,
    Fault.SPENDING_CAP: S.SPEND_LIMIT,
    Fault.CREDITS_429: S.CREDIT_SPENT,
    Fault.PAYMENT_REQUIRED: S.CREDIT_SPENT,
    Fault.INVALID_ARGUMENT: K.INVALID_REQUEST,
    Fault.CORRUPT_IMAGE: K.INVALID_REQUEST,
    Fault.DEADLINE_TOO_SHORT: K.INVALID_REQUEST,
    Fault.API_KEY_INVALID: S.KEY_INVALID,
    Fault.LOCATION: S.PERMISSION,
    Fault.UNAUTHENTICATED: S.PERMISSION,
    Fault.PERMISSION_DENIED: S.PERMISSION,
    Fault.MODEL_NOT_FOUND: S.UNKNOWN_MODEL,
    Fault.MODEL_GONE: S.UNKNOWN_MODEL,
    Fault.FILE_NOT_FOUND: K.INVALID_REQUEST,
    Fault.REQUEST_TIMEOUT: K.TIMEOUT,
    Fault.TOO_LARGE: K.INVALID_REQUEST,
    Fault.CANCELLED: K.SERVER,
    Fault.INTERNAL: K.SERVER,
    Fault.BAD_GATEWAY: K.SERVER,
    Fault.UNAVAILABLE: K.SERVER,
    Fault.OVERLOADED: K.SERVER,
    Fault.UNAVAILABLE_BROKEN_JSON: K.NETWORK,
    Fault.UNAVAILABLE_EMPTY: K.SERVER,
    Fault.DEADLINE_EXCEEDED: K.TIMEOUT,
    Fault.LIST_WRAPPED: K.SERVER,
    Fault.CREATED: K.NETWORK,
    Fault.NO_CONTENT: K.NETWORK,
    Fault.REDIRECT: K.EMPTY,
    Fault.RESET: K.NETWORK,
    Fault.CLOSE: K.NETWORK,
    Fault.CUT_BODY: K.NETWORK,
    Fault.RESET_BODY: K.NETWORK,
    Fault.HANG: K.TIMEOUT,
    Fault.OK_BROKEN_JSON: K.NETWORK,
    Fault.CAPTIVE_PORTAL: K.NETWORK,
    Fault.OK_EMPTY: K.NETWORK,
    Fault.OK_NULL: K.NETWORK,
    Fault.OK_LIST: K.NETWORK,
    Fault.OK_ERROR: K.SERVER,
    Fault.BAD_BASE64: K.MALFORMED,
    Fault.CANDIDATES_STRING: K.MALFORMED,
    Fault.NO_CANDIDATES: K.EMPTY,
    Fault.STOP_NO_PARTS: K.EMPTY,
    Fault.NO_ROLE: K.EMPTY,
    Fault.MAX_TOKENS_EMPTY: K.TRUNCATED,
    Fault.MAX_TOKENS_PARTIAL: K.TRUNCATED,
    Fault.FINISH_UNSPECIFIED: K.EMPTY,
    Fault.FINISH_UNKNOWN: K.INVALID_REQUEST,
    Fault.SAFETY: K.BLOCKED,
    Fault.PROHIBITED_CONTENT: K.PROHIBITED,
    Fault.BLOCKLIST: K.PROHIBITED,
    Fault.SPII: K.PROHIBITED,
    Fault.RECITATION: K.RECITATION,
    Fault.LANGUAGE: K.MALFORMED,
    Fault.OTHER: K.MALFORMED,
    Fault.ESCALATION: K.PROHIBITED,
    Fault.MODEL_ARMOR: K.PROHIBITED,
    Fault.PUP_LIMITED_DISABLED: S.PERMISSION,
    Fault.CONTINUATION: K.TRUNCATED,
    Fault.MALFORMED_RESPONSE: K.MALFORMED,
    Fault.MALFORMED_FUNCTION_CALL: K.MALFORMED,
    Fault.UNEXPECTED_TOOL_CALL: K.MALFORMED,
    Fault.TOO_MANY_TOOL_CALLS: K.MALFORMED,
    Fault.MISSING_THOUGHT_SIGNATURE: K.MALFORMED,
    Fault.IMAGE_SAFETY: K.BLOCKED,
    Fault.IMAGE_PROHIBITED_CONTENT: K.PROHIBITED,
    Fault.IMAGE_RECITATION: K.RECITATION,
    Fault.IMAGE_OTHER: K.NO_IMAGE,
    Fault.NO_IMAGE: K.NO_IMAGE,
    Fault.BLOCK_UNSPECIFIED: K.BLOCKED,
    Fault.BLOCK_UNKNOWN: K.INVALID_REQUEST,
    Fault.BLOCK_SAFETY: K.BLOCKED,
    Fault.BLOCK_OTHER: K.BLOCKED,
    Fault.BLOCK_BLOCKLIST: K.PROHIBITED,
    Fault.BLOCK_PROHIBITED: K.PROHIBITED,
    Fault.BLOCK_IMAGE_SAFETY: K.BLOCKED,
    Fault.BLOCK_MODEL_ARMOR: K.PROHIBITED,
    Fault.BLOCK_JAILBREAK: K.PROHIBITED,
    Fault.THOUGHTS_ONLY: K.EMPTY,
}
"""What each fault must be taken for by a client of a text model."""

ANSWERED_ALL_THE_SAME = {
    Fault.SLOW_DRIP,
    Fault.THOUGHT_FIRST,
    Fault.DRAFT_IMAGES,
    Fault.SEVERAL_PICTURES,
    Fault.JPEG_AS_PNG,
    Fault.TEXT_ONLY,
    Fault.REFUSAL,  # words that decline are told from words that answer in a later step
}


def request(prompt: str = "describe it", image: bytes = IMAGE, timeout_s: float = 20.0) -> GenerationRequest:
    """Return a request for a small picture."""
    return GenerationRequest(
        key="a.jpg", image=image, mime_type="image/jpeg", prompt=prompt, timeout_s=timeout_s
    )


def ask(
    emulator: Emulator,
    *,
    model: str = TEXT_MODEL,
    key: str = KEY,
    url: Callable[[str], str] = str,
    asked: GenerationRequest | None = None,
) -> Generation:
    """Put one request to an emulator and return the answer, or raise what the client raises."""

    async def call() -> Generation:
        async with emulator:
            client = GeminiClient(
                api_key=key,
                model=model,
                base_url=url(emulator.base_url),
                wants_images=produces_images(model),
            )
            async with client:
                return await client.generate(asked or request())

    return asyncio.run(call())


def one(fault: Fault, **options: object) -> Emulator:
    """Return an emulator whose first call meets this fault."""
    return Emulator(plan=FaultPlan(per_call={0: fault}), **options)  # type: ignore[arg-type]


def test_every_fault_has_its_class() -> None:
    """The table below is total: a new fault of the emulator needs a decision."""
    assert set(EXPECTED) | ANSWERED_ALL_THE_SAME == set(Fault)


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_is_taken_for_what_it_is(fault: Fault) -> None:
    """Each fault becomes its one kind or reason, with one request and a sentence without the key."""
    emulator = one(fault)
    asked = request(timeout_s=0.4 if fault is Fault.HANG else 20.0)

    with pytest.raises((ApiFailure, FatalError)) as caught:
        ask(emulator, asked=asked)

    error = caught.value
    assert isinstance(error, ApiFailure | FatalError)
    assert (error.kind if isinstance(error, ApiFailure) else error.reason) is EXPECTED[fault]
    assert error.detail
    assert "\n" not in error.detail
    assert KEY not in error.detail
    assert len(emulator.calls) == 1


@pytest.mark.parametrize("fault", sorted(ANSWERED_ALL_THE_SAME))
def test_an_odd_answer_is_still_an_answer(fault: Fault) -> None:
    """Thoughts, drafts and slowness do not hide the answer."""
    assert ask(one(fault)).text


def test_an_answer_belongs_to_its_image_and_prompt() -> None:
    """What was sent arrives byte for byte, and the answer carries tokens, version and id."""
    answer = ask(Emulator(), asked=request(prompt='a "prompt"\nof two lines \u00e9\U0001f600'))

    assert hashlib.sha256(IMAGE).hexdigest() in answer.text
    assert 'a "prompt"' in answer.text
    assert answer.usage.input_tokens >= 1120
    assert answer.usage.output_tokens > 0
    assert answer.finish_reason == "STOP"
    assert answer.model_version
    assert answer.response_id


def test_an_image_model_is_asked_for_pictures() -> None:
    """Words and a picture come back, the picture as the bytes say it is."""
    answer = ask(Emulator(), model=IMAGE_MODEL)

    assert [image.mime_type for image in answer.images] == ["image/png"]
    assert answer.images[0].data.startswith(b"\x89PNG")
    assert answer.text


@pytest.mark.parametrize(
    ("fault", "count", "mime_type"),
    [
        (Fault.DRAFT_IMAGES, 1, "image/png"),
        (Fault.SEVERAL_PICTURES, 2, "image/png"),
        (Fault.JPEG_AS_PNG, 1, "image/jpeg"),
    ],
)
def test_pictures_are_chosen_and_named_by_what_they_are(fault: Fault, count: int, mime_type: str) -> None:
    """Drafts are left out, several are all kept, and the bytes decide the type."""
    answer = ask(one(fault), model=IMAGE_MODEL)

    assert len(answer.images) >= count
    assert fault is not Fault.DRAFT_IMAGES or len(answer.images) == 1
    assert answer.images[0].mime_type == mime_type


def test_words_alone_are_no_answer_of_an_image_model() -> None:
    """Text instead of the picture is a failure, and the text is kept, since it is paid for."""
    with pytest.raises(ApiFailure) as caught:
        ask(one(Fault.TEXT_ONLY), model=IMAGE_MODEL)

    assert caught.value.kind is ErrorKind.NO_IMAGE
    assert caught.value.partial_text
    assert caught.value.input_tokens > 0


def test_a_truncated_answer_keeps_what_came() -> None:
    """The beginning of a cut-off answer is paid for and is not thrown away."""
    with pytest.raises(ApiFailure) as caught:
        ask(one(Fault.MAX_TOKENS_PARTIAL))

    assert caught.value.partial_text


@pytest.mark.parametrize(
    "fault",
    [
        Fault.RATE_LIMIT,
        Fault.TOKEN_LIMIT,
        Fault.RATE_LIMIT_HEADER_ONLY,
        Fault.RATE_LIMIT_MESSAGE_ONLY,
        Fault.RATE_LIMIT_EVENT_STREAM,
        Fault.DAILY_QUOTA,
        Fault.DAILY_AND_MINUTE,
    ],
)
def test_the_servers_hint_is_found_wherever_it_stands(fault: Fault) -> None:
    """Header, RetryInfo, message or a body of the wrong type: the wait is known."""
    with pytest.raises(ApiFailure) as caught:
        ask(one(fault, hint_s=7.0))

    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 7.0


def test_a_429_without_a_hint_has_none() -> None:
    """Silence is not made into a number."""
    with pytest.raises(ApiFailure) as caught:
        ask(one(Fault.RATE_LIMIT_NO_HINT))

    assert caught.value.retry_after_s is None


def test_the_exceeded_quotas_are_named() -> None:
    """The ids of all violations and the first limit reach the pacer."""
    with pytest.raises(ApiFailure) as caught:
        ask(one(Fault.RATE_LIMIT))

    assert any("PerMinute" in quota for quota in caught.value.quota_ids)
    assert caught.value.quota_value


def test_nobody_listens() -> None:
    """A refused connection says so, and that nothing can have been billed."""

    async def call() -> Generation:
        async with Emulator() as emulator:
            url = emulator.base_url
        async with GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False) as client:
            return await client.generate(request())

    with pytest.raises(ApiFailure) as caught:
        asyncio.run(call())

    assert caught.value.kind is ErrorKind.NETWORK
    assert not caught.value.reached_server


def test_a_wrong_key_ends_the_run() -> None:
    """Google's 400 with API_KEY_INVALID is about the key, not about the image."""
    with pytest.raises(FatalError) as caught:
        ask(Emulator(), key="another-key")

    assert caught.value.reason is StopReason.KEY_INVALID


def test_a_big_image_goes_through_the_files_api() -> None:
    """Above the inline limit the image is uploaded, used and deleted; the answer is about its bytes."""
    emulator = Emulator()
    big = IMAGE + bytes(MAX_INLINE_BYTES)

    answer = ask(emulator, asked=request(image=big))

    assert hashlib.sha256(big).hexdigest() in answer.text
    operations = [row.operation for row in emulator.requests]
    assert operations[-1] == "files.delete"
    assert max(row.bytes_received for row in emulator.calls) < 10_000


@pytest.mark.parametrize("ending", ["/", "/v1beta", "/v1beta/"], ids=["slash", "version", "both"])
def test_spellings_of_the_base_url(ending: str) -> None:
    """A slash or the version at the end of the base URL does no harm."""
    assert ask(Emulator(), url=lambda base: base + ending).text


def test_the_environment_cannot_bend_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the SDK would obey change neither endpoint, nor key, nor mode."""
    for name, value in {
        "GOOGLE_GENAI_USE_ENTERPRISE": "true",
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",
        "GOOGLE_API_KEY": "another-key",
        "GEMINI_API_KEY": "a-third-key",
        "GOOGLE_GENAI_API_VERSION": "v1",
    }.items():
        monkeypatch.setenv(name, value)
    emulator = Emulator()

    assert ask(emulator).text
    assert all(row.key_ok for row in emulator.requests)


def test_the_key_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    """Even at the most talkative level the key is not said."""
    caplog.set_level(logging.DEBUG)

    with pytest.raises(FatalError):
        ask(Emulator(), key="AIza-secret-secret")

    client = GeminiClient(api_key="AIza-secret-secret", model=TEXT_MODEL, base_url=None, wants_images=False)
    assert "AIza-secret" not in caplog.text + repr(client) + str(vars(client).keys())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-3.5-flash-lite", False),
        ("gemini-4-argon", False),
        ("gemini-nano-banana-2.1", True),
        ("gemini-3.1-flash-lite-image", True),
        ("nano-banana-pro-preview", True),
    ],
)
def test_models_with_pictures_are_known_by_name(model: str, *, expected: bool) -> None:
    """The names of November 2026 are told apart."""
    assert produces_images(model) is expected
