"""Which documents does a run leave in ``metadata/``, and what stands in each?

The types here are the documents, field by field; ``docs/schema/`` says the same for other programs, and
a test holds the two together. The head that all of them share (schema version, program, run, dry run) is
the writer's. No number is worked out here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from errors import ErrorKind, StopReason

Option = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A total, and what it is made of."""

    total: int
    by: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFiles:
    """Files that are no input."""

    total: int
    by: Mapping[str, int]
    """By reason."""
    examples: Mapping[str, Sequence[str]]
    """The paths of the first few of each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Where every file of the input directory went. Two sums hold, and ``adds_up`` says so.

    files_seen = passed_over + found; found = already_answered + known_failures + not_selected +
    answered + reused + failed + deferred + lost + not_started.
    """

    files_seen: int
    passed_over: int
    """No input: hidden, another kind of file, a broken link, …"""
    found: int
    """Images."""
    already_answered: int
    """By an earlier run, under the same settings."""
    known_failures: int
    """Failed in an earlier run, in a way that asking again is not expected to help."""
    not_selected: int
    """Left alone because the user selected others."""
    answered: int
    """By a call of this run."""
    reused: int
    """Their very bytes were answered before, under another name: no call."""
    failed: int
    deferred: int
    """Nothing is wrong with them: the next run does them."""
    lost: int
    """Their outcome could not be written."""
    not_started: int
    """The run stopped before their turn: the next run does them."""
    adds_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Why the run ended before every image was tried."""

    reason: StopReason
    detail: str
    remedy: str
    images_left: int
    """What the next run has to do: deferred + not_started."""
    resets_at: datetime | None
    """When there is quota again; None when no clock decides it, or nobody said."""
    resets_at_local: str | None
    """The same moment where the machine is, with the difference to UTC."""
    images_per_night: int | None
    """The quota per day as the service named it, else the answers of this quota day."""
    nights_left: int | None
    """How many nights the images left take at that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The calls of this run."""

    total: int
    by_result: Mapping[str, int]
    """``answered``, a class of failure, or the reason that ended the run."""
    refused_by_http_status: Mapping[int, int]
    retries: Breakdown
    """Calls made again, by the class of the failure before."""
    upload_bytes: int
    """Sizes of the images on disk, once for each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How fast the run could ask, and what finding that out cost."""

    limit_requests_per_minute: float | None
    """As learned; None when no such limit was met."""
    limit_tokens_per_minute: float | None
    limit_is_named: bool
    """The service named a limit; else they are what it was seen to let through."""
    pace_at_end: float | None
    """Requests a minute; None for no limit."""
    concurrency: int
    """Calls that might be in flight at once, at the end."""
    requests: int
    """Sent, those among them that were refused included."""
    refused: int
    """With 429."""
    refused_share: float
    refused_by_quota: Mapping[str, int]
    """By the quota's id, or ``unnamed``; a refusal that names several counts for each."""
    waited_seconds: Mapping[str, float]
    """How long the queue stood still, by cause; however many waited in it, a second counts once."""
    wasted_upload_bytes: int
    """Sent with calls that were refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the calls of this run were billed for."""

    input: int
    output: int
    """Answers and thoughts."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRange:
    """What something will usually cost."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the calls of this run cost by list prices, to the millionth of a dollar."""

    currency: str
    total_usd: float | None
    """Of all calls that were billed, failed ones included; None for a dry run and without a price."""
    per_answer_usd: float | None
    """All of it, divided among the images that were answered; None when none was."""
    by_result_usd: Mapping[str, float]
    """By how the calls ended, as in ``requests``; what cost nothing is left out."""
    reserved_at_most_usd: float | None
    """With what was set aside for calls whose bill never came; None without a cap on money."""
    estimate_usd: CostRange | None
    """For a dry run: what a real one will usually cost."""
    price_source: str
    """The price list, or the sentence that none has a price."""
    price_date: str | None
    """The day whose prices counted; None when no price is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An edited prompt that should have been there from the start; ``better_prompt`` says when."""

    edit: str
    prompt: str
    """The edited words, in full."""
    tried: int
    """Images that the user's words failed on consistently, with no setting changed."""
    rescued: int
    saved_calls: int
    """Calls made for the images rescued, but for one each."""
    calls: int
    """All calls of the run."""
    not_tried_on: int
    """Images that the user's own words served."""
    may_fail_on: int
    """Of these, before as many calls are lost as would have been saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedPrompts:
    """How many images have an answer to something else than the user asked."""

    tried: int
    """Images asked about in other words."""
    answered: int
    """Of these, answered so."""
    tried_with_settings: int
    """Images asked about in the user's own words with other settings of the call."""
    answered_with_settings: int
    suggestion: Suggestion | None
    see: str
    """The document beside this one that has the whole story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTotals:
    """The output directory as it stands now, whatever run filled it; of this run's kind, real or dry."""

    answered: int
    failed: int
    deferred: int
    input_tokens: int
    """All that was ever billed for it."""
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStats:
    """``processing_stats.json``: what this run did, and how it ended."""

    exit_code: int
    exit_meaning: str
    stopped: Stopped | None
    """None when every image had its turn."""
    started_at: datetime
    ended_at: datetime
    seconds: float
    model: str
    prompt: str
    fingerprint: str
    options: Mapping[str, Option]
    accounting: Accounting
    passed_over: SkippedFiles
    failed: Breakdown
    """By class."""
    deferred: Breakdown
    """By the class of the last failure, or ``not_tried``."""
    lost: tuple[str, ...]
    """Keys of images whose outcome could not be written."""
    deferred_because: Mapping[str, int]
    """The commonest sentences among them, each with its images."""
    requests: Requests
    pacing: Pacing | None
    """None when the run ended before anything was to be asked."""
    tokens: Tokens
    cost: Cost | None
    """None when no prices were looked up."""
    notes: Mapping[str, int]
    """What was done to images before sending, and to how many."""
    other_words: EditedPrompts | None
    """None where every call had the user's own words and settings."""
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
    """What to type for the remedy; None when the same images would fail again."""
    examples: tuple[Example, ...]
    """The first few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnalysis:
    """``error_analysis.json`` without its list ``failures``: why images have no answer."""

    failed: int
    deferred: Mapping[str, int]
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
    """Of the last prompt; 0 is the user's own."""
    log: str | None
    """The report, relative to the output directory."""
    failed_at: datetime
