"""Types and constants that the packages share; all types are frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from errors import Cause, ErrorKind, StopReason
from errors import Usage as Usage  # noqa: PLC0414 -- re-exported beside the other shared types

IMAGE_INPUT_TOKENS = 1120
"""Input tokens of one image of Gemini 3 and 4. Source: docs/api-facts.md, section 2.7, November 2026."""
IMAGE_OUTPUT_TOKENS = {"512": 747, "1K": 1120, "2K": 1680, "4K": 3780}
"""Output tokens of a picture, by its size: Google's price of the picture, divided by its price of a token,
rounded up. Source: docs/api-facts.md, sections 4.4 and 4.5, November 2026; 4K at the printed $0.1134."""
CHARACTERS_PER_TOKEN = 4
"""ASCII characters of one token, as an estimate. Source: docs/api-facts.md, section 2.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """One image to be answered."""

    key: str
    """The image's name: its path relative to the input directory, with ``/``, in printable UTF-8."""
    path: Path
    """The file's path; open it by this, because the key differs from names that are not UTF-8."""
    size_bytes: int
    mtime_ns: int
    ctime_ns: int | None = None
    """Last change of the file's bytes, name or rights, which no program can set; None if unknown."""
    inode: int | None = None
    """Number of the file in its file system; None if unknown."""


class Parameter(StrEnum):
    """A setting of a call that may cure a failure without a change of the prompt."""

    MORE_OUTPUT_TOKENS = "more_output_tokens"
    """Raise the bound of the answer to the model's limit; thoughts may take 2,000 to 3,000 tokens of it."""
    LESS_THINKING = "less_thinking"
    """Lower the thinking level."""
    PICTURE_ONLY = "picture_only"
    """Ask for a picture without words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The prompt sent with an image: the user's own (revision 0), or an edit of it."""

    text: str
    revision: int = 0
    """Number of edits that led from the user's prompt to this one."""
    edits: tuple[str, ...] = ()
    """Names of those edits, in the order in which they were applied."""
    is_control: bool = False
    """True if the user's prompt was kept at random in place of an edit, to measure what edits achieve."""
    parameters: tuple[Parameter, ...] = ()
    """Settings of the call that are changed for this attempt, with or without an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceImage:
    """An image that is sent with every call, beside the one in question."""

    data: bytes = field(repr=False)
    mime_type: str
    size: tuple[int, int]
    """Width and height in pixels."""


KEEP_RATIO = "keep"
"""The aspect ratio that stands for the one nearest to the image's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """Options of the model that the user set, spelled as the service does; what is None is not sent."""

    system_instruction: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_output_tokens: int | None = None
    thinking_level: str | None = None
    """Such as ``LOW``."""
    media_resolution: str | None = None
    """Such as ``LOW``."""
    safety: tuple[tuple[str, str], ...] = ()
    """Categories and thresholds, such as ``HARM_CATEGORY_HARASSMENT`` and ``BLOCK_NONE``."""
    aspect_ratio: str | None = None
    """Such as ``16:9``, or ``KEEP_RATIO``."""
    image_size: str | None = None
    """Such as ``2K``."""
    reference_images: tuple[ReferenceImage, ...] = ()


NO_OPTIONS = GenerationOptions()


@dataclass(slots=True)
class ByteCounter:
    """Bytes of one request's body that were sent so far, uploads included."""

    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One call, without what is the same for all calls of a run (API key, options, mostly the model)."""

    key: str
    image: bytes = field(repr=False)
    mime_type: str
    """MIME type of the image; empty for a request without an image."""
    prompt: str
    timeout_s: float
    max_output_tokens: int | None = None
    """Bound of the answer, with thoughts and pictures; None if unlimited."""
    parameters: tuple[Parameter, ...] = ()
    """Settings to change for this call."""
    model: str | None = None
    """The model for a request without an image; None for the run's model."""
    options: GenerationOptions = NO_OPTIONS
    size: tuple[int, int] = (0, 0)
    """Width and height of the image in pixels, seen upright."""
    sent: ByteCounter = field(default_factory=ByteCounter, repr=False, compare=False)
    """Counts while the request is sent, however it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A picture that the model returned."""

    data: bytes = field(repr=False)
    mime_type: str
    """The type by the first bytes if they are known, else as the service says."""


DRY_RUN_MARK = "[DRY RUN]"
"""What every text that a dry run writes begins with."""


