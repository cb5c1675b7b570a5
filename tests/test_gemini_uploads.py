"""Rules of gemini/uploads.py: an image too big for one request is lent to the Files API and taken back."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import gemini.client
from errors import ApiFailure, ErrorKind, StopReason
from gemini import uploads
from gemini.client import MAX_INLINE_BYTES, GeminiClient
from tests.emulator import Emulator, Fault, FaultPlan
from tests.gemini_world import IMAGE, KEY, SDK_WARNINGS, TEXT_MODEL, ask, request, until

pytestmark = SDK_WARNINGS

K, S = ErrorKind, StopReason
T = TypeVar("T")
SMALL_LIMIT_BYTES = 1000
BIG = IMAGE + bytes(SMALL_LIMIT_BYTES)


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send all but small images as files, so that the tests need no big ones."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", SMALL_LIMIT_BYTES)


def within(emulator: Emulator, use: Callable[[GeminiClient], Awaitable[T]]) -> tuple[T, float]:
    """Use a client of an emulator; return what comes of it, and the seconds that its end took."""

    async def run() -> tuple[T, float]:
        clock = asyncio.get_running_loop().time
        async with emulator:
            client = GeminiClient(
                api_key=KEY, model=TEXT_MODEL, base_url=emulator.base_url, wants_images=False
            )
            async with client:
                result = await use(client)
                leaving_s = clock()
            return result, clock() - leaving_s

    return asyncio.run(run())


def operations(emulator: Emulator) -> list[str]:
    """Return what was asked of the emulator, in order."""
    return [row.operation for row in emulator.requests]


def test_a_big_image_goes_through_the_files_api() -> None:
    """Above the inline limit the image is uploaded, used and deleted; the answer is about its bytes."""
    emulator = Emulator()
    # More than one of the SDK's chunks of 8 MiB.
    big = IMAGE + bytes(MAX_INLINE_BYTES)

    answer = ask(emulator, asked=request(image=big))

    assert hashlib.sha256(big).hexdigest() in answer.text
    assert operations(emulator)[-1] == "files.delete"
    assert max(row.bytes_received for row in emulator.calls) < 10_000
    assert emulator.files.listed() == []


def test_an_upload_that_is_looked_at_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROCESSING is asked about again until it is over, and so is a state that nobody knows."""
    monkeypatch.setattr(uploads, "POLL_S", 0.01)
    emulator = Emulator(file_states=("PROCESSING", "PROCESSING", "ACTIVE"))

    assert ask(emulator, asked=request(image=BIG)).text
    assert operations(emulator).count("files.get") == 2
    assert ask(Emulator(file_states=("A_STATE_OF_TOMORROW",)), asked=request(image=BIG)).text


