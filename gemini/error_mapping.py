"""Error mapping: an HTTP error of the service becomes an ``ApiFailure`` or a ``FatalError``.

Status and code decide; the message is read only where the service puts a fact nowhere else (docs/adr/0002).
Where in a reply the facts stand is ``error_body``'s part, where the fault lies that of ``error_causes``.
Source of every code, reason and id: docs/api-facts.md, section 3, November 2026.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason
from gemini.error_body import MAX_SEARCHED, ErrorFacts, Quota, read_error
from gemini.error_causes import (
    find_account_cause,
    find_request_cause,
    is_key_refused,
    is_location_refused,
)
from gemini.retry_after import find_retry_hints_s
from gemini.text import sanitize_sentence, sanitize_word

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
_TEXTS_BY_CAUSE = {
    Cause.LOCATION: "the service is not offered where this connection comes from",
    Cause.GATEWAY: "a server on the way refused the request (HTTP {status})",
    Cause.GATEWAY_CREDIT: "the credit at the gateway is spent",
}
"""More exact than the reason's own text."""

_NO_REASON_GIVEN = "no reason given"
_WRONG_ENDPOINT = "the endpoint has neither this path nor this model, so --api-base-url or --model is wrong"
_FILE_MENTION = r"(?<![/\w.-])files/\w|\bthe file \w"
_NO_SUCH_PATH = frozenset({301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 415, 422, 501})
_PLEASE_RETRY = (
    r"\bplease (?:retry|try(?: your request)? again)(?: your request)?+(?: again)?+"
    r"(?!,? (?:with|using|after you|on a|another|a ))"
)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_LEAKED"})
_CREDIT_CODES = frozenset(
    {"insufficient_quota", "insufficient_user_quota", "insufficient_balance", "insufficient_credits"}
)
"""Words of gateways for an empty account (docs/api-facts.md, section 3.8)."""

_RESPONSE_MEMBERS = ("candidates", "promptFeedback", "prompt_feedback")


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
    facts = read_error(http.body)
    # A gateway may put its own status around an error that it passes on.
    status = facts.code or http.status
    if status == 429:
        return _map_too_many_requests(http, facts)
    if reason := _fatal_reason(http, facts, status):
        return _to_fatal_error(reason, facts, status)
    return _to_failure(http, facts, status)


def retry_hint_s(http: HttpError) -> float | None:
    """Return the longest wait in seconds that header, details or message ask for; None if unknown."""
    return _retry_hint_s(http, read_error(http.body))


def _retry_hint_s(http: HttpError, facts: ErrorFacts) -> float | None:
    delays = [detail.get("retryDelay") for detail in facts.details]
    delays += [metadata.get("quotaResetDelay") for metadata in facts.metadata()]
    return max(find_retry_hints_s(http.headers, delays, facts.message), default=None)


def find_error(body: Any) -> HttpError | None:
    """Return the error in a reply with status 200, or None if the reply is no error."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict) or any(body.get(name) for name in _RESPONSE_MEMBERS):
        return None
    facts = read_error(body)
    if not body.get("error") and (facts.named_code is None or not facts.message):
        return None
    return HttpError(status=facts.named_code or 500, body=body)


def _fatal_reason(http: HttpError, facts: ErrorFacts, status: int) -> StopReason | None:
    if status in {400, 401, 403} and (facts.reasons & _KEY_REASONS or is_key_refused(facts)):
        # A leaked key is refused as one that may not (403), and stays so.
        return StopReason.PERMISSION if status == 403 and not facts.reasons else StopReason.KEY_INVALID
    if _is_about_file(http, facts, status):
        return None
    if status == 400 and (facts.status == "FAILED_PRECONDITION" or is_location_refused(facts)):
        return StopReason.PERMISSION
    if status in {400, 403} and facts.codes & _CREDIT_CODES:
        return StopReason.CREDIT_SPENT
    if status == 404:
        return StopReason.UNKNOWN_MODEL
    return _FATAL_BY_STATUS.get(status)


def _to_fatal_error(reason: StopReason, facts: ErrorFacts, status: int) -> FatalError:
    cause = _find_fatal_cause(reason, facts, status)
    text = _FATAL_TEXTS[reason]
    if reason is StopReason.UNKNOWN_MODEL and facts.status != "NOT_FOUND":
        text = _WRONG_ENDPOINT  # a 404 without Google's status word comes from another server
    elif cause in _TEXTS_BY_CAUSE:
        text = _TEXTS_BY_CAUSE[cause].format(status=status)
    detail = f"{text}: {sanitize_sentence(facts.message) or _NO_REASON_GIVEN}"
    return FatalError(reason, detail, http_status=status, cause=cause)


def _find_fatal_cause(reason: StopReason, facts: ErrorFacts, status: int) -> Cause | None:
    match reason:
        case StopReason.UNKNOWN_MODEL:
            return None
        case StopReason.CREDIT_SPENT:
            return None if facts.is_googles else Cause.GATEWAY_CREDIT
        case StopReason.KEY_INVALID if facts.is_googles and status != 403:
            return Cause.KEY
        case _:
            return find_account_cause(facts, status)


def is_files_api_missing(http: HttpError) -> bool:
    """Return whether a server that is not Google's refuses the very path of an upload, as gateways do."""
    if not http.about_file or http.status not in _NO_SUCH_PATH:
        return False
    return http.status == 501 or not read_error(http.body).is_googles


def _is_about_file(http: HttpError, facts: ErrorFacts, status: int) -> bool:
    """Return True if the error is about an uploaded file, so that it concerns one image only.

    There are three such errors: 404 "File files/x not found", 403 "You do not have permission to
    access the File x or it may not exist", 400 "The File x is not in an ACTIVE state".
    """
    if status == 404 and http.about_file:
        return True
    return status in {400, 403, 404} and bool(
        re.search(_FILE_MENTION, facts.message[:MAX_SEARCHED], re.IGNORECASE)
    )


