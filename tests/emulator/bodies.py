"""Error bodies as Google's servers word them: one builder for each fault that is an HTTP error.

Source: docs/api-facts.md, section 3.4, bodies A to G as captured in 2026, and section 1.4 for the malformed
ones.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.emulator.faults import Fault
from tests.emulator.quotas import FixedWindow, Quota, Unit
from tests.emulator.replies import HTML_TYPE, Context, Reply, json_reply

_TYPE = "type.googleapis.com/google.rpc."
_EXCEEDED = (
    "You exceeded your current quota, please check your plan and billing details. For more information on"
    " this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage,"
    " head to: https://ai.dev/rate-limit. "
)
_CREDITS = (
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage"
    " your project and billing. Learn more at https://ai.google.dev/gemini-api/docs/billing#prepay."
)
_HELP = {
    "@type": f"{_TYPE}Help",
    "links": [
        {
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
        }
    ],
}
_MINUTE = Quota(meter=FixedWindow(5))
_DAY = Quota(meter=FixedWindow(20), per_day=True)
_TOKENS = Quota(meter=FixedWindow(250_000), unit=Unit.TOKENS)
_NONE_AT_ALL = Quota(meter=FixedWindow(0), per_day=True)


def error_reply(
    code: int, status: str, message: str, details: Sequence[Mapping[str, Any]] = (), *, http: int = 0
) -> Reply:
    """Return an error in Google's envelope; `http` differs from `code` only where Google is odd."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return json_reply({"error": error}, status=http or code)


def quota_reply(model: str, violations: Sequence[Quota], retry_s: float) -> Reply:
    """Return the 429 for these limits, with the hint as Google prints it in both places."""
    lines = "".join(f"\n* Quota exceeded for metric: {_limit(quota, model)}" for quota in violations)
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPE}QuotaFailure", "violations": [_violation(quota, model) for quota in violations]},
        _HELP,
        {"@type": f"{_TYPE}RetryInfo", "retryDelay": _retry_delay(retry_s)},
    ]
    message = f"{_EXCEEDED}{lines}\n{retry_sentence(retry_s)}"
    return error_reply(429, "RESOURCE_EXHAUSTED", message, details)


def retry_sentence(retry_s: float) -> str:
    """Return the sentence that carries the hint in a message."""
    return f"Please retry in {_seconds(retry_s)}."


