"""Rules of gemini/client.py: each fault of the emulator gets its class, with either client."""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from models import Generation
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.gemini_harness import (
    CLIENT_CLASSES,
    IMAGE,
    KEY,
    SDK_WARNINGS,
    TEXT_MODEL,
    ClientClass,
    request,
)

pytestmark = SDK_WARNINGS

K, S = ErrorKind, StopReason

EXPECTED: dict[Fault, ErrorKind | StopReason] = {
    Fault.REFUSAL: K.REFUSED,
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
    Fault.UNAVAILABLE_BROKEN_JSON: K.SERVER,
    Fault.UNAVAILABLE_EMPTY: K.SERVER,
    Fault.DEADLINE_EXCEEDED: K.TIMEOUT,
    Fault.LIST_WRAPPED: K.SERVER,
    Fault.CREATED: K.NETWORK,
    Fault.NO_CONTENT: K.NETWORK,
    Fault.REDIRECT: K.NETWORK,
    Fault.RESET: K.NETWORK,
    Fault.CLOSE: K.NETWORK,
    Fault.CUT_BODY: K.NETWORK,
    Fault.RESET_BODY: K.NETWORK,
    Fault.HANG: K.TIMEOUT,
    Fault.OK_BROKEN_JSON: K.NETWORK,
    Fault.CAPTIVE_PORTAL: K.NETWORK,
    Fault.OK_EMPTY: K.NETWORK,
    Fault.OK_NULL: K.NETWORK,
    Fault.OK_ERROR: K.SERVER,
    Fault.BAD_BASE64: K.MALFORMED,
    Fault.CANDIDATES_STRING: K.MALFORMED,
    Fault.NO_CANDIDATES: K.EMPTY,
    Fault.STOP_NO_PARTS: K.EMPTY,
    Fault.NO_ROLE: K.EMPTY,
    Fault.MAX_TOKENS_EMPTY: K.TRUNCATED,
    Fault.MAX_TOKENS_PARTIAL: K.TRUNCATED,
    Fault.FINISH_UNSPECIFIED: K.EMPTY,
    Fault.FINISH_UNKNOWN: K.MALFORMED,
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
    Fault.BLOCK_UNKNOWN: K.BLOCKED,
    Fault.BLOCK_SAFETY: K.BLOCKED,
    Fault.BLOCK_OTHER: K.BLOCKED,
    Fault.BLOCK_BLOCKLIST: K.PROHIBITED,
    Fault.BLOCK_PROHIBITED: K.PROHIBITED,
    Fault.BLOCK_IMAGE_SAFETY: K.BLOCKED,
    Fault.BLOCK_MODEL_ARMOR: K.PROHIBITED,
    Fault.BLOCK_JAILBREAK: K.PROHIBITED,
    Fault.THOUGHTS_ONLY: K.EMPTY,
}
"""The class that each fault must get from a client of a text model."""

ANSWERED_ALL_THE_SAME = {
    Fault.SLOW_DRIP,
    Fault.THOUGHT_FIRST,
    Fault.DRAFT_IMAGES,
    Fault.SEVERAL_PICTURES,
    Fault.JPEG_AS_PNG,
    Fault.OK_LIST,
    Fault.TEXT_ONLY,
}


def test_every_fault_has_its_class() -> None:
    """The table below is total: a new fault of the emulator needs a decision."""
    assert set(EXPECTED) | ANSWERED_ALL_THE_SAME == set(Fault)


def image_for(fault: Fault) -> bytes:
    """Return the image that meets this fault."""
    return IMAGE + fault.encode()


@dataclass(frozen=True)
class Outcomes:
    """The results of all faults, met at the same time by one client."""

    by_fault: dict[Fault, object]
    requests: Counter[str]
    """By the hash of the image."""


@pytest.fixture(scope="module", params=CLIENT_CLASSES, ids=["our own body", "the SDK's"])
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """Meet every fault, all at once, with one client."""
    return collect_outcomes(request.param)


def collect_outcomes(client_class: ClientClass) -> Outcomes:
    """Return the results of all faults with one of the two clients."""
    plan = FaultPlan(per_image={hashlib.sha256(image_for(fault)).hexdigest(): [fault] for fault in Fault})

    async def run() -> Outcomes:
        async with Emulator(plan=plan) as emulator:
            client = client_class(
                api_key=KEY, model=TEXT_MODEL, base_url=emulator.base_url, wants_images=False
            )
            async with client:
                await client.generate(request())  # builds what the SDK builds late
                calls = [
                    client.generate(
                        request(image=image_for(fault), timeout_s=2.0 if fault is Fault.HANG else 20.0)
                    )
                    for fault in Fault
                ]
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
            seen = Counter(row.image_sha256 for row in emulator.calls)
        return Outcomes(dict(zip(Fault, outcomes, strict=True)), seen)

    return asyncio.run(run())


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_is_taken_for_what_it_is(fault: Fault, outcomes: Outcomes) -> None:
    """Each fault becomes its one kind or reason, with one request and a sentence without the key."""
    error = outcomes.by_fault[fault]

    assert isinstance(error, ApiFailure | FatalError)
    assert (error.kind if isinstance(error, ApiFailure) else error.reason) is EXPECTED[fault]
    assert error.detail
    assert error.detail.isprintable()
    assert len(error.detail) <= 400
    assert KEY not in error.detail
    assert outcomes.requests[hashlib.sha256(image_for(fault)).hexdigest()] == 1


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_failure_drags_nothing_along(fault: Fault, outcomes: Outcomes) -> None:
    """Our error refers neither to the SDK's error, whose text may hold the key, nor to its reply."""
    error = outcomes.by_fault[fault]

    assert isinstance(error, Exception)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("fault", sorted(ANSWERED_ALL_THE_SAME))
def test_an_odd_answer_is_still_an_answer(fault: Fault, outcomes: Outcomes) -> None:
    """Thoughts, drafts and slowness do not hide the answer."""
    answer = outcomes.by_fault[fault]

    assert isinstance(answer, Generation)
    assert answer.text
