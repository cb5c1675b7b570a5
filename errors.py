"""Errors of one image and of the whole run, and the exit code of each.

``ApiFailure`` is the failure of one call for one image: retry, repair or fail that image. ``FatalError`` ends
the run and leaves the other images for the next one. They are siblings, so that a retry predicate for the
one cannot catch the other (docs/adr/0002). No dataclasses here: they would slow ``--help`` down by a fifth.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class ErrorKind(StrEnum):
    """The class of a failure of one image; each has exactly one policy in ``retry_handler``."""

    RATE_LIMITED = "rate_limited"
    """429: a quota of the project, so that the failure says nothing about the image."""
    SERVER = "server"
    """500, 502, 503: the service is broken or overloaded."""
    NETWORK = "network"
    """Connection refused, reset or cut, or an unreadable body: no usable reply arrived."""
    TIMEOUT = "timeout"
    """Our own deadline, 408 or 504."""
    BLOCKED = "blocked"
    """The answer was withheld by the safety filter or for an unnamed reason."""
    RECITATION = "recitation"
    """The answer was withheld because it repeats protected text or pictures."""
    TRUNCATED = "truncated"
    """The answer was cut off at the token limit."""
    EMPTY = "empty"
    """A finished answer without any content."""
    NO_IMAGE = "no_image"
    """A picture was asked for and the answer has none."""
    MALFORMED = "malformed"
    """The reply is not a proper answer."""
    SCHEMA = "schema"
    """The answer does not have the requested form."""
    REFUSED = "refused"
    """A refusal: the answer is a sentence that declines the task."""
    PROHIBITED = "prohibited"
    """The vendor forbids this content; never sent again."""
    FILE_UNAVAILABLE = "file_unavailable"
    """The image's file is unavailable: gone, changing, or on a disk or share with a fault."""
    INVALID_REQUEST = "invalid_request"
    """400, 413, a lost upload, or an image that cannot be read: a retry cannot help."""


TRANSIENT = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT})
"""Failures that waiting cures; they say nothing about the prompt."""

NO_REPLY = TRANSIENT - {ErrorKind.RATE_LIMITED}
"""Failures in which the service gave no usable reply."""

WORTH_RETRYING_LATER = TRANSIENT | {ErrorKind.FILE_UNAVAILABLE}
"""Failures that may not occur in a later run; the others would most likely cost a call and fail again."""


class Cause(StrEnum):
    """Where the fault lies, within one class of failure or one reason of an end: it decides the remedy."""

    IMAGE = "image"
    """The image's own bytes."""
    REQUEST = "request"
    """A setting, the model or the prompt, which all images share."""
    TOO_LARGE = "too_large"
    """The request is larger than the service, or a gateway on the way, accepts."""
    UPLOAD = "upload"
    """The uploaded file of a large image was lost."""
    NO_FILES_API = "no_files_api"
    """The endpoint takes no uploads, and the image is too large for a request."""
    GATEWAY = "gateway"
    """A server on the way (firewall, proxy, gateway) answered in the service's place."""
    GATEWAY_KEY = "gateway_key"
    """A gateway refused the key."""
    GATEWAY_CREDIT = "gateway_credit"
    """The credit at a gateway is spent."""
    KEY = "key"
    LEAKED_KEY = "leaked_key"
    """The key was seen in public, so that Google blocked it."""
    RESTRICTION = "restriction"
    """The key's own restrictions."""
    API_DISABLED = "api_disabled"
    """The API is not switched on in the key's project."""
    PROJECT = "project"
    """The key's project is suspended or shut out."""
    LOCATION = "location"
    """The service is not offered where the connection comes from."""
    BILLING = "billing"
    """The key's project has no billing."""
    NO_CONNECTION = "no_connection"
    """The host was not found, or does not accept connections."""
    SHORTAGE = "shortage"
    """This machine has no descriptor, or no memory, for a connection."""
    CERTIFICATE = "certificate"
    """The server's certificate was signed by an authority that is not trusted here."""
    CLOCK = "clock"
    """The certificate is not valid at the time that this machine's clock shows."""
    OTHER_HOST = "other_host"
    """The certificate is that of another host."""
    STOPPED = "stopped"
    """The process did not run, or the machine slept, while the call was in flight."""


