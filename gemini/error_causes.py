"""Error causes: where the fault of a rejected request lies, so that the user gets a remedy that works.

The class of a failure and the end of a run come from status and code (``error_mapping``); a wrong cause here
costs a sentence of advice, never a call. Source of the words: docs/api-facts.md, section 3.5 and 3.9.
"""

import re

from errors import Cause
from gemini.error_body import ErrorFacts

_CAUSE_BY_REASON = {
    "API_KEY_LEAKED": Cause.LEAKED_KEY,
    "API_KEY_SERVICE_BLOCKED": Cause.RESTRICTION,
    "API_KEY_HTTP_REFERRER_BLOCKED": Cause.RESTRICTION,
    "API_KEY_IP_ADDRESS_BLOCKED": Cause.RESTRICTION,
    "API_KEY_ANDROID_APP_BLOCKED": Cause.RESTRICTION,
    "API_KEY_IOS_APP_BLOCKED": Cause.RESTRICTION,
    "SERVICE_DISABLED": Cause.API_DISABLED,
    "BILLING_DISABLED": Cause.BILLING,
    "CONSUMER_SUSPENDED": Cause.PROJECT,
    "CONSUMER_INVALID": Cause.PROJECT,
    "LOCATION_POLICY_VIOLATED": Cause.LOCATION,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": Cause.KEY,
    "ACCESS_TOKEN_EXPIRED": Cause.KEY,
    "CREDENTIALS_MISSING": Cause.KEY,
}
"""Source: google/api/error_reason.proto, and the bodies of docs/api-facts.md, section 3.5."""


# Patterns are compiled at their first use: most runs never need one, and all together take 10 ms.
_KEY_REFUSED = (
    r"api[ _-]?key (?:is )?(?:not valid|invalid|not found|expired|has expired|was reported as leaked)"
    r"|(?:invalid|incorrect|wrong|expired|revoked|missing) (?:gemini |google )?api[ _-]?key"
    r"|please pass a valid api[ _-]?key|\bapi_key_(?:invalid|expired|leaked)\b"
)
_KEY_CODES = frozenset({"invalid_api_key", "invalid_token", "api_key_invalid", "incorrect_api_key"})
"""Words of gateways that speak OpenAI's dialect."""

_PLACE = r"\b(?:location|country|region|territory)\b"
_NOT_OFFERED = r"(?:not|un)\s?(?:supported|available|offered)\b"
_OTHER_PLACE = rf"{_PLACE}.{{0,60}}\b{_NOT_OFFERED}|{_NOT_OFFERED}.{{0,60}}{_PLACE}"

_ACCOUNT_WORDS = (
    (Cause.LEAKED_KEY, r"\bleaked\b"),
    (Cause.BILLING, r"\bbilling\b|free tier"),
    (Cause.LOCATION, _OTHER_PLACE),
    (Cause.API_DISABLED, r"has not been used in project|it is disabled|enable it by visiting"),
    (Cause.PROJECT, r"\bsuspended\b|denied access|\bbanned\b|\bterminated\b"),
    (Cause.KEY, r"unregistered callers|authentication credential|api[ _-]?key"),
    (Cause.RESTRICTION, r"\bare blocked\b|\brestriction|referer|ip address"),
)
"""The first pattern that is found counts."""

_TOO_LARGE = (
    r"payload size|(?:request|body|entity|payload|content)(?: \w+)? (?:is )?too (?:large|big)"
    r"|(?:size|length|bytes).{0,40}exceeds?|exceeds?.{0,60}\b(?:bytes|[km]b)\b"
)
_SETTING = (
    r"modalit|unknown name|cannot find field|invalid json payload|\bgeneration_?config|\bimage_?config"
    r"|aspect.?ratio|\bimage.?size|thinking|temperature|\btop_?[pk]\b|penalty|schema|candidate_?count"
    r"|token|cached.?content|\btools?\b|function|safety.?setting|system.?instruction|\bseed\b|deadline"
    r"|stop.?sequence|response_?(?:mime|format)|service.?tier"
    r"|not (?:supported|enabled|available|allowed) (?:for|by|in|on|with) (?:this |the )?models?\b"
    r"|models?\b.{0,80}\bdo(?:es)?(?: not|n't) support"
)
_IMAGE = r"\bimages?\b|\bpictures?\b|\bphotos?\b|\bmime|inline_?data|thumbnail|\bmedia\b|base64"


def is_key_refused(facts: ErrorFacts) -> bool:
    """Return whether an error says that the key itself is refused, also without Google's details."""
    return bool(facts.codes & _KEY_CODES) or _has(_KEY_REFUSED, facts.message[:300])


def find_account_cause(facts: ErrorFacts, status: int) -> Cause | None:
    """Return why the account is not served; None if unknown."""
    by_reason = (cause for reason, cause in _CAUSE_BY_REASON.items() if reason in facts.reasons)
    if cause := next(by_reason, None):
        return cause
    if not facts.is_googles:
        return _find_gateway_cause(facts, status)
    text = facts.searchable
    found = (cause for cause, pattern in _ACCOUNT_WORDS if _has(pattern, text))
    return next(found, Cause.KEY if status == 401 else None)


def is_location_refused(facts: ErrorFacts) -> bool:
    """Return whether an error says that the service is not offered where the connection comes from."""
    return _has(_OTHER_PLACE, facts.message[:300])


def _find_gateway_cause(facts: ErrorFacts, status: int) -> Cause:
    """Return what a server that is not Google's holds against the request."""
    if status == 402:
        return Cause.GATEWAY_CREDIT
    known = (Cause.LEAKED_KEY, Cause.LOCATION, Cause.BILLING)
    for cause, pattern in _ACCOUNT_WORDS:
        if cause in known and _has(pattern, facts.message[:300]):
            return cause
    return Cause.GATEWAY_KEY if status == 401 or is_key_refused(facts) else Cause.GATEWAY


def find_request_cause(facts: ErrorFacts, status: int) -> Cause | None:
    """Return what is wrong with a request that is refused for good; None if unknown."""
    text = facts.searchable
    if status == 413 or _has(_TOO_LARGE, text):
        return Cause.TOO_LARGE
    if _has(_SETTING, text):
        return Cause.REQUEST
    if _has(_IMAGE, text):
        return Cause.IMAGE
    return None if facts.is_googles or status in {400, 422} else Cause.GATEWAY


def _has(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text, in whatever case."""
    return re.search(pattern, text, re.IGNORECASE) is not None
