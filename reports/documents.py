"""Types of the documents in ``metadata/``, field by field; no number is computed here.

``docs/schema/`` describes the same documents for other programs; a test compares the two. The members that
all documents share (schema version, program, run, dry run) are added by the writer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from errors import ErrorKind, StopReason
from reports.guilty_words import GuiltyWords

Option = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A total, and its parts by name."""

    total: int
    by: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFiles:
    """Files that are no input."""

    total: int
    by: Mapping[str, int]
    """By reason."""
    examples: Mapping[str, Sequence[str]]
    """Paths of the first few files of each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Number of files of the input directory by what became of them.

    Two sums hold, and ``adds_up`` says so:

    files_seen = passed_over + found; found = already_answered + known_failures + not_selected +
    answered + reused + failed + deferred + lost + not_started.
    """

    files_seen: int
    passed_over: int
    """Skipped files: hidden, another kind of file, a broken link, …"""
    found: int
    """Images."""
    already_answered: int
    """By an earlier run, under the same settings."""
    known_failures: int
    """Failed in an earlier run, so that another call is not expected to help."""
    not_selected: int
    """Not among the images that the user selected."""
    answered: int
    """By a call of this run."""
    reused: int
    """Answered without a call: identical bytes were answered before, under another name."""
    failed: int
    deferred: int
    """Left for the next run: a temporary failure, or the run stopped before their turn or in it."""
    lost: int
    """Images whose outcome could not be written."""
    not_started: int
    """0: images that the run did not reach are ``deferred``; negative only if ``adds_up`` is false."""
    adds_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAnswers:
    """Images that were answered under other settings, and what became of those answers."""

    repaired: Breakdown
    """Answered by a repair that counts for the present settings, by model; part of ``already_answered``."""
    kept: Breakdown
    """Left as they are because the user wants it, by model; part of ``already_answered``."""
    asked_anew: Breakdown
    """Asked about again, by what differs: another model, another prompt, both, other settings."""
    kept_by_failures: int
    """Images that failed in this run and keep the answer that they had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Reason why the run ended before every image was tried, and what to do next."""

    reason: StopReason
    detail: str
    remedy: str
    images_left: int
    """Images for the next run: the deferred ones."""
    resets_at: datetime | None
    """When quota is available again; None if unknown, or if it does not depend on time."""
    resets_at_local: str | None
    """The same moment in the machine's zone, with its offset from UTC."""
    images_per_night: int | None
    """The quota per day that the service named, else the answers of this quota day; None if unknown."""
    nights_left: int | None
    """Days that the images left take at that rate; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The calls of this run."""

    total: int
    by_result: Mapping[str, int]
    """``answered``, a class of failure, or the reason that ended the run."""
    refused_by_http_status: Mapping[int, int]
    retries: Breakdown
    """Retries, by the class of the failure before."""
    upload_bytes: int
    """Bytes of the requests' bodies as they were sent, uploads included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """Limits on the request rate, and what it cost to find them."""

    limit_requests_per_minute: float | None
    """As learned; None if unknown."""
    limit_tokens_per_minute: float | None
    limit_is_named: bool
    """True if the service named a limit; else the limits are what it was seen to accept."""
    pace_at_end: float | None
    """Requests a minute; None if unlimited."""
    concurrency: int
    """Limit on calls in flight at the end of the run."""
    requests: int
    """Requests sent, rejected ones included."""
    refused: int
    """Requests rejected with 429."""
    refused_share: float
    refused_by_quota: Mapping[str, int]
    """By the quota's id, or ``unnamed``; a 429 that names several counts for each."""
    waited_seconds: Mapping[str, float]
    """How long the queue waited, by cause; a second counts once, however many callers waited."""
    wasted_upload_bytes: int
    """Bytes sent with rejected calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens that the calls of this run were billed for."""

    input: int
    output: int
    """Tokens of answers and thoughts."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRange:
    """Range of the usual cost, in US dollars."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of the calls of this run by list prices, rounded to a millionth of a dollar."""

    currency: str
    total_usd: float | None
    """All billed calls, failed ones included; None for a dry run, or if the price is unknown."""
    per_answer_usd: float | None
    """``total_usd`` divided by the images answered by a call; None if there are none."""
    by_result_usd: Mapping[str, float]
    """By result of the call, as in ``Requests``; results without any cost are left out."""
    calls_without_usage: int
    """Calls whose tokens the service did not tell credibly, so that their cost is unknown and in no sum."""
    reserved_at_most_usd: float | None
    """With the reservations of calls whose cost is unknown; None without ``--max-cost``."""
    estimate_usd: CostRange | None
    """For a dry run: the usual cost of a real one; else None."""
    price_source: str
    """The price list, or the sentence that no price is known."""
    price_date: str | None
    """Day of the prices; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An edited prompt for the whole run; see ``prompt_suggestion`` for its conditions."""

    edit: str
    prompt: str
    """The edited prompt, in full."""
    tried: int
    """Images that failed consistently with the user's prompt and unchanged settings."""
    rescued: int
    saved_calls: int
    """Calls made for the rescued images, minus one for each."""
    calls: int
    """All calls of the run."""
    not_tried_on: int
    """Images answered with the user's own prompt."""
    may_fail_on: int
    """How many of these may fail before more calls are lost than saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedPrompts:
    """Number of images that were asked with an edited prompt or changed settings."""

    tried: int
    """Images asked with an edited prompt."""
    answered: int
    """How many of these were answered by it."""
    tried_with_settings: int
    """Images asked with the user's own prompt and changed settings of the call."""
    answered_with_settings: int
    words_to_blame: tuple[GuiltyWords, ...]
    """Words of the user's prompt that cost images, the most first."""
    suggestion: Suggestion | None
    see: str
    """Name of the document with the details, in the same directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTotals:
    """Totals of the output directory over all runs of this run's kind, real or dry."""

    answered: int
    failed: int
    deferred: int
    input_tokens: int
    """Input tokens billed by all these runs."""
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentPages:
    """Pages of TIFFs that were not sent, because only the first one of each is."""

    images: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures in the answers of this run, where prompt or model is about pictures."""

    made: int
    model_to_take: str | None
    """A model with pictures, if the prompt asks for them and the model of the run has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStats:
    """Document ``processing_stats.json``: what this run did, and how it ended."""

    exit_code: int
    exit_meaning: str
    stopped: Stopped | None
    """None if every image was tried."""
    started_at: datetime
    ended_at: datetime
    seconds: float
    model: str
    prompt: str
    fingerprint: str
    options: Mapping[str, Option]
    accounting: Accounting
    passed_over: SkippedFiles
    earlier_answers: EarlierAnswers
    failed: Breakdown
    """By class."""
    known_failures: Breakdown
    """Images that failed in earlier runs and were left alone, by class."""
    deferred: Breakdown
    """By the class of the last failure, or ``not_tried``."""
    lost: tuple[str, ...]
    """Keys of images whose outcome could not be written."""
    deferred_because: Mapping[str, int]
    """Number of images by the last failure's sentence, the most common first."""
    requests: Requests
    pacing: Pacing | None
    """None if the run ended before its first call."""
    tokens: Tokens
    cost: Cost | None
    """None if no prices were looked up."""
    unsent_pages: UnsentPages | None
    """None if no image had more than one page."""
    pictures: Pictures | None = None
    """None if neither the prompt nor the model is about pictures."""
    notes: Mapping[str, int]
    """Number of images by what was done to them before sending."""
    other_words: EditedPrompts | None
    """None if every call had the user's own prompt and settings."""
    tree: TreeTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image of a group of failures."""

    key: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """All failures of one class."""

    kind: ErrorKind
    count: int
    cause: str
    remedy: str
    command: str | None
    """What to type for the remedy; None if the same images would fail again."""
    examples: tuple[Example, ...]
    """The first few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnalysis:
    """Document ``error_analysis.json`` without its list ``failures``: why images have no answer."""

    failed: int
    deferred: Mapping[str, int]
    deferred_because: Mapping[str, int]
    """Number of images by the last failure's sentence, the most common first."""
    groups: tuple[ErrorGroup, ...]
    """The largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEntry:
    """One line of ``failures``."""

    key: str
    kind: ErrorKind
    detail: str
    attempts: int
    revision: int
    """Revision of the last prompt; 0 is the user's own."""
    log: str | None
    """Path of the error log, relative to the output directory; None if there is none."""
    failed_at: datetime
