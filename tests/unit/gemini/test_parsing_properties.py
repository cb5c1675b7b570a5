"""Rules that parser and error mapping keep for a body of any shape whatever."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from errors import ApiFailure, FatalError
from gemini.error_mapping import HttpError, to_exception
from gemini.response_parser import parse_response
from gemini.retry_after import MAX_HINT_S
from models import Generation


def reply(text: str, *, finish: str = "STOP", **more: Any) -> dict[str, Any]:
    """Return a reply with one candidate."""
    return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": finish}], **more}


def read(body: Any, *, wants_images: bool) -> Generation | ApiFailure | FatalError:
    """Return the answer, or what is raised instead."""
    try:
        return parse_response(body, wants_images=wants_images)
    except (ApiFailure, FatalError) as error:
        return error


ERROR_NAMES = st.sampled_from(
    [
        "error",
        "code",
        "message",
        "status",
        "details",
        "reason",
        "violations",
        "quotaValue",
        "quotaId",
        "retryDelay",
        "detail",
        "@type",
    ]
)
ERROR_WORDS = st.sampled_from(
    [
        "RESOURCE_EXHAUSTED",
        "API_KEY_INVALID",
        "36s",
        "0",
        "Please retry in 1h2m3.5s",
        "limit: 0",
        "9" * 5000,
        "<" * 3000,
        "<script>" * 500,
        "\ud800\x1b[2J\r\n\u2028",
        "NaN",
        "File files/x",
    ]
)
ERROR_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | ERROR_WORDS
    | st.text(max_size=20)
)
ERROR_JSON = st.recursive(
    ERROR_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(ERROR_NAMES | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": st.text(max_size=40) | ERROR_WORDS | st.just("Wed, 21 Oct 2026 07:28:00 GMT"),
        "date": st.text() | st.just("Wed, 21 Oct 2026 07:28:00 GMT"),
    },
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    status=st.sampled_from([200, 301, 400, 401, 402, 403, 404, 413, 429, 500, 503, 504])
    | st.integers(-1, 999),
    body=ERROR_JSON | st.fixed_dictionaries({"error": ERROR_JSON}),
    headers=HEADERS,
    about_file=st.booleans(),
)
@example(status=429, body=json.loads("[" * 200 + "]" * 200), headers={}, about_file=False)
def test_any_error_is_understood(
    status: int, body: Any, headers: dict[str, str], *, about_file: bool
) -> None:
    """Whatever the shape: one of our two errors, one short printable line, a wait that a clock can bear."""
    error = to_exception(HttpError(status=status, body=body, headers=headers, about_file=about_file))

    assert isinstance(error, ApiFailure | FatalError)
    assert error.detail.isprintable()
    assert 0 < len(error.detail) <= 400
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= MAX_HINT_S
    if isinstance(error, ApiFailure):
        assert all(
            one.isprintable() and len(one) <= 120 for one in (error.api_status or "", *error.quota_ids)
        )
        assert len(error.quota_ids) <= 20
        assert error.quota_value is None or 0 <= error.quota_value < 10**18


REPLY_NAMES = st.sampled_from(
    [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "inlineData",
        "mimeType",
        "data",
        "finishReason",
        "finishMessage",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
        "error",
        "code",
        "modelVersion",
        "responseId",
    ]
)
REPLY_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["STOP", "SAFETY", "NEW\x1b[2J\n" * 99, "image/png", "iVBORw0KGgo=", "\ud800", "x" * 999]
    )
)
REPLY_JSON = st.recursive(
    REPLY_LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(REPLY_NAMES, inner, max_size=5),
    max_leaves=15,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": REPLY_JSON,
        "thought": st.booleans(),
        "inlineData": REPLY_JSON,
        "inline_data": REPLY_JSON,
    },
)
REPLIES = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.fixed_dictionaries({"parts": st.lists(PARTS, max_size=3)}),
                    "finishReason": REPLY_JSON,
                    "finishMessage": REPLY_JSON,
                },
            ),
            max_size=2,
        ),
        "promptFeedback": st.fixed_dictionaries(
            {}, optional={"blockReason": REPLY_JSON, "blockReasonMessage": REPLY_JSON}
        ),
        "usageMetadata": st.dictionaries(REPLY_NAMES, REPLY_LEAVES, max_size=3),
        "modelVersion": REPLY_JSON,
        "responseId": REPLY_JSON,
        "error": REPLY_JSON,
    },
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(body=REPLY_JSON | REPLIES, wants_images=st.booleans())
@example(body=reply("\ud800", finish="\x1b[2J" * 999), wants_images=False)
@example(body=reply("\ud800", modelVersion="\ud800" * 999), wants_images=False)
def test_any_reply_is_understood(body: Any, *, wants_images: bool) -> None:
    """Whatever the shape: an answer that can be stored, or one of our two errors with a short line."""
    answer = read(body, wants_images=wants_images)

    if isinstance(answer, ApiFailure | FatalError):
        assert answer.detail.isprintable()
        assert 0 < len(answer.detail) <= 400
    else:
        assert answer.images if wants_images else answer.images or answer.text.strip()
        assert answer.text.encode() is not None
        facts = (answer.finish_reason, answer.model_version, answer.response_id)
        types = tuple(str(image.mime_type) for image in answer.images)
        assert all(fact.isprintable() and len(fact) <= 120 for fact in (*facts, *types))