class AnswerNote(StrEnum):
    """What a user should know about an answer that counts all the same."""

    ENDLESS = "the answer repeats one passage up to its end"
    LIKE_DRY_RUN = "the answer begins like one of a dry run, and is real"
    PICTURE_LEFT_OUT = "a picture of the answer could not be read and was left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """An answer: text, pictures, or both."""

    text: str = ""
    images: tuple[GeneratedImage, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = ""
    model_version: str = ""
    response_id: str = ""
    notes: tuple[AnswerNote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call for an image, and how it ended."""

    number: int
    """Counts from 1 over all calls for the image in this run."""
    started_at: datetime
    """UTC."""
    seconds: float
    prompt: Prompt
    timeout_s: float
    kind: ErrorKind | None = None
    """The class of the failure; None if the call was answered or ended the run."""
    detail: str = ""
    http_status: int | None = None
    api_status: str | None = None
    unavailable: bool = False
    """True if the service was unavailable (429, 503, no connection)."""
    ended_run: StopReason | None = None
    """The reason if this call ended the run (an invalid key, for example); else None."""
    quota_ids: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    sent_bytes: int = 0
    """Bytes of the request that were sent; not in the journal."""

    @property
    def is_usage_missing(self) -> bool:
        """True if the service did not say what the call took, or not in a way that can be believed."""
        is_answer = self.kind in _ANSWER_KINDS and self.ended_run is None
        return self.usage.at_least or (is_answer and self.usage == Usage())


_ANSWER_KINDS = {None, ErrorKind.TRUNCATED, ErrorKind.REFUSED}
"""Ends of a call for which the model wrote something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    """Facts about the image's bytes."""

    sha256: str
    mime_type: str
    """The true type, by content."""
    width: int
    height: int
    notes: tuple[str, ...] = ()
    """Changes made before sending ("turned upright") and oddities ("a PNG named .jpg").

    What stands in brackets is of this image alone.
    """
    unsent_pages: int = 0
    """Pages of a TIFF after the first, which are not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The image was answered by a call of this run."""

    job: ImageJob
    content: ImageContent
    prompt: Prompt
    generation: Generation
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The image got no answer, and this run does not try again."""

    job: ImageJob
    content: ImageContent | None
    """None if the image could not be read."""
    prompt: Prompt
    kind: ErrorKind
    detail: str
    attempts: tuple[Attempt, ...]
    partial_text: str = ""
    """Text of a truncated or refusing answer."""
    cause: Cause | None = None
    """Where the fault lies; None if the class says it, or if it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The image is deferred to the next run (quota, outage, budget, stop); it is not the cause."""

    job: ImageJob
    prompt: Prompt
    detail: str
    kind: ErrorKind | None
    """The class of the last failure; None if the run stopped before one."""
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One file of an answer in the output directory."""

    path: str
    """Relative to the output directory, with ``/``."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer in the output directory, as the ledger and the journal record it."""

    key: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    """Hash of the image's original bytes."""
    fingerprint: str
    """Hash of the settings that decide an answer: model, prompt, generation options."""
    artefacts: tuple[Artefact, ...]
    prompt: Prompt
    usage: Usage
    model_version: str
    response_id: str
    answered_at: datetime
    dry_run: bool = False
    cost_usd: float | None = None
    """Cost of its call in US dollars; None if unknown, or if the answer was read back or copied."""
    model: str = ""
    """The model that was asked; empty if unknown (an answer of an earlier version)."""
    counts_for: tuple[str, ...] = ()
    """Fingerprints of other settings for which it counts too, since it repairs what had failed there."""
    notes: tuple[str, ...] = ()
    """What was done to the image before it was sent; only in the ledger, and not in that of a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """What an image has before a new outcome of it is kept."""

    artefacts: tuple[Artefact, ...] = ()
    """The files of its current answer, which a new answer replaces; a dry run replaces none of a real one."""
    answer: StoredAnswer | None = None
    """That answer; None if there is none, or if only its files are known."""
    counts_for: tuple[str, ...] = ()
    """Fingerprints of other settings for which a new answer counts too, since this run is a repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The same bytes were answered before, under another name or earlier in this run, so no call was made."""

    job: ImageJob
    answer: StoredAnswer


Outcome = Succeeded | Reused | Failed | Deferred
"""The result of an image in this run; each image has exactly one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Facts that are the same for every image of one run."""

    run_id: str
    """Unique and sortable by time: ``20261123T220000Z-1a2b``."""
    started_at: datetime
    version: str
    model: str
    prompt: str
    fingerprint: str
    dry_run: bool
    options: Mapping[str, str | int | float | bool | None]
    """The settings in force, by flag name without dashes, for the metadata; without the API key."""
