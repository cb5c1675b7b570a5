"""What can go wrong, for one image or for the whole run, and which exit code says so?

    BatchError
     +-- ApiFailure     one call for one image went wrong: retry, repair or fail that image
     +-- FatalError     nothing more can be done in this run: stop, leave the rest to do
     +-- UsageError     the command line, the environment or ``.env`` asks for something impossible
     +-- StorageError   an answer or a record could not be written

``ApiFailure`` and ``FatalError`` are siblings on purpose: a retry predicate that knows the one can
never catch the other. This file knows nothing of HTTP libraries, of files, or of how to retry.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ErrorKind(StrEnum):
    """The class of a failure that concerns one image; each has exactly one policy."""

    RATE_LIMITED = "rate_limited"
    """429: a quota per minute, which belongs to the project and not to the image."""
    SERVER = "server"
    """500, 502, 503: the service is broken or overloaded."""
    NETWORK = "network"
    """Refused, reset, cut or unreadable: no usable body reached us."""
    TIMEOUT = "timeout"
    """Our own deadline, 408 or 504."""
    BLOCKED = "blocked"
    """The safety filter or an unnamed reason withheld the answer."""
    RECITATION = "recitation"
    """The answer was withheld because it repeats protected text or pictures."""
    TRUNCATED = "truncated"
    """The answer ends at the token limit."""
    EMPTY = "empty"
    """A finished answer without any content."""
    NO_IMAGE = "no_image"
    """A picture was asked for and none came."""
    MALFORMED = "malformed"
    """The model or the wire delivered something that is not an answer."""
    SCHEMA = "schema"
    """The answer does not have the asked form."""
    REFUSED = "refused"
    """The answer is a sentence that declines the task."""
    PROHIBITED = "prohibited"
    """The vendor forbids this content; never argued with."""
    FILE_UNAVAILABLE = "file_unavailable"
    """The image's file could not be had: gone, changing, or its disk or share is at fault."""
    INVALID_REQUEST = "invalid_request"
    """400, 413, a lost file, or an image that cannot be read: asking again cannot help."""


TRANSIENT = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT})
"""What waiting cures: such a call says nothing about the words it carried."""

NO_REPLY = TRANSIENT - {ErrorKind.RATE_LIMITED}
"""Failures in which the service gave no usable reply."""

WORTH_RETRYING_LATER = TRANSIENT | {ErrorKind.FILE_UNAVAILABLE}
"""Failures that a later run may cure by itself; the others would most likely be paid for again."""


class ExitCode(IntEnum):
    """What the process tells cron; the README and ``--help`` print this table."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_INPUT = 4
    KEY_REFUSED = 5
    BUDGET = 8
    DEADLINE = 10
    LOCKED = 11
    TRY_LATER = 75
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One line for people."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "everything done, or nothing to do",
    ExitCode.UNEXPECTED: "unexpected: a bug, or results could not be written",
    ExitCode.USAGE: "a flag, a variable or the model's name is wrong",
    ExitCode.SOME_FAILED: "finished, but some images failed",
    ExitCode.NO_INPUT: "no usable image in the input directory",
    ExitCode.KEY_REFUSED: "the key or its permission was refused",
    ExitCode.BUDGET: "stopped by the budget",
    ExitCode.DEADLINE: "stopped by the time limit",
    ExitCode.LOCKED: "another run holds the output directory",
    ExitCode.TRY_LATER: "quota, credit or outage: run again later",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C (SIGINT)",
    ExitCode.TERMINATED: "stopped by SIGTERM",
}


class StopReason(StrEnum):
    """Why a run ends before every image was tried."""

    KEY_INVALID = "key_invalid"
    PERMISSION = "permission"
    UNKNOWN_MODEL = "unknown_model"
    NO_QUOTA = "no_quota"
    """The model's quota for this project is zero: it is not part of the tier."""
    CREDIT_SPENT = "credit_spent"
    SPEND_LIMIT = "spend_limit"
    DAILY_QUOTA = "daily_quota"
    OUTAGE = "outage"
    ALL_ALIKE = "all_alike"
    """The first images all failed alike, with an error that no image can cause."""
    STORAGE = "storage"
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
        """What the user does now, as one sentence without its full stop."""
        return _REMEDIES[self]


