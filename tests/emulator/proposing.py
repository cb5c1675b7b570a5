"""An emulator with a hidden rule about words, and a second model that proposes prompts.

An image is answered only in a prompt with a certain word, which the finish message names; no edit has that
word. The second model answers a question in words with what a script says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.emulator.answers import Document, _finish_with
from tests.emulator.faults import Fault
from tests.emulator.log import LoggedRequest
from tests.emulator.replies import json_reply
from tests.emulator.server import Emulator
from tests.emulator.service import Verdict, verdict
from tests.emulator.wire import GenerateCall

OPTIMIZER = "gemini-3.8-flash"
PROPOSED = "proposed"
"""The outcome of a call that was answered by the script."""
WITHHELD = "withheld"
"""The outcome of a call that the hidden rule caught."""


@dataclass(kw_only=True, eq=False)
class ProposingEmulator(Emulator):
    """Answers images by a hidden rule, and questions of the optimizer's model by a script."""

    secret: str = "postcard"  # noqa: S105 - the word that the rule wants
    says: str = "The prompt has to name the kind of text it wants, such as a postcard."
    """The finish message of an image that the rule caught."""
    reason: str = "OTHER"
    """Its finish reason."""
    concerned: int = 256
    """Images whose hash begins with a byte below this meet the rule."""
    proposals: Sequence[str | Fault] = ()
    """The script: what each question gets; after its end the last again."""
    thoughts: int = 900
    """Tokens that the optimizer's model thinks."""

    @property
    def questions(self) -> list[LoggedRequest]:
        """Return the questions in words alone, in order."""
        return [row for row in self.calls if not row.image_sha256]

    def generate(self, now_s: float, model: str, call: GenerateCall) -> Verdict:
        """Decide about a call: by the script, by the rule, or as any emulator does."""
        if not call.images:
            return self._by_script(model, call)
        plain = super().generate(now_s, model, call)
        is_concerned = int(call.sha256[:2], 16) < self.concerned
        if plain.fault or not is_concerned or self.secret in call.prompt.lower():
            return plain
        withheld = _finish_with(self._context(model, call), self.reason, None, finishMessage=self.says)
        return Verdict(outcome=WITHHELD, reply=json_reply(withheld))

    def _by_script(self, model: str, call: GenerateCall) -> Verdict:
        script = [*self.proposals] or [""]
        said = script[min(len(self.questions), len(script) - 1)]
        context = self._context(model, call)
        if isinstance(said, Fault):
            return verdict(said, context)
        content: Document = {"role": "model", "parts": [{"text": said}]}
        document = _finish_with(context, "STOP", content)
        document["usageMetadata"]["thoughtsTokenCount"] = self.thoughts
        return Verdict(outcome=PROPOSED, reply=json_reply(document))
