"""Rules of gemini/client.py against the emulator over HTTP, with our requests and the SDK's."""

import asyncio
import hashlib
import logging

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.client import GeminiClient
from gemini.model_info import produces_images
from models import Generation
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gemini_harness import (
    IMAGE,
    IMAGE_MODEL,
    KEY,
    SDK_WARNINGS,
    TEXT_MODEL,
    ClientClass,
    ask,
    each_client_class,
    emulator_with,
    request,
)

pytestmark = SDK_WARNINGS


@each_client_class
def test_an_answer_belongs_to_its_image_and_prompt(client_class: ClientClass) -> None:
    """What was sent arrives byte for byte, and the answer carries tokens, version and id."""
    answer = ask(
        Emulator(),
        client_class=client_class,
        question=request(prompt='a "prompt"\nof two lines \u00e9\U0001f600'),
    )

    assert hashlib.sha256(IMAGE).hexdigest() in answer.text
    assert 'a "prompt"' in answer.text
    assert answer.usage.input_tokens >= 1120
    assert answer.usage.output_tokens > 0
    assert answer.finish_reason == "STOP"
    assert answer.model_version
    assert answer.response_id


@each_client_class
def test_an_image_model_is_asked_for_pictures(client_class: ClientClass) -> None:
    """Words and a picture come back, the picture as the bytes say it is."""
    answer = ask(Emulator(), client_class=client_class, model=IMAGE_MODEL)

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
    answer = ask(emulator_with(fault), model=IMAGE_MODEL)

    assert len(answer.images) >= count
    assert fault is not Fault.DRAFT_IMAGES or len(answer.images) == 1
    assert answer.images[0].mime_type == mime_type


@each_client_class
def test_words_alone_are_no_answer_of_an_image_model(client_class: ClientClass) -> None:
    """Text instead of the picture is a failure, and the text is kept, since it is paid for."""
    with pytest.raises(ApiFailure) as caught:
        ask(emulator_with(Fault.TEXT_ONLY), client_class=client_class, model=IMAGE_MODEL)

    assert caught.value.kind is ErrorKind.NO_IMAGE
    assert caught.value.partial_text
    assert caught.value.usage.input_tokens > 0


@each_client_class
def test_a_truncated_answer_keeps_what_came(client_class: ClientClass) -> None:
    """The beginning of a cut-off answer is paid for and is not thrown away."""
    with pytest.raises(ApiFailure) as caught:
        ask(emulator_with(Fault.MAX_TOKENS_PARTIAL), client_class=client_class)

    assert caught.value.partial_text


@each_client_class
def test_the_servers_hint_is_found_wherever_it_stands(client_class: ClientClass) -> None:
    """Header, RetryInfo, message or a body of the wrong type: the wait is known."""
    faults = [
        Fault.RATE_LIMIT,
        Fault.TOKEN_LIMIT,
        Fault.RATE_LIMIT_HEADER_ONLY,
        Fault.RATE_LIMIT_MESSAGE_ONLY,
        Fault.RATE_LIMIT_EVENT_STREAM,
        Fault.DAILY_QUOTA,
        Fault.DAILY_AND_MINUTE,
    ]

    async def calls() -> list[object]:
        plan = FaultPlan(per_call=dict(enumerate(faults)))
        async with Emulator(plan=plan, hint_s=7.0) as emulator:
            client = client_class(
                api_key=KEY, model=TEXT_MODEL, base_url=emulator.base_url, wants_images=False
            )
            async with client:
                return [
                    (await asyncio.gather(client.generate(request()), return_exceptions=True))[0]
                    for _ in faults
                ]

    for fault, failure in zip(faults, asyncio.run(calls()), strict=True):
        assert isinstance(failure, ApiFailure)
        assert failure.retry_after_s is not None, fault
        assert failure.retry_after_s >= 7.0


@each_client_class
def test_a_429_without_a_hint_has_none(client_class: ClientClass) -> None:
    """Without a hint there is no number."""
    with pytest.raises(ApiFailure) as caught:
        ask(emulator_with(Fault.RATE_LIMIT_NO_HINT), client_class=client_class)

    assert caught.value.retry_after_s is None


@each_client_class
def test_the_exceeded_quotas_are_named(client_class: ClientClass) -> None:
    """The ids of all violations and the first limit reach the pacer."""
    with pytest.raises(ApiFailure) as caught:
        ask(emulator_with(Fault.RATE_LIMIT), client_class=client_class)

    assert any("PerMinute" in quota for quota in caught.value.quota_ids)
    assert caught.value.quota_value


@each_client_class
def test_nobody_listens(client_class: ClientClass) -> None:
    """A refused connection is reported, and that nothing can have been billed."""

    async def call() -> Generation:
        async with Emulator() as emulator:
            url = emulator.base_url
        async with client_class(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False) as client:
            return await client.generate(request())

    with pytest.raises(ApiFailure) as caught:
        asyncio.run(call())

    assert caught.value.kind is ErrorKind.NETWORK
    assert not caught.value.reached_server


@each_client_class
def test_a_wrong_key_ends_the_run(client_class: ClientClass) -> None:
    """Google's 400 with API_KEY_INVALID is about the key, not about the image."""
    with pytest.raises(FatalError) as caught:
        ask(Emulator(), client_class=client_class, key="another-key")

    assert caught.value.reason is StopReason.KEY_INVALID


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
    """Even at the most verbose level the key is not logged."""
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
    """Models with and without pictures are recognized by their names of November 2026."""
    assert produces_images(model) is expected
