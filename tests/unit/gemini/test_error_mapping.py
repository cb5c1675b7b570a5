"""Rules of gemini/error_mapping.py and gemini/retry_after.py.

What an HTTP error means, and when to come back.
"""

from typing import Any

import pytest

from errors import ApiFailure, ErrorKind, StopReason
from gemini.error_mapping import HttpError, retry_hint_s, to_exception
from gemini.retry_after import MAX_HINT_S

K, S = ErrorKind, StopReason
RPC = "type.googleapis.com/google.rpc."
METRIC = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
EXCEEDED = (
    "You exceeded your current quota, please check your plan and billing details. For more information on"
    " this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage,"
    " head to: https://ai.dev/rate-limit. "
)
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def envelope(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error as Google wraps it."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": {**error, "details": list(details)} if details else error}


def quota_failure(*violations: dict[str, Any]) -> dict[str, Any]:
    """Return the detail that names quotas."""
    return {"@type": f"{RPC}QuotaFailure", "violations": list(violations)}


def violation(quota_id: str, **more: Any) -> dict[str, Any]:
    """Return one exceeded quota."""
    dimensions = {"location": "global", "model": "gemini-3.6-flash"}
    return {"quotaMetric": METRIC, "quotaId": quota_id, "quotaDimensions": dimensions, **more}


def retry_info(delay: Any) -> dict[str, Any]:
    """Return the detail that names a wait."""
    return {"@type": f"{RPC}RetryInfo", "retryDelay": delay}


