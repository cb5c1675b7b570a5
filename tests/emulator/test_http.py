"""Rules of the emulator over HTTP: it reads, refuses, counts and logs as the real service does."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import pytest

from tests.emulator.faults import Fault
from tests.emulator.plan import FaultPlan
from tests.emulator.probe import (
    JPEG,
    KEY,
    SDK_WARNING,
    SHA256,
    TEXT_MODEL,
    ask,
    catch,
    raw,
    request_of,
    run_with_sdk,
)
from tests.emulator.quotas import FixedWindow, Quota, SlidingWindow, Unit
from tests.emulator.server import Emulator

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a proxy of the machine out: the SDK's session obeys HTTP_PROXY even for loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/jpeg", "data": base64.b64encode(JPEG).decode()}},
        {"inline_data": {"mime_type": "image/jpeg", "data": base64.urlsafe_b64encode(JPEG).decode()}},
        {
            "inlineData": {
                "mime_type": "image/jpeg",
                "data": base64.urlsafe_b64encode(JPEG).decode().rstrip("="),
            }
        },
    ],
    ids=["standard, camel", "url-safe, snake", "unpadded, mixed"],
)
def test_both_alphabets_and_spellings_are_the_same_image(part: dict[str, Any]) -> None:
    """However it is written, the answer names the hash of the bytes, and the prompt."""
    status, answer = raw(Emulator(), request_of(part))

    assert status == 200
    assert answer["candidates"][0]["content"]["parts"] == [{"text": f"image {SHA256}\nprompt describe it"}]
    assert answer["usageMetadata"]["promptTokenCount"] == 1120 + 3
    assert answer["modelVersion"] == TEXT_MODEL


def _inline(mime_type: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _path(model: str) -> str:
    return f"/v1beta/models/{model}:generateContent"


GOOD_PART = _inline("image/jpeg", base64.b64encode(JPEG).decode())
_PICTURES = {"response_modalities": ["IMAGE"]}


@pytest.mark.parametrize(
    ("document", "headers", "path", "refusal"),
    [
        (request_of(GOOD_PART), {"x-goog-api-key": "wrong"}, "", (400, "API key not valid")),
        (request_of(GOOD_PART), {}, "", (403, "unregistered callers")),
        (request_of(GOOD_PART), KEY, _path("none"), (404, "models/none is not found")),
        (request_of(GOOD_PART, prompt="x"), {"x-goog-api-key": "wrong"}, "", (400, 'Unknown name "prompt"')),
        (b"{", KEY, "", (400, "Invalid JSON payload")),
        (request_of(_inline("image/png", "a*")), KEY, "", (400, "Base64 decoding")),
        (request_of(_inline("image/gif", "")), KEY, "", (400, "Unsupported MIME type")),
        (
            request_of({"fileData": {"mimeType": "image/png", "fileUri": "files/x"}}),
            KEY,
            "",
            (404, "files/x"),
        ),
        (request_of(GOOD_PART), KEY, "/v1beta/models/m:streamGenerateContent", (501, "not speak POST")),
        (request_of(GOOD_PART, generation_config=_PICTURES), KEY, "", (400, "only supports text output")),
    ],
    ids=[
        *(
            "wrong key",
            "no key",
            "unknown model",
            "unknown field before wrong key",
            "broken JSON",
            "bad base64",
        ),
        *("unsupported type", "unknown file", "streaming", "picture from a text model"),
    ],
)
def test_a_wrong_request_is_refused_in_google_s_words(
    document: Any, headers: Mapping[str, str], path: str, refusal: tuple[int, str]
) -> None:
    """Refusals come before any fault, each with its status; the body is looked at before the key."""
    emulator = Emulator(plan=FaultPlan(per_call={0: Fault.RESET}))
    status, message = refusal

    got, body = raw(emulator, document, headers, path)

    assert (got, body["error"]["code"]) == (status, status)
    assert message in body["error"]["message"]
    assert emulator.requests[0].outcome == f"http {status}"


@pytest.mark.parametrize(
    ("emulator", "headers", "status"),
    [
        (Emulator(body_limit_bytes=100), KEY, 413),
        (Emulator(check_images=True), KEY, 400),
        (Emulator(check_deadline=True), {**KEY, "X-Server-Timeout": "5"}, 400),
    ],
    ids=["too large", "no picture", "deadline too short"],
)
def test_the_stricter_rules_of_the_real_service(
    emulator: Emulator, headers: Mapping[str, str], status: int
) -> None:
    """Size, content and deadline are checked where a test asks for it."""
    fake = _inline("image/png", base64.b64encode(b"no picture" * 20).decode())

    assert raw(emulator, request_of(fake), headers)[0] == status


def test_the_log_tells_what_came_and_how_many_at_once() -> None:
    """Each call is logged with image, prompt, size and the number in flight."""
    emulator = Emulator(latency_s=(0.3, 0.4))

    async def scenario(service: Any) -> None:
        await asyncio.gather(*(ask(service) for _ in range(5)))

    run_with_sdk(emulator, scenario)
    row = emulator.calls[-1]

    assert emulator.max_in_flight == 5
    assert sorted(row.in_flight for row in emulator.calls) == [1, 2, 3, 4, 5]
    assert (row.image_sha256, row.prompt, row.mime_type) == (SHA256, "describe it", "image/jpeg")
    assert (row.outcome, row.key_ok, row.model) == ("answered", True, TEXT_MODEL)
    assert row.bytes_received > len(JPEG)
    assert row.at_s > 0
    assert row.wall_time.endswith("+00:00")


def test_a_quota_refuses_in_google_s_body() -> None:
    """Above the limit: 429 with the quota's value and a hint of no longer than its window."""
    emulator = Emulator(
        quotas=[Quota(meter=SlidingWindow(1, 60.0)), Quota(meter=FixedWindow(9999), unit=Unit.TOKENS)]
    )

    async def scenario(service: Any) -> Any:
        await ask(service)
        refused = await catch(ask(service))
        failure, _, retry = refused.details["error"]["details"]  # type: ignore[union-attr]
        return failure["violations"], float(retry["retryDelay"].removesuffix("s"))

    violations, hint_s = run_with_sdk(emulator, scenario)

    assert [violation["quotaValue"] for violation in violations] == ["1"]
    assert 0 < hint_s <= 60
    assert [row.outcome for row in emulator.calls] == ["answered", "quota"]


def test_a_reset_begins_anew() -> None:
    """After a reset the script begins again, or a new one does; the log is empty."""
    emulator = Emulator(plan=FaultPlan(per_call={0: Fault.SAFETY}))

    async def scenario(service: Any) -> list[str]:
        outcomes = []
        for plan in (None, FaultPlan(per_call={0: Fault.SPII})):
            await ask(service)
            emulator.reset(plan)
            await ask(service)
            outcomes += [row.outcome for row in emulator.calls]
        return outcomes

    assert run_with_sdk(emulator, scenario) == ["safety", "spii"]