class ExitCode(IntEnum):
    """Exit codes of the process; the README and ``--help`` print this table."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_INPUT = 4
    KEY_REFUSED = 5
    NO_OUTPUT = 6
    BUDGET = 8
    DEADLINE = 10
    LOCKED = 11
    TRY_LATER = 75
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """The meaning in one line for users."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "everything done, or nothing to do",
    ExitCode.UNEXPECTED: "unexpected: a bug, or results could not be written",
    ExitCode.USAGE: "a flag, a variable or the model's name is wrong",
    ExitCode.SOME_FAILED: "finished, but some images failed",
    ExitCode.NO_INPUT: "no usable image in the input directory",
    ExitCode.KEY_REFUSED: "the key or its permission was refused",
    ExitCode.NO_OUTPUT: "the answers of earlier runs are not in the output directory",
    ExitCode.BUDGET: "stopped by the budget",
    ExitCode.DEADLINE: "stopped by the time limit",
    ExitCode.LOCKED: "another run holds the output directory, or its lock was removed",
    ExitCode.TRY_LATER: "quota, credit or outage: run again later",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C (SIGINT)",
    ExitCode.TERMINATED: "stopped by SIGTERM",
}


class StopReason(StrEnum):
    """Reason why a run ends before every image was tried."""

    KEY_INVALID = "key_invalid"
    PERMISSION = "permission"
    UNKNOWN_MODEL = "unknown_model"
    NO_QUOTA = "no_quota"
    """The model's quota for this project is zero: the model is not part of the tier."""
    CREDIT_SPENT = "credit_spent"
    SPEND_LIMIT = "spend_limit"
    DAILY_QUOTA = "daily_quota"
    LONG_WAIT = "long_wait"
    """The service asks for a wait longer than ``--max-wait``."""
    OUTAGE = "outage"
    ALL_ALIKE = "all_alike"
    """The first images all failed alike, with an error that no image can cause."""
    STORAGE = "storage"
    LOCK_LOST = "lock_lost"
    BUDGET = "budget"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a run that ends for this reason."""
        return _EXIT_CODES[self]

    @property
    def remedy(self) -> str:
        """What the user should do now, as one sentence without its full stop."""
        return _REMEDIES[self]


_EXIT_CODES = {
    StopReason.KEY_INVALID: ExitCode.KEY_REFUSED,
    StopReason.PERMISSION: ExitCode.KEY_REFUSED,
    StopReason.UNKNOWN_MODEL: ExitCode.USAGE,
    StopReason.NO_QUOTA: ExitCode.KEY_REFUSED,
    StopReason.CREDIT_SPENT: ExitCode.TRY_LATER,
    StopReason.SPEND_LIMIT: ExitCode.TRY_LATER,
    StopReason.DAILY_QUOTA: ExitCode.TRY_LATER,
    StopReason.LONG_WAIT: ExitCode.TRY_LATER,
    StopReason.OUTAGE: ExitCode.TRY_LATER,
    StopReason.ALL_ALIKE: ExitCode.USAGE,
    StopReason.STORAGE: ExitCode.UNEXPECTED,
    StopReason.LOCK_LOST: ExitCode.LOCKED,
    StopReason.BUDGET: ExitCode.BUDGET,
    StopReason.DEADLINE: ExitCode.DEADLINE,
    StopReason.INTERRUPTED: ExitCode.INTERRUPTED,
    StopReason.TERMINATED: ExitCode.TERMINATED,
}

_REMEDIES = {
    StopReason.KEY_INVALID: "check GEMINI_API_KEY (make a key at https://aistudio.google.com/apikey)",
    StopReason.PERMISSION: "check the key's restrictions and that its project may use the Gemini API",
    StopReason.UNKNOWN_MODEL: "check --model",
    StopReason.NO_QUOTA: "choose another --model, or enable billing for the key's project",
    StopReason.CREDIT_SPENT: "top up the project's credit at https://ai.studio/projects, then run again",
    StopReason.SPEND_LIMIT: "raise the project's spend limit or wait, then run again",
    StopReason.DAILY_QUOTA: "run again after the quota resets at midnight Pacific time",
    StopReason.LONG_WAIT: "run again when the wait is over",
    StopReason.OUTAGE: "run again later",
    StopReason.ALL_ALIKE: "correct what the message names, then run again",
    StopReason.STORAGE: "make room or repair the permissions of the output directory, then run again",
    StopReason.LOCK_LOST: "leave the lock alone during a run, and run the same command again to go on",
    StopReason.BUDGET: "run the same command again to go on, with a larger cap to get further",
    StopReason.DEADLINE: "run again to go on",
    StopReason.INTERRUPTED: "run the same command again to go on",
    StopReason.TERMINATED: "run the same command again to go on",
}


class Usage(NamedTuple):
    """Tokens that one or several calls are billed for; stands here because ``ApiFailure`` has one."""

    input_tokens: int = 0
    output_tokens: int = 0
    """Answer and thoughts together, since both are billed as output."""
    image_output_tokens: int = 0
    """The part of ``output_tokens`` that pictures took; it has its own price."""
    at_least: bool = False
    """True if the service did not say it, or not in a way that can be believed: it took so much or more."""

    def __add__(self, other: "Usage") -> "Usage":  # type: ignore[override]  # no longer tuple
        """Return the sum of both."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            image_output_tokens=self.image_output_tokens + other.image_output_tokens,
            at_least=self.at_least or other.at_least,
        )