HELP = {"@type": f"{RPC}Help", "links": [{"description": "Learn more", "url": "https://ai.google.dev"}]}
BODY_A = envelope(
    429,
    "RESOURCE_EXHAUSTED",
    f"{EXCEEDED}\n* Quota exceeded for metric: {METRIC}, limit: 20, model: gemini-3.6-flash\n"
    "Please retry in 36.429760048s.",
    quota_failure(violation(DAY, quotaValue="20")),
    retry_info("36s"),
)
BODY_B = envelope(
    429,
    "RESOURCE_EXHAUSTED",
    EXCEEDED,
    HELP,
    quota_failure(violation(DAY), violation(MINUTE), violation(TOKENS)),
    retry_info("47s"),
)
BODY_C = envelope(
    429,
    "RESOURCE_EXHAUSTED",
    EXCEEDED,
    quota_failure(violation(TOKENS, quotaValue="250000")),
    HELP,
    retry_info("26s"),
)
BODY_D = envelope(
    429,
    "RESOURCE_EXHAUSTED",
    f"{EXCEEDED}\n* Quota exceeded for metric: {METRIC}, limit: 0, model: gemini-3.1-pro\n"
    "Please retry in 59.953424872s.",
)
KEY_INVALID = "API key not valid. Please pass a valid API key."
BODY_E = envelope(
    400,
    "INVALID_ARGUMENT",
    KEY_INVALID,
    {
        "@type": f"{RPC}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    },
    {"@type": f"{RPC}LocalizedMessage", "locale": "en-US", "message": KEY_INVALID},
)
CREDITS = (
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage"
    " your project and billing. Learn more at https://ai.google.dev/gemini-api/docs/billing#prepay."
)
BODY_F = envelope(402, "RESOURCE_EXHAUSTED", CREDITS)
BODY_G = envelope(
    503,
    "UNAVAILABLE",
    "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try"
    " again later.",
)
HTML_413 = "<html><title>Error 413 (Request Entity Too Large)!!1</title><p>Your request was too large.</html>"
NGINX_404 = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>nginx</body></html>"


def decide(status: int, body: Any, **more: Any) -> ErrorKind | StopReason:
    """Return the kind or the reason for an error."""
    error = to_exception(HttpError(status=status, body=body, **more))
    return error.kind if isinstance(error, ApiFailure) else error.reason


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(429, BODY_A, K.RATE_LIMITED, id="A: per day, with a hint"),
        pytest.param(429, BODY_B, K.RATE_LIMITED, id="B: three quotas at once"),
        pytest.param(429, BODY_C, K.RATE_LIMITED, id="C: tokens"),
        pytest.param(429, BODY_D, S.NO_QUOTA, id="D: limit 0"),
        pytest.param(400, BODY_E, S.KEY_INVALID, id="E: wrong key"),
        pytest.param(402, BODY_F, S.CREDIT_SPENT, id="F: credit"),
        pytest.param(429, BODY_F, S.CREDIT_SPENT, id="F as it came until 2026-09-18"),
        pytest.param(503, BODY_G, K.SERVER, id="G: high demand"),
        pytest.param(503, [BODY_G], K.SERVER, id="G in a list"),
        pytest.param(429, [BODY_D], S.NO_QUOTA, id="D in a list"),
        pytest.param(400, envelope(400, "INVALID_ARGUMENT", "Source image 0 too short"), K.INVALID_REQUEST),
        pytest.param(
            400, envelope(400, "FAILED_PRECONDITION", "User location is not supported"), S.PERMISSION
        ),
        pytest.param(401, envelope(401, "UNAUTHENTICATED", "invalid credentials"), S.PERMISSION),
        pytest.param(403, envelope(403, "PERMISSION_DENIED", "unregistered callers"), S.PERMISSION),
        pytest.param(404, envelope(404, "NOT_FOUND", "models/x is not found"), S.UNKNOWN_MODEL),
        pytest.param(404, envelope(404, "NOT_FOUND", "File files/x not found."), K.INVALID_REQUEST),
        pytest.param(404, NGINX_404, S.UNKNOWN_MODEL, id="404 of another server"),
        pytest.param(
            404, "The URL /files/v1beta/models/x was not found", S.UNKNOWN_MODEL, id="404 of a path"
        ),
        pytest.param(
            403,
            envelope(
                403,
                "PERMISSION_DENIED",
                "You do not have permission to access the File x1 or it may not exist.",
            ),
            K.INVALID_REQUEST,
            id="403 of a file",
        ),
        pytest.param(
            400,
            envelope(
                400, "FAILED_PRECONDITION", "The File x1 is not in an ACTIVE state and usage is not allowed."
            ),
            K.INVALID_REQUEST,
            id="400 of a file",
        ),
        pytest.param(408, "", K.TIMEOUT),
        pytest.param(413, HTML_413, K.INVALID_REQUEST, id="413 page"),
        pytest.param(429, "slow down", K.RATE_LIMITED, id="429 text"),
        pytest.param(
            429, envelope(429, "RESOURCE_EXHAUSTED", "has exceeded its spending cap."), S.SPEND_LIMIT
        ),
        pytest.param(
            429,
            envelope(429, "RESOURCE_EXHAUSTED", EXCEEDED, quota_failure(violation(DAY, quotaValue="0"))),
            S.NO_QUOTA,
            id="quotaValue 0 alone",
        ),
        pytest.param(
            429,
            envelope(429, "RESOURCE_EXHAUSTED", EXCEEDED, quota_failure(violation(DAY, quotaValue=0))),
            S.NO_QUOTA,
            id="quotaValue 0 as a number",
        ),
        pytest.param(429, envelope(429, "X", "limit: 0.5, model: x"), K.RATE_LIMITED, id="limit 0.5"),
        pytest.param(429, envelope(429, "X", "limit: 07, model: x"), K.RATE_LIMITED, id="limit 07"),
        pytest.param(429, envelope(429, "X", "Limit: 0"), S.NO_QUOTA, id="limit 0 at the end"),
        pytest.param(499, envelope(499, "CANCELLED", "cancelled"), K.SERVER),
        pytest.param(500, envelope(500, "INTERNAL", "internal"), K.SERVER),
        pytest.param(502, "<html>bad gateway</html>", K.SERVER, id="502 page"),
        pytest.param(503, None, K.SERVER, id="503 empty"),
        pytest.param(504, envelope(504, "DEADLINE_EXCEEDED", "Deadline expired"), K.TIMEOUT),
        pytest.param(501, {}, K.SERVER, id="501"),
        pytest.param(201, {}, K.NETWORK, id="201"),
        pytest.param(204, None, K.NETWORK, id="204"),
        pytest.param(302, "", K.NETWORK, id="302"),
        pytest.param(407, "", K.NETWORK, id="407 of a proxy"),
        pytest.param(511, "<html>log in</html>", K.NETWORK, id="511 of a captive portal"),
        pytest.param(418, "teapot", K.INVALID_REQUEST, id="an unknown 4xx"),
    ],
)
def test_each_error_has_its_meaning(status: int, body: Any, expected: ErrorKind | StopReason) -> None:
    """Every row of the vendor's table, and every captured body, has its one class."""
    assert decide(status, body) is expected


def test_a_404_of_the_files_api_is_not_about_the_model() -> None:
    """Where the call was about a file, even a 404 without words fails one image and not the run."""
    assert decide(404, None, about_file=True) is K.INVALID_REQUEST
    assert decide(403, None, about_file=True) is S.PERMISSION


