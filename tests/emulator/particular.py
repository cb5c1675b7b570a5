"""Emulators with rules about the ``generationConfig`` of a request.

A call meets a fault until its settings please, or is rejected for a setting that the model does not take.
The emulator keeps the settings of every call beside its prompt.
Source: docs/api-facts.md, sections 4.3 (a level that is not taken) and 2.1 (the fields), November 2026.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tests.emulator import bodies
from tests.emulator.faults import Fault
from tests.emulator.log import ANSWERED
from tests.emulator.replies import RejectedRequest
from tests.emulator.server import Emulator
from tests.emulator.service import Verdict, verdict
from tests.emulator.wire import GenerateCall, camel_keys

Config = Mapping[str, Any]
"""The ``generationConfig`` of a request, with every key in camelCase."""

REFUSED = "http 400"
"""The outcome of a call that names a setting which the model does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredCall(GenerateCall):
    """What a call asks for, and how."""

    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedConfig:
    """One call, as the service saw it."""

    sha256: str
    prompt: str
    config: Config
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRule:
    """The fault is met until the settings please."""

    fault: Fault
    accepts: Callable[[Config], bool]
    share: float = 1.0
    """The part of the images concerned, 0..1, chosen by their hash."""

    def __call__(self, call: ConfiguredCall) -> Fault | None:
        """Return the fault unless the image is not concerned or the call pleases."""
        if not self.applies_to(call.sha256):
            return None
        return None if self.accepts(call.config) else self.fault

    def applies_to(self, sha256: str) -> bool:
        """Return whether an image meets the rule."""
        return int(sha256[-8:] or "0", 16) < self.share * 2**32


def has_room_for(tokens: int) -> Callable[[Config], bool]:
    """Please with a bound of at least so many tokens; a call without one is too short by itself."""
    return lambda config: config.get("maxOutputTokens", 0) >= tokens


def has_thinking_level(level: str) -> Callable[[Config], bool]:
    """Please with this thinking level."""
    return lambda config: config.get("thinkingConfig", {}).get("thinkingLevel") == level


def wants_picture_only(config: Config) -> bool:
    """Please with a picture and no words beside it."""
    return bool(config.get("responseModalities") == ["IMAGE"])


def never(_: Config) -> bool:
    """Please with nothing."""
    return False


@dataclass(kw_only=True, eq=False)
class ConfigurableEmulator(Emulator):
    """Answers by rules about settings, which are asked in turn; the first fault counts."""

    setting_rules: Sequence[SettingRule] = ()
    refuses: frozenset[str] = frozenset()
    """Names in the ``generationConfig``, in camelCase, that are answered with 400."""
    received: list[ReceivedConfig] = field(default_factory=list, init=False)
    """Every call that could be read, in order."""

    def configs_of(self, sha256: str) -> list[ReceivedConfig]:
        """Return the calls about one image, in order."""
        return [row for row in self.received if row.sha256 == sha256]

    def read(self, body: bytes | bytearray) -> ConfiguredCall:
        """Return what a body asks for, with its settings."""
        call = super().read(body)
        config = camel_keys(json.loads(body)).get("generationConfig", {})
        return ConfiguredCall(config=config, **{one.name: getattr(call, one.name) for one in fields(call)})

    def generate(self, now_s: float, model: str, call: GenerateCall) -> Verdict:
        """Decide about a call by the rules, or as any emulator does."""
        assert isinstance(call, ConfiguredCall)
        if refused := self.refuses & call.config.keys():
            self._note(call, REFUSED)
            said = f"{min(refused)}: this setting is not supported for this model. Please use another."
            raise RejectedRequest(bodies.invalid_argument(said))
        decided = super().generate(now_s, model, call)
        if decided.outcome == ANSWERED:
            fault = next((fault for rule in self.setting_rules if (fault := rule(call))), None)
            decided = verdict(fault, self._context(model, call)) if fault else decided
        self._note(call, decided.outcome)
        return decided

    def _note(self, call: ConfiguredCall, outcome: str) -> None:
        self.received.append(
            ReceivedConfig(sha256=call.sha256, prompt=call.prompt, config=call.config, outcome=outcome)
        )
