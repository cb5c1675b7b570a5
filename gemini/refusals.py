"""What does it mean that the service did not answer: this image, later, or never again in this run?

Pure: an HTTP status, a parsed body and headers in, the exception to raise out. Type and code decide;
the message is read only where the service puts a fact nowhere else. This file knows no SDK.

Source of every code, reason and id below: Google's pages on API errors and troubleshooting, and
captured bodies, all as of November 2026.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from errors import ApiFailure, ErrorKind, FatalError, StopReason

MAX_SENTENCE = 300
"""Characters of the service's own words that are kept."""

_DELAY = re.compile(r"^\s*(\d+(?:\.\d+)?)s\s*$")
_RETRY_IN = re.compile(r"Please retry in (\d+(?:\.\d+)?)\s*(ms|s|m|h)?\b")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LIMIT_ZERO = re.compile(r"\blimit: 0\b")
_TAG = re.compile(r"<[^>]*>")

_KINDS_BY_STATUS = {
    408: ErrorKind.TIMEOUT,
    499: ErrorKind.SERVER,
    500: ErrorKind.SERVER,
    502: ErrorKind.SERVER,
    503: ErrorKind.SERVER,
    504: ErrorKind.TIMEOUT,
}
_FATAL_BY_STATUS = {
    401: StopReason.PERMISSION,
    402: StopReason.CREDIT_SPENT,  # new on 2026-09-18; until then it came as a 429
    403: StopReason.PERMISSION,
}
_FATAL_WORDS = {
    StopReason.KEY_INVALID: "the API key was refused",
    StopReason.PERMISSION: "the service is not open to this key",
    StopReason.CREDIT_SPENT: "the project's credit is spent",
    StopReason.UNKNOWN_MODEL: "the model was not found",
}
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_LEAKED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError:
    """An answer with an HTTP status that is not 200, or a 200 whose body is an error."""

    status: int
    body: Any
    """Parsed JSON of any shape, or the text where it is none."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """With names in lower case."""
    about_file: bool = False
    """The call was about an uploaded file, so that a 404 is not about the model."""


def exception_for(http: HttpError) -> ApiFailure | FatalError:
    """Return what to raise for an answer that is an error; never raises itself, whatever the body."""
    error = _error_of(http.body)
    message = _message(http.body, error)
    if http.status == 429:
        return _too_many(http, error, message)
    said = one_sentence(message) or "no reason given"
    if reason := _fatal_reason(http, error, message):
        return FatalError(reason, f"{_FATAL_WORDS[reason]}: {said}")
    return _failure(http, error, said)


def retry_hint_s(http: HttpError) -> float | None:
    """Return the longest wait that header, details or message ask for, in seconds; None for silence."""
    error = _error_of(http.body)
    hints = [*_header_hints(http.headers), *_detail_hints(error), *_message_hints(_message(http.body, error))]
    return max(hints, default=None)


def one_sentence(text: str) -> str:
    """Return the service's words on one line, without markup, shortened."""
    plain = " ".join(_TAG.sub(" ", text).split())
    return plain if len(plain) <= MAX_SENTENCE else plain[: MAX_SENTENCE - 1].rstrip() + "…"


def _fatal_reason(http: HttpError, error: Mapping[str, Any], message: str) -> StopReason | None:
    if http.status in {400, 403} and _reasons(error) & _KEY_REASONS:
        return StopReason.KEY_INVALID
    if http.status == 400 and error.get("status") == "FAILED_PRECONDITION":
        return StopReason.PERMISSION
    if http.status == 404 and not http.about_file and "files/" not in message.lower():
        return StopReason.UNKNOWN_MODEL
    return _FATAL_BY_STATUS.get(http.status)


def _failure(http: HttpError, error: Mapping[str, Any], said: str) -> ApiFailure:
    if http.status in _KINDS_BY_STATUS:
        kind = _KINDS_BY_STATUS[http.status]
    elif 400 <= http.status < 500:
        kind = ErrorKind.INVALID_REQUEST
    else:  # 5xx of other kinds; 1xx, 2xx and 3xx come from something between us and the service
        kind = ErrorKind.SERVER if http.status >= 500 else ErrorKind.NETWORK
    return ApiFailure(
        kind=kind,
        detail=f"HTTP {http.status}: {said}",
        http_status=http.status,
        api_status=_text(error.get("status")) or None,
        retry_after_s=retry_hint_s(http),
    )


def _too_many(http: HttpError, error: Mapping[str, Any], message: str) -> ApiFailure | FatalError:
    said = one_sentence(message) or "too many requests"
    lower = message.lower()
    violations = list(_violations(error))
    # Only the message tells these apart from a quota (captured bodies of 2026).
    if "prepayment credits are depleted" in lower:
        return FatalError(StopReason.CREDIT_SPENT, f"the project's credit is spent: {said}")
    if "spending cap" in lower:
        return FatalError(StopReason.SPEND_LIMIT, f"the project's spending cap is reached: {said}")
    values = [_text(violation.get("quotaValue")) for violation in violations]
    if "0" in values or _LIMIT_ZERO.search(message):
        return FatalError(StopReason.NO_QUOTA, f"the model is not part of the project's tier: {said}")
    return ApiFailure(
        kind=ErrorKind.RATE_LIMITED,
        detail=f"HTTP 429: {said}",
        http_status=429,
        api_status=_text(error.get("status")) or None,
        retry_after_s=retry_hint_s(http),
        quota_ids=tuple(filter(None, (_text(violation.get("quotaId")) for violation in violations))),
        quota_value=next((int(value) for value in values if value.isdecimal() and len(value) < 19), None),
    )


def _error_of(body: Any) -> Mapping[str, Any]:
    """Return the error object: Google's own, or one wrapped in a list; empty for anything else."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _message(body: Any, error: Mapping[str, Any]) -> str:
    if message := _text(error.get("message")):
        return message
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return str(body["error"])
    return body if isinstance(body, str) else ""


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


def _header_hints(headers: Mapping[str, str]) -> Iterator[float]:
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and len(value) < 10:
        yield float(value)
    elif value:
        try:
            # A date is counted from the server's own, so that our clock does not matter.
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
        except (TypeError, ValueError):
            return
        yield max(0.0, wait / timedelta(seconds=1))


def _detail_hints(error: Mapping[str, Any]) -> Iterator[float]:
    for detail in _details(error):
        if match := _DELAY.match(_text(detail.get("retryDelay"))):
            yield min(float(match[1]), 1e9)


def _message_hints(message: str) -> Iterator[float]:
    for match in _RETRY_IN.finditer(message):
        yield min(float(match[1]) * _UNIT_S[match[2] or "s"], 1e9)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