@pytest.mark.parametrize(
    ("body", "named"), [(NGINX_404, True), (envelope(404, "NOT_FOUND", "models/x is not found"), False)]
)
def test_a_404_of_another_server_names_the_endpoint(body: Any, *, named: bool) -> None:
    """A wrong --api-base-url is not blamed on the model alone."""
    assert ("--api-base-url" in str(to_exception(HttpError(status=404, body=body)))) is named


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BODY_G, "This model is currently experiencing high demand."),
        ({"error": "out of order"}, "out of order"),
        ({"message": "API rate limit exceeded"}, "API rate limit exceeded"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        (HTML_413, "Error 413 (Request Entity Too Large)!!1 Your request was too large."),
        ("<style>p {color: red}</style><script>let a</script><p>Sorry", "Sorry"),
        ("temperature must be < 2 and > 0", "temperature must be < 2 and > 0"),
        ("a\r\n\x1b[31mb\x07\u202ec\ud800", "a [31mb c"),
        (None, "no reason given"),
        ({"error": {"message": " \n"}}, "no reason given"),
        (17, "no reason given"),
    ],
    ids=[
        "Google",
        "word",
        "gateway",
        "detail",
        "page",
        "style",
        "less than",
        "escapes",
        "none",
        "blank",
        "17",
    ],
)
def test_the_services_words_reach_the_user(body: Any, words: str) -> None:
    """From any sender and in any form, the message becomes one printable line."""
    assert str(to_exception(HttpError(status=503, body=body))).startswith(f"HTTP 503: {words}")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (204, "HTTP 204: something on the way to the service answered in its place: hm"),
        (302, "HTTP 302: something on the way to the service redirects to https://login.example/x: hm"),
        (407, "HTTP 407: the proxy on the way to the service wants credentials: hm"),
        (511, "HTTP 511: the network wants a login before it lets anything through: hm"),
    ],
)
def test_who_stands_in_the_way_is_named(status: int, words: str) -> None:
    """A reply that cannot be the service's own says so, without the query of a login page."""
    headers = {"location": "https://login.example/x?session=7"} if status == 302 else {}

    assert str(to_exception(HttpError(status=status, body="hm", headers=headers))) == words


def test_quotas_are_named_in_order() -> None:
    """All ids and the first limit that is named reach the pacer."""
    failure = to_exception(HttpError(status=429, body=BODY_B))
    tokens = to_exception(HttpError(status=429, body=BODY_C))

    assert isinstance(failure, ApiFailure)
    assert isinstance(tokens, ApiFailure)
    assert failure.quota_ids == (DAY, MINUTE, TOKENS)
    assert failure.quota_value is None
    assert (tokens.quota_value, tokens.api_status) == (250_000, "RESOURCE_EXHAUSTED")


def hint(body: Any = None, **headers: str) -> float | None:
    """Return the hint in a 429."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_hint_s(HttpError(status=429, body=body, headers=named))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BODY_A, 36.429760048),
        (BODY_B, 47.0),
        (BODY_C, 26.0),
        (BODY_D, 59.953424872),
        (BODY_G, None),
        ([BODY_A], 36.429760048),
        ("Please retry in 45.5s.", 45.5),
        ("please retry in 45.5s", 45.5),
        ("Please retry in 850ms.", 0.85),
        ("Please retry in 13h45m10.5s.", 49510.5),
        ("Please retry in 2m.", 120.0),
        ("Please retry in 5 minutes, thanks", 300.0),
        ("Please retry in 30 seconds.", 30.0),
        ("Please retry in 7.", 7.0),
        ("Please retry in 1s. Please retry in 9s.", 9.0),
        ("Please retry in a while.", None),
        ("Please retry in -5s.", None),
        (f"Please retry in {'9' * 400}s.", MAX_HINT_S),
        (envelope(429, "X", "", retry_info("1.5s")), 1.5),
        (envelope(429, "X", "", retry_info("36s"), retry_info("90s")), 90.0),
        (envelope(429, "X", "", retry_info("9" * 400 + "s")), MAX_HINT_S),
        (envelope(429, "X", "", retry_info("-3s")), None),
        (envelope(429, "X", "", retry_info("NaN")), None),
        (envelope(429, "X", "", retry_info({"seconds": 3})), None),
        (envelope(429, "X", "", retry_info("3 h")), None),
    ],
    ids=str,
)
def test_the_wait_in_a_body_is_found(body: Any, expected: float | None) -> None:
    """RetryInfo and message are read, the longest counts, and nonsense is ignored."""
    found = hint(body)

    assert found == (None if expected is None else pytest.approx(expected))


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "date", "expected"),
    [
        ("37", "", 37.0),
        (" 37 ", "", 37.0),
        ("2.5", "", 2.5),
        ("0", "", 0.0),
        ("9" * 99, "", MAX_HINT_S),
        ("Wed, 21 Oct 2026 07:29:30 GMT", DATE, 90.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, 0.0),
        ("Wed, 21 Oct 2026 07:29:30 GMT", "", None),
        ("Wed, 21 Oct 2026 07:29:30 -0000", DATE, None),
        ("Wed, 21 Oct 99999999999999 07:29:30 GMT", DATE, None),
        ("soon", DATE, None),
        ("-5", "", None),
        ("\u0664\u0662", "", None),
        ("nan", "", None),
        ("inf", "", None),
    ],
)
def test_the_wait_in_the_header_is_found(retry_after: str, date: str, expected: float | None) -> None:
    """Seconds, or a date counted from the server's own clock; never a negative or endless wait."""
    assert hint(retry_after=retry_after, date=date) == expected


def test_the_longest_of_all_hints_counts() -> None:
    """Header, details and message are compared, whichever is longer."""
    assert hint(BODY_A, retry_after="5") == pytest.approx(36.429760048)
    assert hint(BODY_A, retry_after="60") == 60.0