_EXIT_CODES = {
    StopReason.KEY_INVALID: ExitCode.KEY_REFUSED,
    StopReason.PERMISSION: ExitCode.KEY_REFUSED,
    StopReason.UNKNOWN_MODEL: ExitCode.USAGE,
    StopReason.NO_QUOTA: ExitCode.KEY_REFUSED,
    StopReason.CREDIT_SPENT: ExitCode.TRY_LATER,
    StopReason.SPEND_LIMIT: ExitCode.TRY_LATER,
    StopReason.DAILY_QUOTA: ExitCode.TRY_LATER,
    StopReason.OUTAGE: ExitCode.TRY_LATER,
    StopReason.ALL_ALIKE: ExitCode.USAGE,
    StopReason.STORAGE: ExitCode.UNEXPECTED,
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
    StopReason.OUTAGE: "run again later",
    StopReason.ALL_ALIKE: "correct what the message names, then run again",
    StopReason.STORAGE: "make room or repair the permissions of the output directory, then run again",
    StopReason.BUDGET: "run again with a larger budget to go on",
    StopReason.DEADLINE: "run again to go on",
    StopReason.INTERRUPTED: "run the same command again to go on",
    StopReason.TERMINATED: "run the same command again to go on",
}


class BatchError(Exception):
    """The root of every error that this program raises itself."""


@dataclass(slots=True, kw_only=True, eq=False)
class ApiFailure(BatchError):
    """One call for one image failed.

    Raised by the Gemini client (live or simulated) alone. It never reaches the user as it is: the
    processor turns it into an ``Attempt``, and in the end into a ``Failed`` or ``Deferred``.
    """

    kind: ErrorKind
    detail: str
    """One sentence for people, without the key."""
    http_status: int | None = None
    api_status: str | None = None
    """Google's status word, such as ``RESOURCE_EXHAUSTED``, or the raw finish or block reason."""
    retry_after_s: float | None = None
    """Seconds the server asks us to wait; None when it said nothing."""
    quota_ids: tuple[str, ...] = ()
    """The ids of the quotas that were exceeded, as the server names them."""
    quota_value: int | None = None
    """The limit the server named for the first of them."""
    reached_server: bool = True
    """False when no connection came about, so that nothing can have been billed."""
    input_tokens: int = 0
    output_tokens: int = 0
    image_output_tokens: int = 0
    """The part of ``output_tokens`` that pictures took."""
    partial_text: str = ""
    """What came of an answer all the same (a truncated or refusing text): paid for, so kept."""

    def __str__(self) -> str:
        """Return the sentence for people."""
        return self.detail

    @property
    def is_unavailability(self) -> bool:
        """True when the service was not to be had (429, 503, no connection): the image is fine."""
        return (
            self.kind is ErrorKind.RATE_LIMITED
            or (self.kind is ErrorKind.SERVER and self.http_status == 503)
            or (self.kind is ErrorKind.NETWORK and not self.reached_server)
        )


class FatalError(BatchError):
    """Nothing more can be done in this run; images not yet answered stay to do."""

    def __init__(
        self,
        reason: StopReason,
        detail: str,
        *,
        retry_after_s: float | None = None,
        quota_ids: tuple[str, ...] = (),
        quota_value: int | None = None,
    ) -> None:
        """Name the ``reason`` and say in ``detail``, one sentence without the key, what happened.

        ``quota_ids`` and ``quota_value`` are those of the refusal that ended the run, where a quota did:
        the ids as the server names them, and the limit that it named for the first of them.
        """
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.quota_ids = quota_ids
        self.quota_value = quota_value


class UsageError(BatchError):
    """A flag, a variable or a path is wrong; the message is one sentence that names it."""


class StorageError(BatchError):
    """An answer or a record could not be written; the message names the path and the reason."""
