"""Rules of gemini/error_body.py: the facts of an error are found wherever in a reply they stand."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from gemini.error_body import read_error
from gemini.error_mapping import HttpError, find_error, to_exception

K, S = ErrorKind, StopReason
RPC = "type.googleapis.com/google.rpc."


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error as Google sends it."""
    error = {"code": code, "message": message, "status": status}
    return {"error": {**error, "details": list(details)} if details else error}


WRONG_KEY = google(
    400,
    "INVALID_ARGUMENT",
    "API key not valid.",
    {"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
)
SLOW_DOWN = google(
    429,
    "RESOURCE_EXHAUSTED",
    "You exceeded your current quota.",
    {
        "@type": f"{RPC}QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "60"}],
    },
    {"@type": f"{RPC}RetryInfo", "retryDelay": "26.4s"},
)
GONE = google(404, "NOT_FOUND", "models/x is not found for API version v1beta")
OVERLOADED = google(503, "UNAVAILABLE", "The model is overloaded.")

Wrapper = Callable[[dict[str, Any]], Any]
WRAPPERS: dict[str, Wrapper] = {
    "as it is": lambda body: body,
    "a list": lambda body: [body],
    "without its envelope": lambda body: body["error"],
    "the JavaScript SDK's message": lambda body: {
        "error": {
            "message": json.dumps(body, indent=2),
            "code": body["error"]["code"],
            "status": "Bad Request",
        }
    },
    "the same within the same": lambda body: {"error": {"message": json.dumps({"error": json.dumps(body)})}},
    "words before it": lambda body: {"error": f"got status: {body['error']['code']} Oh. {json.dumps(body)}"},
    "Python's own form": lambda body: {"detail": f"{body['error']['code']} OH. {body}"},
    "OpenRouter": lambda body: {
        "error": {
            "message": "Provider returned error",
            "code": 502,
            "metadata": {"raw": json.dumps(body), "provider_name": "Google AI Studio"},
        }
    },
    "an event": lambda body: f"data: {json.dumps(body)}\n\n",
    "a log line": lambda body: f"[2026-11-30] upstream [1]: {json.dumps([body])} (request id: 7)",
    "an error in an error": lambda body: {"error": body, "success": False},
}


def meaning(http_status: int, body: Any) -> tuple[Any, str]:
    """Return the class or the reason of an error, and its sentence."""
    error = to_exception(HttpError(status=http_status, body=body))
    return (error.kind if isinstance(error, ApiFailure) else error.reason), error.detail


@pytest.mark.parametrize("http_status", [0, 400, 500, 502], ids=["its own status", "400", "500", "502"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WRONG_KEY, S.KEY_INVALID),
        (SLOW_DOWN, K.RATE_LIMITED),
        (GONE, S.UNKNOWN_MODEL),
        (OVERLOADED, K.SERVER),
    ],
    ids=["key", "quota", "model", "overload"],
)
@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_wrapped_error_means_what_it_meant(
    wrapper: Wrapper, body: dict[str, Any], expected: Any, http_status: int
) -> None:
    """Whatever a gateway puts around Google's error, and whatever status, its class and words stay."""
    kind, detail = meaning(http_status or body["error"]["code"], wrapper(body))

    assert kind is expected
    assert body["error"]["message"].rstrip(".") in detail
    assert "{" not in detail


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_wrapped_quota_keeps_its_figures(wrapper: Wrapper) -> None:
    """The wait, the quota's name and its limit are obeyed from within a wrapped 429, too."""
    failure = to_exception(HttpError(status=429, body=wrapper(SLOW_DOWN)))

    assert isinstance(failure, ApiFailure)
    assert failure.retry_after_s == pytest.approx(26.4)
    assert failure.quota_ids == ("GenerateRequestsPerMinutePerProjectPerModel",)
    assert failure.quota_value == 60


@pytest.mark.parametrize("wrapper", [name for name in WRAPPERS if name not in {"an event", "a log line"}])
def test_an_error_with_status_200_is_seen_in_any_wrapper(wrapper: str) -> None:
    """Some gateways answer 200 whatever happened."""
    error = find_error(WRAPPERS[wrapper](WRONG_KEY))

    assert error is not None
    assert meaning(error.status, error.body)[0] is S.KEY_INVALID


@pytest.mark.parametrize(
    "message",
    [
        "API key not valid. Please pass a valid API key.",
        "API key expired. Please renew the API key.",
        "API Key not found. Please pass a valid API key.",
        "Invalid API key",
        "Incorrect API key provided: sk-1*****9.",
        "The api_key is invalid",
        "Missing API key",
    ],
)
@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_key_needs_no_details(message: str, status: int) -> None:
    """A gateway that strips the details leaves the sentence, and that is enough to end the run."""
    for body in (
        {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}},
        {"error": {"message": message, "type": "invalid_request_error", "code": None}},
        {"message": message},
        message,
    ):
        assert meaning(status, body)[0] is S.KEY_INVALID


