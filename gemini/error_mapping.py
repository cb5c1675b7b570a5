"""Error mapping: an HTTP error of the service becomes an ``ApiFailure`` or a ``FatalError``.

Status and code decide; the message is read only where the service puts a fact nowhere else (docs/adr/0002).
Source of every code, reason and id: docs/api-facts.md, section 3, November 2026.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.retry_after import find_retry_hints_s
from gemini.text import sanitize_sentence, sanitize_word

_MAX_SEARCHED = 20_000
"""At most so many characters of a message are searched for a fact."""
_MAX_QUOTAS = 20

_KINDS_BY_STATUS = {
    407: ErrorKind.NETWORK,
    408: ErrorKind.TIMEOUT,
    499: ErrorKind.SERVER,
    500: ErrorKind.SERVER,
    502: ErrorKind.SERVER,
    503: ErrorKind.SERVER,
    504: ErrorKind.TIMEOUT,
    511: ErrorKind.NETWORK,
}
_TEXTS_BY_STATUS = {
    407: "the proxy on the way to the service wants credentials",
    511: "the network wants a login before it lets anything through",
}
_FATAL_BY_STATUS = {
    401: StopReason.PERMISSION,
    402: StopReason.CREDIT_SPENT,  # new on 2026-09-18; until then it came as a 429
    403: StopReason.PERMISSION,
}
_FATAL_TEXTS = {
    StopReason.KEY_INVALID: "the API key was refused",
    StopReason.PERMISSION: "the service is not open to this key",
    StopReason.CREDIT_SPENT: "the project's credit is spent",
    StopReason.UNKNOWN_MODEL: "the model was not found",
}
_NO_REASON_GIVEN = "no reason given"
_WRONG_ENDPOINT = "the endpoint knows neither this path nor this model, so --api-base-url or --model is wrong"
_FILE_MENTION = re.compile(r"(?<![/\w.-])files/\w|\bthe file \w", re.IGNORECASE)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_LEAKED"})
_HTTP_STATUS_BY_CODE = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of each code; all others are 500. Source: google/rpc/code.proto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError:
    """A reply whose HTTP status is not 200, or a 200 whose body is an error."""

    status: int
    body: Any
    """Parsed JSON of any shape, or the text if it is no JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names are in lower case."""
    about_file: bool = False
    """True if the call was about an uploaded file: a 404 is then not about the model."""


def to_exception(http: HttpError) -> ApiFailure | FatalError:
    """Return the exception for an error reply; never raises, whatever the body."""
    error = _find_error_object(http.body)
    message = _message(http.body, error)
    if http.status == 429:
        return _map_too_many_requests(http, error, message)
    sentence = sanitize_sentence(message)
    if reason := _fatal_reason(http, error, message):
        return FatalError(reason, f"{_fatal_text(reason, error)}: {sentence or _NO_REASON_GIVEN}")
    return _to_failure(http, error, _explain_status(http), sentence)


def retry_hint_s(http: HttpError) -> float | None:
    """Return the longest wait in seconds that header, details or message ask for; None if unknown."""
    error = _find_error_object(http.body)
    delays = [_text(detail.get("retryDelay")) for detail in _details(error)]
    return max(find_retry_hints_s(http.headers, delays, _message(http.body, error)), default=None)


def find_error(body: Any) -> HttpError | None:
    """Return the error in a reply with status 200, or None if the reply is no error."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict) or not body.get("error") or body.get("candidates"):
        return None
    return HttpError(status=_find_http_status(_find_error_object(body)), body=body)


def _find_http_status(error: Mapping[str, Any]) -> int:
    code = error.get("code")
    if isinstance(code, str) and len(code) == 3 and code.isdecimal():
        code = int(code)
    if type(code) is int and 400 <= code < 600:
        return code
    return _HTTP_STATUS_BY_CODE.get(_text(error.get("status")), 500)


def _fatal_reason(http: HttpError, error: Mapping[str, Any], message: str) -> StopReason | None:
    if http.status in {400, 403} and _reasons(error) & _KEY_REASONS:
        return StopReason.KEY_INVALID
    if _is_about_file(http, message):
        return None
    if http.status == 400 and error.get("status") == "FAILED_PRECONDITION":
        return StopReason.PERMISSION
    if http.status == 404:
        return StopReason.UNKNOWN_MODEL
    return _FATAL_BY_STATUS.get(http.status)


def _fatal_text(reason: StopReason, error: Mapping[str, Any]) -> str:
    """Return the reason in words; a 404 without Google's status word comes from another server."""
    if reason is StopReason.UNKNOWN_MODEL and error.get("status") != "NOT_FOUND":
        return _WRONG_ENDPOINT
    return _FATAL_TEXTS[reason]