def api_key_invalid() -> Reply:
    """Return body E: a wrong key is a 400."""
    message = "API key not valid. Please pass a valid API key."
    info = {
        "@type": f"{_TYPE}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    localized = {"@type": f"{_TYPE}LocalizedMessage", "locale": "en-US", "message": message}
    return error_reply(400, "INVALID_ARGUMENT", message, [info, localized])


def key_missing() -> Reply:
    """Return the 403 for a request without any key."""
    message = (
        "Method doesn't allow unregistered callers (callers without established identity)."
        " Please use API Key or other form of API consumer identity to call this API."
    )
    return error_reply(403, "PERMISSION_DENIED", message)


def model_not_found(model: str) -> Reply:
    """Return the 404 for a model that this API version does not have."""
    message = (
        f"models/{model} is not found for API version v1beta, or is not supported for generateContent."
        " Call ListModels to see the list of available models and their supported methods."
    )
    return error_reply(404, "NOT_FOUND", message)


def file_not_found(name: str) -> Reply:
    """Return the 404 for a file that is unknown or has expired."""
    return error_reply(404, "NOT_FOUND", f"File {name} not found or may have expired.")


def invalid_argument(message: str) -> Reply:
    """Return the 400 for a request that is wrong in itself."""
    return error_reply(400, "INVALID_ARGUMENT", message)


def corrupt_image() -> Reply:
    """Return the 400 for bytes that are no picture."""
    return invalid_argument("Unable to process input image. Please retry or report in the forum.")


def deadline_too_short(seconds: str) -> Reply:
    """Return the 400 for a deadline below ten seconds (livekit/agents#3723)."""
    return invalid_argument(
        f"Manually set deadline {seconds}s is too short. Minimum allowed deadline is 10s."
    )


def too_large() -> Reply:
    """Return the front end's page for a body that is too big."""
    return _page(413, "Request Entity Too Large", "Your client issued a request that was too large.")


def unsupported_path(what: str) -> Reply:
    """Return a clear refusal of what this emulator does not do."""
    return error_reply(501, "UNIMPLEMENTED", f"The emulator does not speak {what}.")


def _limit(quota: Quota, model: str) -> str:
    return f"{quota.metric}, limit: {quota.meter.limit}, model: {model}"


def _violation(quota: Quota, model: str) -> dict[str, Any]:
    return {
        "quotaMetric": quota.metric,
        "quotaId": quota.quota_id,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(quota.meter.limit),
    }


def _retry_delay(retry_s: float) -> str:
    """Print a RetryInfo: whole seconds, rounded down as seen in body A (36.43 s became "36s")."""
    return f"{math.floor(retry_s)}s" if retry_s >= 1 else _seconds(retry_s)


def _seconds(value_s: float) -> str:
    return f"{value_s:.9f}".rstrip("0").rstrip(".") + "s"


def _page(status: int, title: str, text: str) -> Reply:
    html = f"<!DOCTYPE html>\n<html lang=en><title>Error {status} ({title})!!1</title>\n<p>{status}. {text}"
    return Reply(status=status, body=html.encode(), content_type=HTML_TYPE)


def _body_d(context: Context) -> Reply:
    return quota_reply(context.model, [_NONE_AT_ALL], context.hint_s)


def _body_b(context: Context) -> Reply:
    # Captured without quotaValue, unlike the others.
    reply = quota_reply(context.model, [_DAY, _MINUTE, _TOKENS], context.hint_s)
    document = json.loads(reply.body)
    for violation in document["error"]["details"][0]["violations"]:
        del violation["quotaValue"]
    return json_reply(document, status=429)


def _header_only(context: Context) -> Reply:
    reply = error_reply(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
    return dataclasses.replace(reply, headers={"Retry-After": str(math.ceil(context.hint_s))})


def _message_only(context: Context) -> Reply:
    message = f"Resource has been exhausted (e.g. check quota).\n{retry_sentence(context.hint_s)}"
    return error_reply(429, "RESOURCE_EXHAUSTED", message)


def _event_stream(context: Context) -> Reply:
    reply = quota_reply(context.model, [_MINUTE], context.hint_s)
    return dataclasses.replace(reply, content_type="text/event-stream")


def _always(reply: Reply) -> Callable[[Context], Reply]:
    return lambda _: reply


def _error(code: int, status: str, message: str) -> Callable[[Context], Reply]:
    return _always(error_reply(code, status, message))


_UNAVAILABLE = error_reply(
    503,
    "UNAVAILABLE",
    "This model is currently experiencing high demand. Spikes in demand are usually temporary."
    " Please try again later.",
)
_SPENDING = "Your project has exceeded its spending cap. Please go to AI Studio to manage your spending cap."

ERRORS: Mapping[Fault, Callable[[Context], Reply]] = {
    Fault.RATE_LIMIT: lambda context: quota_reply(context.model, [_MINUTE], context.hint_s),
    Fault.TOKEN_LIMIT: lambda context: quota_reply(context.model, [_TOKENS], context.hint_s),
    Fault.RATE_LIMIT_HEADER_ONLY: _header_only,
    Fault.RATE_LIMIT_MESSAGE_ONLY: _message_only,
    Fault.RATE_LIMIT_NO_HINT: _error(
        429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."
    ),
    Fault.RATE_LIMIT_EVENT_STREAM: _event_stream,
    Fault.DAILY_QUOTA: lambda context: quota_reply(context.model, [_DAY], context.hint_s),
    Fault.DAILY_AND_MINUTE: _body_b,
    Fault.LIMIT_ZERO: _body_d,
    Fault.SPENDING_CAP: _error(429, "RESOURCE_EXHAUSTED", _SPENDING),
    Fault.CREDITS_429: _error(429, "RESOURCE_EXHAUSTED", _CREDITS),
    Fault.PAYMENT_REQUIRED: _error(402, "RESOURCE_EXHAUSTED", _CREDITS),
    Fault.INVALID_ARGUMENT: _always(invalid_argument("Request contains an invalid argument.")),
    Fault.CORRUPT_IMAGE: _always(corrupt_image()),
    Fault.DEADLINE_TOO_SHORT: _always(deadline_too_short("5")),
    Fault.API_KEY_INVALID: _always(api_key_invalid()),
    Fault.LOCATION: _error(
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use without a billing account.",
    ),
    Fault.UNAUTHENTICATED: _error(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token.",
    ),
    Fault.PERMISSION_DENIED: _error(
        403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."
    ),
    Fault.MODEL_NOT_FOUND: lambda context: model_not_found(context.model),
    Fault.MODEL_GONE: lambda context: error_reply(
        404, "NOT_FOUND", f"This model models/{context.model} is no longer available to new users."
    ),
    Fault.FILE_NOT_FOUND: _always(file_not_found("files/gone")),
    Fault.REQUEST_TIMEOUT: _error(408, "DEADLINE_EXCEEDED", "Request timed out."),
    Fault.TOO_LARGE: _always(too_large()),
    Fault.CANCELLED: _error(499, "CANCELLED", "The operation was cancelled."),
    Fault.INTERNAL: _error(500, "INTERNAL", "An internal error has occurred. Please retry or report."),
    Fault.BAD_GATEWAY: _always(_page(502, "Server Error", "The server encountered a temporary error.")),
    Fault.UNAVAILABLE: _always(_UNAVAILABLE),
    Fault.OVERLOADED: _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    Fault.UNAVAILABLE_BROKEN_JSON: _always(Reply(status=503, body=_UNAVAILABLE.body[:60])),
    Fault.UNAVAILABLE_EMPTY: _always(Reply(status=503)),
    Fault.DEADLINE_EXCEEDED: _error(
        504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."
    ),
    Fault.LIST_WRAPPED: _always(Reply(status=503, body=b"[" + _UNAVAILABLE.body + b"]")),
}