@pytest.mark.parametrize(
    ("info", "ids", "value"),
    [
        ({"quota_limit": "RequestsPerDay", "quota_limit_value": "1500"}, ("RequestsPerDay",), 1500),
        ({"quota_limit": "RequestsPerMinute", "quota_limit_value": "0"}, ("RequestsPerMinute",), None),
        ({"quota_limit": "RequestsPerMinute"}, ("RequestsPerMinute",), None),
        ({"quota_metric": "generate_content_requests"}, (), None),
    ],
)
def test_quotas_in_error_info_count(info: dict[str, str], ids: tuple[str, ...], value: int | None) -> None:
    """ErrorInfo names quotas as QuotaFailure does; a limit of 0 there is a full region, not a tier."""
    detail = {"@type": f"{RPC}ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": info}
    failure = to_exception(
        HttpError(status=429, body=google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", detail))
    )

    assert isinstance(failure, ApiFailure)
    assert (failure.quota_ids, failure.quota_value) == (ids, value)


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", {}, S.NO_QUOTA),
        ("GenerateContentRequestsPerDayPerProject", {}, S.NO_QUOTA),
        ("GenerateContentRequestsPerDayPerProjectPerRegion", {"quota_location": "us-east2"}, K.RATE_LIMITED),
        ("GenerateContentRequestsPerMinutePerProjectPerRegion", {}, K.RATE_LIMITED),
    ],
)
def test_a_limit_of_nothing_is_a_tier_or_a_region(name: str, more: dict[str, str], expected: Any) -> None:
    """A quota of zero a day, or of the free tier, never comes back; a full region is another one's turn."""
    metadata = {"quota_limit": name, "quota_limit_value": "0", **more}
    detail = {"@type": f"{RPC}ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": metadata}
    assert meaning(429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", detail))[0] is expected


def test_a_quota_that_only_a_sentence_names_is_found() -> None:
    """Where no detail names the quota, the sentence does."""
    message = "Quota exceeded for quota metric 'Requests' and limit 'Request limit per day' of service 'x'."
    failure = to_exception(HttpError(status=429, body=google(429, "RESOURCE_EXHAUSTED", message)))

    assert isinstance(failure, ApiFailure)
    assert failure.quota_ids == ("Request limit per day",)


@pytest.mark.parametrize(
    "message",
    [
        "Gemini 9 Pro doesn't have a free quota tier. Please use another model.",
        "This model does not have a free tier.",
        "There is no free tier for gemini-9",
        "The free tier is not available for this model",
        "gemini-9 is not available on the free tier",
    ],
)
def test_a_tier_that_does_not_exist_is_no_reason_to_wait(message: str) -> None:
    """A 429 that no wait can cure ends the run as the account's, whatever delay stands beside it."""
    body = google(429, "RESOURCE_EXHAUSTED", message, {"@type": f"{RPC}RetryInfo", "retryDelay": "3s"})
    assert meaning(429, body)[0] is S.NO_QUOTA


def test_the_name_of_a_free_quota_is_no_missing_tier() -> None:
    """The metric of every quota of the free tier has those words in its name."""
    message = "Quota exceeded for metric: x.googleapis.com/generate_content_free_tier_requests, limit: 20"
    assert meaning(429, google(429, "RESOURCE_EXHAUSTED", message))[0] is K.RATE_LIMITED


@pytest.mark.parametrize("code", ["insufficient_quota", "insufficient_user_quota", "insufficient_balance"])
@pytest.mark.parametrize("status", [400, 403, 429])
def test_an_empty_account_at_a_gateway_ends_the_run(code: str, status: int) -> None:
    """Gateways have words of their own for spent credit; waiting cannot fill an account."""
    body = {"error": {"message": "no credit left", "type": "new_api_error", "code": code}}
    assert meaning(status, body)[0] is S.CREDIT_SPENT


NESTED = st.recursive(
    st.none() | st.integers() | st.text(max_size=30) | st.sampled_from(["{'", "[{", '{"error":', "}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "status", "details", "@type", "metadata", "detail"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(body=NESTED)
def test_any_body_is_read(body: Any) -> None:
    """No shape of a body raises, and none is taken for an error of Google's that is not one."""
    facts = read_error(body)

    assert facts.code is None or 400 <= facts.code < 600
    assert isinstance(to_exception(HttpError(status=503, body=body)), ApiFailure | FatalError)


def test_deep_and_long_bodies_are_read_in_time() -> None:
    """A body that is nested, or quoted, without end is read as far as is reasonable."""
    deep: Any = "end"
    quoted = "end"
    for _ in range(500):
        deep = {"error": deep}
    for _ in range(9):
        quoted = json.dumps({"error": quoted})

    for body in (deep, quoted, "[{" * 50_000, "{'" * 50_000, "(" * 50_000 + "{'a': " + "(" * 9_000 + "}"):
        assert meaning(503, body)[0] is K.SERVER