def _is_about_file(http: HttpError, message: str) -> bool:
    """Return True if the error is about an uploaded file, so that it concerns one image only.

    There are three such errors: 404 "File files/x not found", 403 "You do not have permission to
    access the File x or it may not exist", 400 "The File x is not in an ACTIVE state".
    """
    if http.status == 404 and http.about_file:
        return True
    return http.status in {400, 403, 404} and bool(_FILE_MENTION.search(message[:_MAX_SEARCHED]))


def _to_failure(http: HttpError, error: Mapping[str, Any], *sentences: str) -> ApiFailure:
    if http.status in _KINDS_BY_STATUS:
        kind = _KINDS_BY_STATUS[http.status]
    elif 400 <= http.status < 500:
        kind = ErrorKind.INVALID_REQUEST
    else:  # other 5xx; 1xx, 2xx and 3xx come from a proxy or a gateway
        kind = ErrorKind.SERVER if http.status >= 500 else ErrorKind.NETWORK
    return ApiFailure(
        kind=kind,
        detail=f"HTTP {http.status}: {': '.join(filter(None, sentences)) or _NO_REASON_GIVEN}",
        http_status=http.status,
        api_status=sanitize_word(_text(error.get("status"))) or None,
        retry_after_s=retry_hint_s(http),
    )


def _explain_status(http: HttpError) -> str:
    """Return in words that a proxy or a gateway replied; empty if it was the service."""
    if http.status >= 400:
        return _TEXTS_BY_STATUS.get(http.status, "")
    place = sanitize_word(http.headers.get("location", "").partition("?")[0])
    action = f"redirects to {place}" if place else "answered in its place"
    return f"something on the way to the service {action}"


def _map_too_many_requests(
    http: HttpError, error: Mapping[str, Any], message: str
) -> ApiFailure | FatalError:
    sentence = sanitize_sentence(message) or "too many requests"
    violations = list(_violations(error))
    values = [_number(violation.get("quotaValue")) for violation in violations]
    if reason := _find_quota_stop(message[:_MAX_SEARCHED].lower(), values):
        return FatalError(reason, f"{_QUOTA_STOP_TEXTS[reason]}: {sentence}")
    quotas = (sanitize_word(_text(violation.get("quotaId"))) for violation in violations)
    return ApiFailure(
        kind=ErrorKind.RATE_LIMITED,
        detail=f"HTTP 429: {sentence}",
        http_status=429,
        api_status=sanitize_word(_text(error.get("status"))) or None,
        retry_after_s=retry_hint_s(http),
        quota_ids=tuple(filter(None, quotas))[:_MAX_QUOTAS],
        quota_value=next((value for value in values if value is not None), None),
    )


_QUOTA_STOP_TEXTS = {
    StopReason.CREDIT_SPENT: "the project's credit is spent",
    StopReason.SPEND_LIMIT: "the project's spending cap is reached",
    StopReason.NO_QUOTA: "the model is not part of the project's tier",
}


def _find_quota_stop(message: str, values: list[int | None]) -> StopReason | None:
    """Return the reason if no wait can help, None if a wait may help; often only the message says so.

    Source: docs/api-facts.md, sections 3.2 and 3.6 (bodies of 2026).
    """
    if "prepayment credits are depleted" in message:
        return StopReason.CREDIT_SPENT
    if "spending cap" in message:
        return StopReason.SPEND_LIMIT
    return StopReason.NO_QUOTA if 0 in values or _mentions_limit_zero(message) else None


def _mentions_limit_zero(message: str) -> bool:
    """Return True if the message holds "limit: 0" as a whole number."""
    after = (rest[:2] for rest in message.split("limit: 0")[1:])
    return any(not (rest[:1].isdecimal() or (rest[:1] == "." and rest[1:].isdecimal())) for rest in after)


def _find_error_object(body: Any) -> Mapping[str, Any]:
    """Return Google's error object, also from within a list; empty for anything else."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _message(body: Any, error: Mapping[str, Any]) -> str:
    """Return the message of an error; gateways put it under other names than Google."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if isinstance(body, str):
        return body
    outer = body if isinstance(body, dict) else {}
    candidates = (
        error.get("message"),
        *(outer.get(name) for name in ("error", "message", "detail", "title")),
    )
    return next((words for words in candidates if isinstance(words, str) and words.strip()), "")


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    yield from (
        detail for detail in (details if isinstance(details, list) else ()) if isinstance(detail, dict)
    )


def _reasons(error: Mapping[str, Any]) -> set[str]:
    return {_text(detail.get("reason")) for detail in _details(error)}


def _violations(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for detail in _details(error):
        violations = detail.get("violations")
        yield from (
            one for one in (violations if isinstance(violations, list) else ()) if isinstance(one, dict)
        )


def _number(value: Any) -> int | None:
    """Return a quota's value, which comes as text; None if it is no number or too large to store."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**18 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