_NO_USAGE = Usage()


class BatchError(Exception):
    """Base class of all errors that this program raises itself."""


class ApiFailure(BatchError):
    """The failure of one call for one image.

    Raised by ``gemini`` for a call. The processor records it as an ``Attempt``, and the last one of an image
    as its ``Failed`` or ``Deferred``.

    Args:
        kind: its class.
        detail: one sentence for the user, without the key.
        http_status: None if there was no reply.
        api_status: Google's status word, such as ``RESOURCE_EXHAUSTED``, or the raw finish or block reason.
        retry_after_s: seconds that the service asks the client to wait; None if unknown.
        quota_ids: ids of the exceeded quotas, as the service names them.
        quota_value: the limit of the first of them that the service names; None if unknown.
        reached_server: False if there was no connection, so that nothing can have been billed.
        usage: what was billed for the call.
        partial_text: text of a truncated or refusing answer, kept because it is paid for.
        cause: where the fault lies; None if the class says it, or if it is unknown.
        extra_tries: further calls that this failure deserves, whatever the policy of its class.
    """

    def __init__(  # noqa: PLR0913 - what the service says about a failure
        self,
        *,
        kind: ErrorKind,
        detail: str,
        http_status: int | None = None,
        api_status: str | None = None,
        retry_after_s: float | None = None,
        quota_ids: tuple[str, ...] = (),
        quota_value: int | None = None,
        reached_server: bool = True,
        usage: Usage = _NO_USAGE,
        partial_text: str = "",
        cause: Cause | None = None,
        extra_tries: int = 0,
    ) -> None:
        super().__init__()  # the detail may still be redacted
        self.kind, self.detail = kind, detail
        self.http_status, self.api_status = http_status, api_status
        self.retry_after_s, self.quota_ids, self.quota_value = retry_after_s, quota_ids, quota_value
        self.reached_server, self.usage, self.partial_text = reached_server, usage, partial_text
        self.cause, self.extra_tries = cause, extra_tries

    def __repr__(self) -> str:
        """Return the kind and the sentence."""
        return f"ApiFailure({self.kind.value}, {self.detail!r})"

    def __str__(self) -> str:
        """Return the sentence for the user."""
        return self.detail

    @property
    def is_unavailability(self) -> bool:
        """True if the service was unavailable (429, 503, no connection): the image has no fault."""
        return (
            self.kind is ErrorKind.RATE_LIMITED
            or (self.kind is ErrorKind.SERVER and self.http_status == 503)
            or (self.kind is ErrorKind.NETWORK and not self.reached_server)
        )


class FatalError(BatchError):
    """The run cannot go on; images without an answer are left for the next run."""

    def __init__(
        self,
        reason: StopReason,
        detail: str,
        *,
        retry_after_s: float | None = None,
        quota_ids: tuple[str, ...] = (),
        quota_value: int | None = None,
        http_status: int | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Record why the run ends.

        Args:
            reason: decides the exit code and the advice.
            detail: one sentence for the user, without the key.
            retry_after_s: seconds that the service asks the client to wait; None if unknown.
            quota_ids: ids of the exceeded quotas, if a 429 ended the run.
            quota_value: the limit of the first of them that the service names; None if unknown.
            http_status: of the reply that ended the run; None if there was none.
            cause: where the fault lies; None if the reason says it, or if it is unknown.
        """
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.quota_ids = quota_ids
        self.quota_value = quota_value
        self.http_status = http_status
        self.cause = cause


class UsageError(BatchError):
    """A flag, a variable, ``.env`` or a path is wrong; the message is one sentence that names it."""


class StorageError(BatchError):
    """An answer or a record could not be written; the message names the path and the reason."""


class ShortageError(StorageError):
    """The same for want of descriptors or memory, which passes: it is tried again."""
