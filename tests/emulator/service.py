"""The emulator without HTTP: keys, models, quotas and faults in, a verdict out.

It keeps no state but its own counters and gets the instant as an argument, so that simulations in virtual
time can use it too.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.emulator import bodies
from tests.emulator.answers import DOCUMENTS, good_reply, makes_pictures
from tests.emulator.bodies import ERRORS
from tests.emulator.faults import Fault
from tests.emulator.files import FileStore
from tests.emulator.log import ANSWERED
from tests.emulator.oddities import ODDITIES
from tests.emulator.plan import FaultPlan
from tests.emulator.quotas import Quota, QuotaBook
from tests.emulator.replies import Context, RejectedRequest, Reply, json_reply
from tests.emulator.wire import GenerateCall, MalformedRequest, UnknownFile, parse

DEFAULT_MODELS = (
    "gemini-3.5-flash-lite",
    "gemini-3.6-flash",
    "gemini-3.8-flash",
    "gemini-4-hydrogen",
    "gemini-4-argon",
    "gemini-3.1-flash-lite",
    "gemini-3.1-flash-lite-image",
    "gemini-3-pro-image",
    "gemini-nano-banana-2.1",
)
"""Source: docs/api-facts.md, section 4.5, November 2026."""

_MINIMUM_DEADLINE_S = 10


def document_reply(fault: Fault) -> Callable[[Context], Reply]:
    """Return the builder of a 200 that carries this fault's document."""
    return lambda context: json_reply(DOCUMENTS[fault](context))


REPLIES: Mapping[Fault, Callable[[Context], Reply]] = {
    **ERRORS,
    **ODDITIES,
    **{fault: document_reply(fault) for fault in DOCUMENTS},
}
"""Every fault that is a reply; the rest happens to the wire while the good reply travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Reply that a call gets."""

    outcome: str
    reply: Reply
    fault: Fault | None = None


@dataclass(kw_only=True)
class Service:
    """One project's view of the API."""

    keys: Collection[str] = ("test-key",)
    models: Collection[str] = DEFAULT_MODELS
    plan: FaultPlan = field(default_factory=FaultPlan)
    quotas: Sequence[Quota] = ()
    hint_s: float = 0.2
    picture_px: int = 64
    check_images: bool = False
    check_deadline: bool = False
    files: FileStore = field(default_factory=FileStore)
    file_faults: Mapping[str, Sequence[Fault]] = field(default_factory=dict)
    """Step of the Files API (start, chunk, get, delete) -> what its successive requests meet."""
    file_states: Sequence[str] = ("ACTIVE",)
    """The states that an upload shows, one for each look at it; the last one stays."""

    def __post_init__(self) -> None:
        """Begin with fresh counters."""
        self.reset()

    def reset(self) -> None:
        """Start the plan and the quotas anew; files stay."""
        self._chooser = self.plan.chooser()
        self._book = QuotaBook(self.quotas)
        self._calls = 0

    def check_key(self, key: str | None) -> None:
        """Raise Refused unless the key is one of this project's."""
        if not key:
            raise RejectedRequest(bodies.key_missing())
        if key not in self.keys:
            raise RejectedRequest(bodies.api_key_invalid())

    def check_model(self, model: str) -> None:
        """Raise Refused unless the model exists."""
        if model not in self.models:
            raise RejectedRequest(bodies.model_not_found(model))

    def check_timeout(self, seconds: str | None) -> None:
        """Raise Refused if the deadline of X-Server-Timeout is one the real service declines."""
        if self.check_deadline and seconds and float(seconds) < _MINIMUM_DEADLINE_S:
            raise RejectedRequest(bodies.deadline_too_short(seconds))

    def read(self, body: bytes | bytearray) -> GenerateCall:
        """Return what a body asks for; raises Refused where it is wrong. Keeps no state: thread-safe."""
        try:
            return parse(body, self.files.content)
        except MalformedRequest as error:
            raise RejectedRequest(bodies.invalid_argument(str(error))) from error
        except UnknownFile as error:
            raise RejectedRequest(bodies.file_not_found(str(error))) from error

    def generate(self, now_s: float, model: str, call: GenerateCall) -> Verdict:
        """Decide about a call that passed the checks above; raises Refused where it is wrong."""
        self._check_call(model, call)
        context = self._context(model, call)
        refusal = self._book.admit(now_s, call.input_tokens)
        if refusal:
            reply = bodies.quota_reply(model, refusal.violations, refusal.retry_s)
            return Verdict(outcome="quota", reply=reply)
        fault = self._chooser.choose(context.index, call.prompt, call.sha256)
        return verdict(fault, context)

    def _check_call(self, model: str, call: GenerateCall) -> None:
        if "IMAGE" in call.modalities and not makes_pictures(model):
            raise RejectedRequest(bodies.invalid_argument("This model only supports text output."))
        if self.check_images and not all(image.looks_real for image in call.images):
            raise RejectedRequest(bodies.corrupt_image())

    def _context(self, model: str, call: GenerateCall) -> Context:
        index, self._calls = self._calls, self._calls + 1
        return Context(call=call, model=model, index=index, hint_s=self.hint_s, picture_px=self.picture_px)


def verdict(fault: Fault | None, context: Context) -> Verdict:
    """Return what a fault, or none, makes of a call."""
    if fault is None:
        return Verdict(outcome=ANSWERED, reply=good_reply(context))
    build = REPLIES.get(fault, good_reply)
    return Verdict(outcome=fault.value, reply=build(context), fault=fault)
