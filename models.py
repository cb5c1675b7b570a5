"""Which types flow between the modules?

All of them are frozen: a decision is a new value, never a change to an old one. No type here
knows a file format, a table or a wire format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from errors import ErrorKind, StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """One image that was found and is to be answered."""

    key: str
    """The path relative to the input directory, with ``/``, printable UTF-8: the image's name everywhere."""
    path: Path
    """Where the file lies; the only field to open it by (a key may differ where a name is not UTF-8)."""
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that one or several calls were billed for."""

    input_tokens: int = 0
    output_tokens: int = 0
    """Answer and thoughts together, since both are billed as output."""
    image_output_tokens: int = 0
    """The part of ``output_tokens`` that pictures took, which has a price of its own."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of both."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            image_output_tokens=self.image_output_tokens + other.image_output_tokens,
        )


class Parameter(StrEnum):
    """A setting of a call that may cure a failure without any change of words."""

    MORE_OUTPUT_TOKENS = "more_output_tokens"
    """Let the answer become as long as the model can; thinking alone may take 2,000 to 3,000 tokens of it."""
    LESS_THINKING = "less_thinking"
    """Lower the thinking level."""
    PICTURE_ONLY = "picture_only"
    """Ask for a picture and no words beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The words sent with an image: the user's own (revision 0), or an edit of them."""

    text: str
    revision: int = 0
    """How many edits lie between the user's prompt and this one."""
    edits: tuple[str, ...] = ()
    """The names of those edits, first applied first."""
    is_control: bool = False
    """The user's own words, kept by a coin where an edit would have had its turn: the measure of edits."""
    parameters: tuple[Parameter, ...] = ()
    """Settings of the call that were changed together with it, or in place of other words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One call, complete but for what is the same for all calls (key, options, mostly the model)."""

    key: str
    image: bytes = field(repr=False)
    mime_type: str
    """Of the image; empty for a question in words alone."""
    prompt: str
    timeout_s: float
    max_output_tokens: int | None = None
    """How long the answer may become, thoughts and pictures included; None leaves it to the model."""
    parameters: tuple[Parameter, ...] = ()
    """Settings that are to be changed for this call."""
    model: str | None = None
    """Who is asked, for words alone; None for the run's own model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A picture that the model returned."""

    data: bytes = field(repr=False)
    mime_type: str
    """What the bytes are, by their own first bytes where these are known, else as the service says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """An answer that was accepted: some text, some pictures, or both."""

    text: str = ""
    images: tuple[GeneratedImage, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = ""
    model_version: str = ""
    response_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call that was made for an image, and how it ended."""

    number: int
    """From 1, over all calls for the image in this run."""
    started_at: datetime
    """UTC."""
    seconds: float
    prompt: Prompt
    timeout_s: float
    kind: ErrorKind | None = None
    """None when the call was answered, or ended the run."""
    detail: str = ""
    http_status: int | None = None
    api_status: str | None = None
    unavailable: bool = False
    """True when the service was not to be had (429, 503, no connection)."""
    ended_run: StopReason | None = None
    """The reason when this call showed that the whole run cannot go on (a refused key, …)."""
    quota_ids: tuple[str, ...] = ()
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    """What the image's bytes turned out to be."""

    sha256: str
    mime_type: str
    """The true type, by content."""
    width: int
    height: int
    notes: tuple[str, ...] = ()
    """What was done before sending ("turned upright"), or is worth knowing ("a PNG named .jpg")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The image has its answer."""

    job: ImageJob
    content: ImageContent
    prompt: Prompt
    generation: Generation
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The image cannot be answered, or not by asking on in this run."""

    job: ImageJob
    content: ImageContent | None
    """None when the image could not be read."""
    prompt: Prompt
    kind: ErrorKind
    detail: str
    attempts: tuple[Attempt, ...]
    partial_text: str = ""
    """What came of an answer all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Nothing is wrong with the image: the next run does it (quota, outage, budget, stop)."""

    job: ImageJob
    prompt: Prompt
    detail: str
    kind: ErrorKind | None
    """The class of the last failure; None when the run stopped before any."""
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One file of an answer, as it stands in the output directory."""

    path: str
    """Relative to the output directory, with ``/``."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer in the tree, as the ledger and the journal know it."""

    key: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    """Of the image's original bytes."""
    fingerprint: str
    """Of the settings that decide an answer: model, prompt, generation options."""
    artefacts: tuple[Artefact, ...]
    prompt: Prompt
    usage: Usage
    model_version: str
    response_id: str
    answered_at: datetime
    dry_run: bool = False
    cost_usd: float | None = None
    """What its call cost when it was made; None when nobody knew, and after it was read back or copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The image's very bytes were answered before, under another name or earlier in this run: no call."""

    job: ImageJob
    answer: StoredAnswer


Outcome = Succeeded | Reused | Failed | Deferred
"""How an image ended in this run; exactly one of these for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is the same for every image of one run."""

    run_id: str
    """Unique and sortable by time: ``20261123T220000Z-1a2b``."""
    started_at: datetime
    version: str
    model: str
    prompt: str
    fingerprint: str
    dry_run: bool
    options: Mapping[str, str | int | float | bool | None]
    """The settings in force, by flag name without dashes, for the reader of the metadata; never the key."""