def test_an_endless_look_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of the call holds for upload, wait and answer together; the file is deleted."""
    monkeypatch.setattr(uploads, "POLL_S", 0.05)
    emulator = Emulator(file_states=("PROCESSING",))
    asked = request(image=BIG, timeout_s=1.0)

    async def use(client: GeminiClient) -> tuple[object, float]:
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        (result,) = await asyncio.gather(client.generate(asked), return_exceptions=True)
        return result, clock() - begun_s

    (failure, took_s), _ = within(emulator, use)

    assert isinstance(failure, ApiFailure)
    assert failure.kind is K.TIMEOUT
    assert took_s < 2.5
    assert emulator.calls == []
    assert operations(emulator)[-1] == "files.delete"


REFUSALS: dict[Fault, ErrorKind | StopReason] = {
    Fault.RATE_LIMIT: K.RATE_LIMITED,
    Fault.UNAVAILABLE: K.SERVER,
    Fault.UNAVAILABLE_EMPTY: K.SERVER,
    Fault.UNAVAILABLE_BROKEN_JSON: K.NETWORK,
    Fault.BAD_GATEWAY: K.SERVER,
    Fault.TOO_LARGE: K.INVALID_REQUEST,
    Fault.MODEL_NOT_FOUND: K.INVALID_REQUEST,
    Fault.API_KEY_INVALID: S.KEY_INVALID,
    Fault.PERMISSION_DENIED: S.PERMISSION,
    Fault.RESET: K.NETWORK,
    Fault.CUT_BODY: K.NETWORK,
    Fault.OK_EMPTY: K.NETWORK,
    Fault.OK_NULL: K.NETWORK,
    Fault.OK_LIST: K.NETWORK,
    Fault.OK_BROKEN_JSON: K.NETWORK,
    Fault.CAPTIVE_PORTAL: K.NETWORK,
    Fault.NO_CONTENT: K.NETWORK,
}


@pytest.mark.parametrize(("step", "requests"), [("start", 1), ("chunk", 2)])
def test_a_failed_upload_is_what_it_is(step: str, requests: int) -> None:
    """However an upload is refused, it is refused once, with the class that the refusal has elsewhere."""
    emulator = Emulator(file_faults={step: list(REFUSALS)}, hint_s=7.0)

    async def use(client: GeminiClient) -> list[object]:
        found: list[object] = []
        for _ in REFUSALS:
            found += await asyncio.gather(client.generate(request(image=BIG)), return_exceptions=True)
        return found

    errors, _ = within(emulator, use)

    found = [
        error.kind if isinstance(error, ApiFailure) else getattr(error, "reason", error) for error in errors
    ]
    assert dict(zip(REFUSALS, found, strict=True)) == REFUSALS
    assert getattr(errors[0], "retry_after_s", None) == pytest.approx(7.0)
    assert operations(emulator).count("files.upload") == requests * len(REFUSALS)
    assert emulator.calls == []


def test_an_upload_that_hangs_ends_at_the_deadline() -> None:
    """No step of the upload can outlast the call's deadline."""
    for step in ("start", "chunk"):
        with pytest.raises(ApiFailure) as caught:
            ask(Emulator(file_faults={step: [Fault.HANG]}), asked=request(image=BIG, timeout_s=0.5))

        assert caught.value.kind is K.TIMEOUT


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.UNAVAILABLE, K.SERVER),
        (Fault.FILE_NOT_FOUND, K.INVALID_REQUEST),
        (Fault.OK_LIST, K.NETWORK),
        (Fault.OK_NULL, K.NETWORK),
    ],
)
def test_a_failed_look_is_what_it_is(
    fault: Fault, expected: ErrorKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for the state can fail too; the file is deleted all the same."""
    monkeypatch.setattr(uploads, "POLL_S", 0.01)
    emulator = Emulator(file_states=("PROCESSING",), file_faults={"get": [fault]})

    with pytest.raises(ApiFailure) as caught:
        ask(emulator, asked=request(image=BIG))

    assert caught.value.kind is expected
    assert operations(emulator)[-1] == "files.delete"


def test_an_image_that_the_service_cannot_read_fails() -> None:
    """FAILED is about this image; it is deleted, and nothing is asked about it."""
    emulator = Emulator(file_states=("FAILED",))

    with pytest.raises(ApiFailure) as caught:
        ask(emulator, asked=request(image=BIG))

    assert caught.value.kind is K.INVALID_REQUEST
    assert operations(emulator)[-1] == "files.delete"
    assert emulator.calls == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault.UNAVAILABLE,
        Fault.RESET,
        Fault.FILE_NOT_FOUND,
        Fault.CAPTIVE_PORTAL,
        Fault.OK_LIST,
        Fault.CUT_BODY,
    ],
)
def test_a_deletion_that_fails_harms_nobody(fault: Fault) -> None:
    """The answer stays; the file expires by itself."""
    emulator = Emulator(file_faults={"delete": [fault]})

    assert ask(emulator, asked=request(image=BIG)).text
    assert operations(emulator).count("files.delete") == 1 or fault in {Fault.RESET, Fault.CUT_BODY}


def test_a_deletion_that_hangs_delays_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is there at once; the client's end waits for the deletion, but not for long."""
    monkeypatch.setattr(uploads, "FORGET_S", 0.4)
    emulator = Emulator(file_faults={"delete": [Fault.HANG]})

    async def use(client: GeminiClient) -> float:
        clock = asyncio.get_running_loop().time
        await client.generate(request(image=BIG))
        begun_s = clock()
        await client.generate(request())  # goes on meanwhile
        return clock() - begun_s

    another_s, closing_s = within(emulator, use)

    assert another_s < 0.35
    assert closing_s < 1.0


@pytest.mark.parametrize("fault", [None, Fault.HANG], ids=["prompt deletion", "deletion that hangs"])
def test_a_cancelled_call_takes_its_file_back(fault: Fault | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancellation is not held up, and still the file is deleted."""
    monkeypatch.setattr(uploads, "FORGET_S", 0.4)
    plan = FaultPlan(per_call={0: Fault.HANG})
    emulator = Emulator(plan=plan, file_faults={"delete": [fault] if fault else []})

    async def use(client: GeminiClient) -> float:
        clock = asyncio.get_running_loop().time
        call = asyncio.create_task(client.generate(request(image=BIG)))
        await until(lambda: emulator.calls)
        begun_s = clock()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()
        return clock() - begun_s

    cancelling_s, closing_s = within(emulator, use)

    assert cancelling_s < 0.3
    assert closing_s < 1.0
    assert fault or emulator.files.listed() == []
