"""Fakes of the unit tests, each in place of a part that ``processor`` uses."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from errors import ApiFailure, FatalError
from models import Generation, GenerationRequest, Usage

START = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)

Result = ApiFailure | FatalError | str
"""A failure to raise, or the text of an answer."""


def utcnow() -> datetime:
    """Return a wall clock that follows the virtual loop."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class MaxJitter(random.Random):
    """Random numbers that are always the upper end of the range: the longest possible wait."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        """Return the upper end."""
        return b


class MinJitter(random.Random):
    """Random numbers that are always the lower end of the range: the shortest possible wait."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        """Return the lower end."""
        return a


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCall:
    """A call that reached the scripted model."""

    at_s: float
    key: str
    prompt: str
    timeout_s: float


@dataclass(slots=True, kw_only=True)
class ScriptedModel:
    """Model with a list of (seconds, result) for each image by key; after the list it answers at once."""

    script: Mapping[str, Sequence[tuple[float, Result]]] = field(default_factory=dict)
    default: Sequence[tuple[float, Result]] = ()
    calls: list[SeenCall] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def generate(self, request: GenerationRequest) -> Generation:
        """Wait as scripted, then answer or raise as scripted."""
        number = sum(call.key == request.key for call in self.calls)
        self.calls.append(
            SeenCall(
                at_s=asyncio.get_running_loop().time(),
                key=request.key,
                prompt=request.prompt,
                timeout_s=request.timeout_s,
            )
        )
        steps = self.script.get(request.key, self.default)
        delay_s, result = steps[number] if number < len(steps) else (1.0, f"answer to {request.key}")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self.in_flight -= 1
        if isinstance(result, str):
            return Generation(text=result, usage=Usage(input_tokens=1120, output_tokens=10))
        raise result

    def times(self, key: str) -> list[float]:
        """Return when each call for this image started, in seconds since the run began."""
        return [call.at_s for call in self.calls if call.key == key]

    def prompts(self, key: str) -> list[str]:
        """Return the prompt of each call for this image."""
        return [call.prompt for call in self.calls if call.key == key]
