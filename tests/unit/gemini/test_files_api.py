"""Rules of gemini/files_api.py: a big image is uploaded for one request and then deleted."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import gemini.client
from errors import ApiFailure, ErrorKind, StopReason
from gemini import files_api
from gemini.client import MAX_INLINE_BYTES, GeminiClient
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gemini_harness import IMAGE, KEY, SDK_WARNINGS, TEXT_MODEL, ask, request

pytestmark = SDK_WARNINGS

K, S = ErrorKind, StopReason
T = TypeVar("T")
SMALL_LIMIT_BYTES = 1000
BIG = IMAGE + bytes(SMALL_LIMIT_BYTES)


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send all but small images as files, so that the tests need no big ones."""
    monkeypatch.setattr(gemini.client, "MAX_INLINE_BYTES", SMALL_LIMIT_BYTES)


def run_with_client(emulator: Emulator, use: Callable[[GeminiClient], Awaitable[T]]) -> T:
    """Use a client of an emulator and close it; return what comes of it.

    The time limit only turns a hang into a failure.
    """

    async def run() -> T:
        async with asyncio.timeout(60), emulator:
            client = GeminiClient(
                api_key=KEY, model=TEXT_MODEL, base_url=emulator.base_url, wants_images=False
            )
            async with client:
                return await use(client)

    return asyncio.run(run())


def operations(emulator: Emulator) -> list[str]:
    """Return what was asked of the emulator, in order."""
    return [row.operation for row in emulator.requests]


def test_a_big_image_goes_through_the_files_api() -> None:
    """Above the inline limit the image is uploaded, used and deleted; the answer is about its bytes."""
    emulator = Emulator()
    # More than one of the SDK's chunks of 8 MiB.
    big = IMAGE + bytes(MAX_INLINE_BYTES)

    answer = ask(emulator, question=request(image=big))

    assert hashlib.sha256(big).hexdigest() in answer.text
    assert operations(emulator)[-1] == "files.delete"
    assert max(row.bytes_received for row in emulator.calls) < 10_000
    assert emulator.files.listed() == []


def test_an_upload_that_is_looked_at_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROCESSING is asked about again until it is over, and so is an unknown state."""
    monkeypatch.setattr(files_api, "POLL_INTERVAL_S", 0.01)
    emulator = Emulator(file_states=("PROCESSING", "PROCESSING", "ACTIVE"))

    assert ask(emulator, question=request(image=BIG)).text
    assert operations(emulator).count("files.get") == 2
    assert ask(Emulator(file_states=("A_STATE_OF_TOMORROW",)), question=request(image=BIG)).text


def test_an_endless_look_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of the call holds for upload, wait and answer together; the file is deleted."""
    monkeypatch.setattr(files_api, "POLL_INTERVAL_S", 0.05)
    emulator = Emulator(file_states=("PROCESSING",))
    asked = request(
        image=BIG, timeout_s=3.0
    )  # the first import of the SDK counts, and takes long on a busy machine

    async def use(client: GeminiClient) -> object:
        (result,) = await asyncio.gather(client.generate(asked), return_exceptions=True)
        return result

    failure = run_with_client(emulator, use)

    assert isinstance(failure, ApiFailure)
    assert failure.kind is K.TIMEOUT
    assert emulator.calls == []
    assert operations(emulator)[-1] == "files.delete"


REFUSALS: dict[Fault, ErrorKind | StopReason] = {
    Fault.RATE_LIMIT: K.RATE_LIMITED,
    Fault.UNAVAILABLE: K.SERVER,
    Fault.UNAVAILABLE_EMPTY: K.SERVER,
    Fault.UNAVAILABLE_BROKEN_JSON: K.SERVER,
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

    errors = run_with_client(emulator, use)

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
            ask(Emulator(file_faults={step: [Fault.HANG]}), question=request(image=BIG, timeout_s=0.5))

        assert caught.value.kind is K.TIMEOUT


LOOKS = {
    Fault.UNAVAILABLE: K.SERVER,
    Fault.UNAVAILABLE_BROKEN_JSON: K.SERVER,
    Fault.FILE_NOT_FOUND: K.INVALID_REQUEST,
    Fault.OK_LIST: K.NETWORK,
    Fault.OK_NULL: K.NETWORK,
}


def test_a_failed_look_is_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the state can fail too; the file is deleted all the same."""
    monkeypatch.setattr(files_api, "POLL_INTERVAL_S", 0.01)
    emulator = Emulator(file_states=("PROCESSING",), file_faults={"get": list(LOOKS)})

    async def use(client: GeminiClient) -> list[object]:
        calls = [client.generate(request(image=BIG)) for _ in LOOKS]
        return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]

    found = [getattr(failure, "kind", failure) for failure in run_with_client(emulator, use)]

    assert dict(zip(LOOKS, found, strict=True)) == LOOKS
    assert operations(emulator).count("files.delete") == len(LOOKS)
    assert emulator.files.listed() == []


def test_an_image_that_the_service_cannot_read_fails() -> None:
    """FAILED is about this image; it is deleted, and nothing is asked about it."""
    emulator = Emulator(file_states=("FAILED",))

    with pytest.raises(ApiFailure) as caught:
        ask(emulator, question=request(image=BIG))

    assert caught.value.kind is K.INVALID_REQUEST
    assert operations(emulator)[-1] == "files.delete"
    assert emulator.calls == []


def test_a_deletion_that_fails_harms_nobody() -> None:
    """The answer stays; the file expires by itself; it is not asked for twice."""
    faults = [
        Fault.UNAVAILABLE,
        Fault.RESET,
        Fault.FILE_NOT_FOUND,
        Fault.CAPTIVE_PORTAL,
        Fault.NO_CONTENT,
        Fault.OK_LIST,
        Fault.CUT_BODY,
    ]
    emulator = Emulator(file_faults={"delete": faults})

    async def use(client: GeminiClient) -> list[str]:
        return [(await client.generate(request(image=BIG))).text for _ in faults]

    assert all(run_with_client(emulator, use))
    # A library may send a DELETE again whose connection broke, as the protocol allows.
    broken = operations(emulator).count("files.delete") - len(faults)
    assert 0 <= broken <= len({Fault.RESET, Fault.CUT_BODY})


def test_a_deletion_that_hangs_delays_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers come while it hangs; the client's end waits for the deletion, but gives it up."""
    monkeypatch.setattr(files_api, "DELETE_TIMEOUT_S", 0.4)
    emulator = Emulator(file_faults={"delete": [Fault.HANG]})

    async def use(client: GeminiClient) -> int:
        await client.generate(request(image=BIG))
        await client.generate(request())  # goes on meanwhile
        return running_deletions()

    assert run_with_client(emulator, use) == 1


@pytest.mark.parametrize("fault", [None, Fault.HANG], ids=["prompt deletion", "deletion that hangs"])
def test_a_cancelled_call_takes_its_file_back(fault: Fault | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancellation is not held up by the deletion, which is done all the same."""
    monkeypatch.setattr(files_api, "DELETE_TIMEOUT_S", 0.4)
    plan = FaultPlan(per_call={0: Fault.HANG})
    emulator = Emulator(plan=plan, file_faults={"delete": [fault] if fault else []})

    async def use(client: GeminiClient) -> int:
        call = asyncio.create_task(client.generate(request(image=BIG)))
        await emulator.log.until_arrived(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()
        return running_deletions()

    assert run_with_client(emulator, use) == 1
    assert fault or emulator.files.listed() == []


def running_deletions() -> int:
    """Return how many deletions are under way in the background."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    return sum("Uploads._delete" in getattr(one, "__qualname__", "") for one in coroutines)