def _to_failure(http: HttpError, facts: ErrorFacts, status: int) -> ApiFailure:
    if status in _KINDS_BY_STATUS:
        kind = _KINDS_BY_STATUS[status]
    elif 400 <= status < 500:
        kind = ErrorKind.INVALID_REQUEST
    else:  # other 5xx; 1xx, 2xx and 3xx come from a proxy or a gateway
        kind = ErrorKind.SERVER if status >= 500 else ErrorKind.NETWORK
    cause = None
    if kind is ErrorKind.INVALID_REQUEST:
        is_about_file = _is_about_file(http, facts, status)
        cause = Cause.UPLOAD if is_about_file else find_request_cause(facts, status)
    sentences = _explain_status(http, status), sanitize_sentence(facts.message)
    return ApiFailure(
        kind=kind,
        detail=f"HTTP {status}: {': '.join(filter(None, sentences)) or _NO_REASON_GIVEN}",
        http_status=status,
        api_status=sanitize_word(facts.status) or None,
        retry_after_s=_retry_hint_s(http, facts),
        cause=cause,
        extra_tries=1 if kind is ErrorKind.INVALID_REQUEST and _asks_to_retry(facts, status) else 0,
    )


def _asks_to_retry(facts: ErrorFacts, status: int) -> bool:
    """Return whether the service itself says that the same request may pass (docs/api-facts.md, 3.1)."""
    if status == 409:
        return facts.status == "ABORTED"
    return status == 400 and re.search(_PLEASE_RETRY, facts.message[:MAX_SEARCHED], re.IGNORECASE) is not None


def _explain_status(http: HttpError, status: int) -> str:
    """Return in words that a proxy or a gateway replied; empty if it was the service."""
    if status >= 400:
        return _TEXTS_BY_STATUS.get(status, "")
    place = sanitize_word(http.headers.get("location", "").partition("?")[0])
    action = f"redirects to {place}" if place else "answered in its place"
    return f"something on the way to the service {action}"


def _map_too_many_requests(http: HttpError, facts: ErrorFacts) -> ApiFailure | FatalError:
    sentence = sanitize_sentence(facts.message) or "too many requests"
    quotas = facts.quotas()
    if reason := _find_quota_stop(facts, quotas):
        is_gateways = reason is StopReason.CREDIT_SPENT and not facts.is_googles
        cause = Cause.GATEWAY_CREDIT if is_gateways else None
        text = _TEXTS_BY_CAUSE[cause] if cause else _QUOTA_STOP_TEXTS[reason]
        return FatalError(reason, f"{text}: {sentence}", http_status=429, cause=cause)
    ids = (sanitize_word(quota.id) for quota in quotas)
    return ApiFailure(
        kind=ErrorKind.RATE_LIMITED,
        detail=f"HTTP 429: {sentence}",
        http_status=429,
        api_status=sanitize_word(facts.status) or None,
        retry_after_s=_retry_hint_s(http, facts),
        quota_ids=tuple(filter(None, ids))[:_MAX_QUOTAS] or _find_quotas_in_prose(facts.message),
        quota_value=next((quota.limit for quota in quotas if quota.limit is not None), None),
    )


_QUOTA_STOP_TEXTS = {
    StopReason.CREDIT_SPENT: "the project's credit is spent",
    StopReason.SPEND_LIMIT: "the project's spending cap is reached",
    StopReason.NO_QUOTA: "the model is not part of the project's tier",
}
# Compiled at their first use: most runs never need them.
_NO_FREE_TIER = (
    r"(?:doesn't|does not|do not|don't) have (?:a |any )?free (?:quota |usage )?tier"
    r"|(?:has|have|is|there is) no free (?:quota |usage )?tier|without (?:a )?free tier"
    r"|free (?:quota |usage )?tier (?:is |are )?(?:not|un)\s?(?:available|supported|offered)"
    r"|(?:not|un)\s?(?:available|supported|included|offered) (?:in|on|for|to|with) (?:the |a )?free"
    r" (?:quota |usage )?(?:tier|plan)"
)
_QUOTA_IN_PROSE = r"\band limit '([^'\n]{1,200})'"


def _find_quota_stop(facts: ErrorFacts, quotas: list[Quota]) -> StopReason | None:
    """Return the reason if no wait can help, None if a wait may help; often only the message says so.

    Source: docs/api-facts.md, sections 3.2 and 3.6 (bodies of 2026).
    """
    message = facts.message[:MAX_SEARCHED].lower()
    if "prepayment credits are depleted" in message or (not facts.is_googles and facts.codes & _CREDIT_CODES):
        return StopReason.CREDIT_SPENT
    if "spending cap" in message:
        return StopReason.SPEND_LIMIT
    is_zero = any(quota.limit == 0 for quota in quotas) or _mentions_limit_zero(message)
    return StopReason.NO_QUOTA if is_zero or re.search(_NO_FREE_TIER, message) else None


def _mentions_limit_zero(message: str) -> bool:
    """Return True if the message holds "limit: 0" as a whole number."""
    after = (rest[:2] for rest in message.split("limit: 0")[1:])
    return any(not (rest[:1].isdecimal() or (rest[:1] == "." and rest[1:].isdecimal())) for rest in after)


def _find_quotas_in_prose(message: str) -> tuple[str, ...]:
    """Return the quotas that only a sentence names ("and limit 'Requests per day'")."""
    return tuple(map(sanitize_word, re.findall(_QUOTA_IN_PROSE, message[:MAX_SEARCHED])))[:_MAX_QUOTAS]
