"""Faults: the wrong, odd or missing answers that the emulator can give, one name for each.

`bodies`, `oddities`, `answers` and `transport` say what a name looks like on the wire.
Source: docs/api-facts.md, sections 1.4 (what surfaces), 2.5 (finish and block reasons), 3 (errors),
November 2026.
"""

from enum import StrEnum


class Fault(StrEnum):
    """Everything that can happen to a call instead of a plain answer; the value is its name on the CLI."""

    # 429: with every way a hint has been seen to come, and without one
    RATE_LIMIT = "rate-limit"
    """Requests per minute, with quotaId, quotaValue and RetryInfo."""
    TOKEN_LIMIT = "token-limit"  # noqa: S105 - tokens of text
    """Input tokens per minute (body C)."""
    RATE_LIMIT_HEADER_ONLY = "rate-limit-header-only"
    """`Retry-After` and a body without details."""
    RATE_LIMIT_MESSAGE_ONLY = "rate-limit-message-only"
    """`Please retry in X s.` in the message only."""
    RATE_LIMIT_NO_HINT = "rate-limit-no-hint"
    RATE_LIMIT_EVENT_STREAM = "rate-limit-event-stream"
    """Full body under `text/event-stream` (python-genai#2044): the SDK leaves it unparsed."""
    DAILY_QUOTA = "daily-quota"
    """Body A: PerDay with a hint of seconds."""
    DAILY_AND_MINUTE = "daily-and-minute"
    """Body B: three violations at once."""
    LIMIT_ZERO = "limit-zero"
    """Body D: the model is not in this tier."""
    SPENDING_CAP = "spending-cap"
    CREDITS_429 = "credits-429"
    """Prepaid credit gone, as worded before 2026-09-18."""

    # other errors of the API
    PAYMENT_REQUIRED = "payment-required"
    INVALID_ARGUMENT = "invalid-argument"
    CORRUPT_IMAGE = "corrupt-image"
    DEADLINE_TOO_SHORT = "deadline-too-short"
    API_KEY_INVALID = "api-key-invalid"
    LOCATION = "location"
    """400 FAILED_PRECONDITION: country or billing."""
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission-denied"
    MODEL_NOT_FOUND = "model-not-found"
    MODEL_GONE = "model-gone"
    """404 "no longer available to new users"."""
    FILE_NOT_FOUND = "file-not-found"
    REQUEST_TIMEOUT = "request-timeout"
    TOO_LARGE = "too-large"
    """413 as a page of HTML."""
    CANCELLED = "cancelled"
    INTERNAL = "internal"
    BAD_GATEWAY = "bad-gateway"
    """502 as a page of HTML."""
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    """503 in its older words."""
    UNAVAILABLE_BROKEN_JSON = "unavailable-broken-json"
    UNAVAILABLE_EMPTY = "unavailable-empty"
    """503, JSON content type, no body."""
    DEADLINE_EXCEEDED = "deadline-exceeded"
    LIST_WRAPPED = "list-wrapped"
    """503 whose body is `[{"error": …}]`."""
    CREATED = "created"
    """201 with a good body: the SDK raises."""
    NO_CONTENT = "no-content"
    REDIRECT = "redirect"
    """302 to the model's own page: the POST becomes a GET."""

    # the wire itself
    RESET = "reset"
    """RST before any reply."""
    CLOSE = "close"
    """Closed before any reply."""
    CUT_BODY = "cut-body"
    """Closed in mid-body."""
    RESET_BODY = "reset-body"
    """RST in mid-body."""
    HANG = "hang"
    """Nothing, until the client gives up or `hang_s` is over (then closed)."""
    SLOW_DRIP = "slow-drip"
    """The right answer, a few bytes at a time over `drip_s`."""

    # 200 without an answer
    OK_BROKEN_JSON = "ok-broken-json"
    CAPTIVE_PORTAL = "captive-portal"
    OK_EMPTY = "ok-empty"
    OK_NULL = "ok-null"
    OK_LIST = "ok-list"
    OK_ERROR = "ok-error"
    BAD_BASE64 = "bad-base64"
    CANDIDATES_STRING = "candidates-string"
    NO_CANDIDATES = "no-candidates"
    STOP_NO_PARTS = "stop-no-parts"
    NO_ROLE = "no-role"
    """STOP with `content: {}`."""
    MAX_TOKENS_EMPTY = "max-tokens-empty"
    MAX_TOKENS_PARTIAL = "max-tokens-partial"

    # finish reasons
    FINISH_UNSPECIFIED = "finish-unspecified"
    FINISH_UNKNOWN = "finish-unknown"
    """A reason that no SDK knows yet."""
    SAFETY = "safety"
    PROHIBITED_CONTENT = "prohibited-content"
    BLOCKLIST = "blocklist"
    SPII = "spii"
    RECITATION = "recitation"
    LANGUAGE = "language"
    OTHER = "other"
    ESCALATION = "escalation"
    MODEL_ARMOR = "model-armor"
    PUP_LIMITED_DISABLED = "pup-limited-disabled"
    CONTINUATION = "continuation"
    MALFORMED_RESPONSE = "malformed-response"
    MALFORMED_FUNCTION_CALL = "malformed-function-call"
    UNEXPECTED_TOOL_CALL = "unexpected-tool-call"
    TOO_MANY_TOOL_CALLS = "too-many-tool-calls"
    MISSING_THOUGHT_SIGNATURE = "missing-thought-signature"
    IMAGE_SAFETY = "image-safety"
    IMAGE_PROHIBITED_CONTENT = "image-prohibited-content"
    IMAGE_RECITATION = "image-recitation"
    IMAGE_OTHER = "image-other"
    NO_IMAGE = "no-image"

    # promptFeedback.blockReason, without candidates
    BLOCK_UNSPECIFIED = "block-unspecified"
    BLOCK_UNKNOWN = "block-unknown"
    BLOCK_SAFETY = "block-safety"
    BLOCK_OTHER = "block-other"
    BLOCK_BLOCKLIST = "block-blocklist"
    BLOCK_PROHIBITED = "block-prohibited"
    BLOCK_IMAGE_SAFETY = "block-image-safety"
    BLOCK_MODEL_ARMOR = "block-model-armor"
    BLOCK_JAILBREAK = "block-jailbreak"

    # a STOP whose parts need care
    THOUGHTS_ONLY = "thoughts-only"
    THOUGHT_FIRST = "thought-first"
    """A thought part, then the answer."""
    DRAFT_IMAGES = "draft-images"
    """Thought parts with draft pictures, then the real one."""
    SEVERAL_PICTURES = "several-pictures"
    JPEG_AS_PNG = "jpeg-as-png"
    """A JPEG whose part says image/png."""
    TEXT_ONLY = "text-only"
    """Words and no picture from an image model."""
    REFUSAL = "refusal"
    """STOP with a polite refusal as its text."""

    @property
    def still_answers(self) -> bool:
        """Return whether a careful client gets a usable answer out of it."""
        return self in _STILL_ANSWER


_STILL_ANSWER = frozenset(
    {
        Fault.SLOW_DRIP,
        Fault.THOUGHT_FIRST,
        Fault.DRAFT_IMAGES,
        Fault.SEVERAL_PICTURES,
        Fault.JPEG_AS_PNG,
        Fault.OK_LIST,
    }
)
