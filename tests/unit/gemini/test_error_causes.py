"""Rules of gemini/error_causes.py and the remedies: the advice fits the fault."""

from dataclasses import replace
from typing import Any

import pytest

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason
from gemini.error_mapping import HttpError, to_exception
from reports.advice import ADVICE, advice_for, stop_remedy
from reports.error_log import build_error_log
from tests.support.outcomes import failed, run_info

BAD = "INVALID_ARGUMENT"
C = Cause
RPC = "type.googleapis.com/google.rpc."
PAGE = "<!DOCTYPE html><title>403 Forbidden</title><h1>Blocked by WebShield</h1>"


def google(code: int, status: str, message: str, reason: str = "") -> dict[str, Any]:
    """Return an error as Google sends it."""
    details = [{"@type": f"{RPC}ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Unable to process input image. Please retry or report it.", C.IMAGE),
        ("Provided image is not valid.", C.IMAGE),
        ("Source image 0 too short", C.IMAGE),
        ("Unsupported MIME type: image/x-icon", C.IMAGE),
        ("* GenerateContentRequest.contents[0].parts[0].inline_data.mime_type: must be image/png", C.IMAGE),
        ("The input token count (3475108) exceeds the maximum number of tokens allowed.", C.REQUEST),
        ('Invalid JSON payload received. Unknown name "imageConfig": Cannot find field.', C.REQUEST),
        ("Image input modality is not enabled for models/gemini-x", C.REQUEST),
        ("The requested combination of response modalities (IMAGE) is not supported.", C.REQUEST),
        ("Image size 8K is not supported by the model.", C.REQUEST),
        ("Aspect ratio is not enabled for this model", C.REQUEST),
        ("Thinking level MINIMAL is not supported for this model. Please retry with another.", C.REQUEST),
        ("Penalty is not enabled for models/gemini-x", C.REQUEST),
        ("Invalid CachedContent name: 17.", C.REQUEST),
        ("temperature must be in the range [0.0, 2.0]", C.REQUEST),
        ("The specified schema produces a constraint that has too many states", C.REQUEST),
        ("This model does not support image input", C.REQUEST),
        ("Request payload size exceeds the limit: 20971520 bytes.", C.TOO_LARGE),
        ("request body too large", C.TOO_LARGE),
        ("Request contains an invalid argument.", None),
        ("", None),
    ],
)
def test_a_refused_request_is_blamed_on_what_is_at_fault(message: str, cause: Cause | None) -> None:
    """Image, setting and size are told apart; where the service does not say it, nothing is claimed."""
    failure = to_exception(HttpError(status=400, body=google(400, BAD, message)))

    assert isinstance(failure, ApiFailure)
    assert (failure.kind, failure.cause) == (ErrorKind.INVALID_REQUEST, cause)
    outcome = replace(failed("a.jpg", failure.kind), detail=failure.detail, cause=cause)
    assert ("Repair the image" in build_error_log(outcome, run_info())) is (cause is C.IMAGE)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (413, "<html>413 Request Entity Too Large", C.TOO_LARGE),
        (405, "Method Not Allowed", C.GATEWAY),
        (451, PAGE, C.GATEWAY),
        (404, google(404, "NOT_FOUND", "File files/x not found."), C.UPLOAD),
    ],
)
def test_other_refusals_of_one_request(status: int, body: Any, cause: Cause) -> None:
    """What is no 400 is the size, the upload, or a server on the way."""
    failure = to_exception(HttpError(status=status, body=body))

    assert isinstance(failure, ApiFailure)
    assert failure.cause is cause
    assert advice_for(failure.kind, options={}, cause=cause) != ADVICE[failure.kind]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            400,
            google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            "region",
        ),
        (400, {"error": {"message": "User location is not supported for the API use."}}, "region"),
        (400, google(400, "FAILED_PRECONDITION", "Not available in your country."), "country"),
        (400, google(400, "FAILED_PRECONDITION", "The free tier is not available here."), "enable billing"),
        (403, google(403, "PERMISSION_DENIED", "This API needs billing enabled."), "enable billing"),
        (403, google(403, "PERMISSION_DENIED", "x", "BILLING_DISABLED"), "enable billing"),
        (403, google(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), "another API key"),
        (403, google(403, "PERMISSION_DENIED", "x", "API_KEY_SERVICE_BLOCKED"), "restrictions"),
        (403, google(403, "PERMISSION_DENIED", "x", "API_KEY_IP_ADDRESS_BLOCKED"), "restrictions"),
        (403, google(403, "PERMISSION_DENIED", "x", "SERVICE_DISABLED"), "enable the API"),
        (403, google(403, "PERMISSION_DENIED", "Consumer has been suspended."), "support"),
        (403, google(403, "PERMISSION_DENIED", "The caller does not have permission"), "restrictions"),
        (
            403,
            google(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"),
            "GEMINI_API_KEY",
        ),
        (401, google(401, "UNAUTHENTICATED", "Request had invalid credentials."), "GEMINI_API_KEY"),
        (401, google(401, "UNAUTHENTICATED", "x", "ACCESS_TOKEN_TYPE_UNSUPPORTED"), "GEMINI_API_KEY"),
        (401, {"error": {"message": "no such token", "code": "invalid_token"}}, "gateway"),
        (403, PAGE, "the proxy and the network"),
        (402, {"error": "Insufficient credit balance"}, "gateway"),
        (402, google(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "ai.studio"),
    ],
)
def test_a_refused_account_gets_a_remedy_of_its_own(status: int, body: Any, words: str) -> None:
    """Place, billing, leaked and restricted keys, projects and gateways each have another cure."""
    error = to_exception(HttpError(status=status, body=body))

    assert isinstance(error, FatalError)
    remedy = stop_remedy(error)
    assert words in remedy
    assert ("restrictions" in remedy) == (words == "restrictions")
    assert ("ai.studio" in remedy) == (words == "ai.studio")


def test_every_cause_has_a_remedy() -> None:
    """A cause that is added needs words, for images or for the end of a run."""
    for cause in Cause:
        by_image = advice_for(ErrorKind.INVALID_REQUEST, options={}, cause=cause)
        by_run = stop_remedy(FatalError(StopReason.BUDGET, "x", cause=cause))
        assert by_image != ADVICE[ErrorKind.INVALID_REQUEST] or by_run != StopReason.BUDGET.remedy


@pytest.mark.parametrize(
    ("status", "word", "message", "tries"),
    [
        (400, BAD, "Unable to process input image. Please retry or report it.", 1),
        (400, BAD, "Something went wrong, please try again.", 1),
        (400, BAD, "Please try your request again later.", 1),
        (400, BAD, "An error occurred. Please retry your request.", 1),
        (409, "ABORTED", "The operation was aborted.", 1),
        (400, BAD, "Thinking level MINIMAL is not supported. Please retry with other thinking level.", 0),
        (400, BAD, "Please try again with a smaller image.", 0),
        (400, BAD, "Please try another model.", 0),
        (400, BAD, "Provided image is not valid.", 0),
        (409, "ALREADY_EXISTS", "The id is taken.", 0),
        (503, "UNAVAILABLE", "Please retry.", 0),
    ],
)
def test_what_asks_to_be_tried_again_is_tried_once_more(
    status: int, word: str, message: str, tries: int
) -> None:
    """Only where the same request may pass; classes that are retried anyway need no further tries."""
    failure = to_exception(HttpError(status=status, body=google(status, word, message)))

    assert isinstance(failure, ApiFailure)
    assert failure.extra_tries == tries
