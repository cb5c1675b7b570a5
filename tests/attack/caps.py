"""Caps on money under lies: usage that is missing, wrong or late, kills, and two runs at once.

The runs are whole ones but for network and disk, on a virtual clock: processor, calls, budget, and the parser
of what the service says. Each run has a cap of its own, and what it is truly billed stays below it.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from errors import ApiFailure, ErrorKind
from gemini.response_parser import parse_response
from models import Generation, GenerationRequest, Usage
from tests.attack.arena import Arena
from tests.attack.tally import Harm
from tests.support.batch_scenario import Scenario
from tests.support.budgets import TODAY, load_pricing
from tests.support.virtual_loop import run_virtual

CASES = 20
"""Runs in a batch."""
_MOST_TOKENS = 6000
_WORDS_A_TOKEN = 0.75
_IMAGE_TOKENS = 1120

Counts = dict[str, Any]
Lie = Callable[[Counts, random.Random], None]


def _without(*names: str) -> Lie:
    def lie(counts: Counts, _: random.Random) -> None:
        for name in names:
            counts.pop(name, None)

    return lie


def _replaced(*values: Any) -> Lie:
    """Return a lie that puts one of the values in the place of some counts."""

    def lie(counts: Counts, draw: random.Random) -> None:
        names = sorted(counts)
        for name in draw.sample(names, draw.randint(1, len(names))):
            counts[name] = draw.choice(values)

    return lie


def _far_too_small(counts: Counts, draw: random.Random) -> None:
    counts["candidatesTokenCount"] //= draw.choice((8, 100, 10**9))
    counts["totalTokenCount"] = draw.choice((0, 1, counts["promptTokenCount"]))


def _as_text(counts: Counts, draw: random.Random) -> None:
    spell = draw.choice((str, float, lambda count: f"{count}.0"))
    counts.update({name: spell(count) for name, count in counts.items()})


LIES: Mapping[str, Lie] = {
    "none": lambda *_: None,
    "no answer": _without("candidatesTokenCount", "totalTokenCount"),
    "no answer, but a total": _without("candidatesTokenCount"),
    "no question": _without("promptTokenCount"),
    "nothing": _without("promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
    "text or float": _as_text,
    "negative": _replaced(-1, -4000, "-7", -1.5),
    "too large": _replaced(2**40, 2**63, 10**30, 1e300, "9" * 40),
    "no number": _replaced("many", "", [7], {}, bool(1), 0.5, None),
    "far too small": _far_too_small,
}

_ENDS = ("answered", "answered", "answered", "answered", "cut off", "late", "torn", "refused")


@dataclass(slots=True, kw_only=True)
class LyingModel:
    """A service that bills what it does, and says something else."""

    draw: random.Random
    lie: Lie
    true_cost: Decimal = Decimal(0)
    calls: int = 0

    async def generate(self, request: GenerationRequest) -> Generation:
        """Bill a call, wait, and answer or fail in some way; a run killed meanwhile is billed as well."""
        end = self.draw.choice(_ENDS)
        if end == "refused":
            await asyncio.sleep(self.draw.random())
            raise ApiFailure(kind=ErrorKind.SERVER, detail="overloaded", http_status=503)
        self.calls += 1
        bound = min(request.max_output_tokens or _MOST_TOKENS, _MOST_TOKENS)
        tokens = bound if end == "cut off" else self.draw.randint(1, bound)
        asked = _IMAGE_TOKENS + len(request.prompt) // 4
        self.true_cost += load_pricing().cost(Usage(input_tokens=asked, output_tokens=tokens), TODAY)
        await asyncio.sleep(self.draw.uniform(0.5, 20.0))
        if end == "late":
            raise ApiFailure(kind=ErrorKind.TIMEOUT, detail="no answer in time")
        if end == "torn":
            raise ApiFailure(kind=ErrorKind.NETWORK, detail="the connection was lost")
        body = self._answer(asked, tokens, "MAX_TOKENS" if end == "cut off" else "STOP")
        return parse_response(body, wants_images=False, prompt=request.prompt)

    def _answer(self, asked: int, tokens: int, finish: str) -> dict[str, Any]:
        words = max(1, round(tokens * _WORDS_A_TOKEN))
        counts = {
            "promptTokenCount": asked,
            "candidatesTokenCount": tokens,
            "totalTokenCount": asked + tokens,
        }
        self.lie(counts, self.draw)
        candidate = {"content": {"parts": [{"text": "house " * words}]}, "finishReason": finish}
        return {"candidates": [candidate], "usageMetadata": counts}


@dataclass(slots=True, kw_only=True)
class CapRun:
    """One run with a cap of its own."""

    folder: Path
    name: str
    draw: random.Random
    lie: str
    cap: Decimal
    model: LyingModel = field(init=False)

    def __post_init__(self) -> None:
        """Make its service."""
        self.model = LyingModel(draw=self.draw, lie=LIES[self.lie])

    async def play(self) -> None:
        """Run to the end, or to a kill at a random instant."""
        names = [f"{self.name}-{number}.png" for number in range(self.draw.randint(4, 24))]
        scenario = Scenario(
            folder=self.folder,
            names=names,
            model=self.model,
            slots=self.draw.randint(1, 12),
            retries=self.draw.randint(0, 3),
            optimize=self.draw.random() < 0.3,
            max_cost=self.cap,
        )
        limit_s = self.draw.uniform(1.0, 60.0) if self.draw.random() < 0.3 else None
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await scenario.run()

    @property
    def sentence(self) -> str:
        """What is wrong; empty if the cap held."""
        cost = self.model.true_cost
        return f"{self.lie}: ${cost} of ${self.cap} in {self.model.calls} calls" if cost > self.cap else ""


def play_runs(folder: Path, *, count: int, seed: int) -> list[str]:
    """Play so many random runs, some of them two at once; return a sentence for each cap that was overrun."""
    draw = random.Random(seed)
    overrun: list[str] = []
    played = 0
    while played < count:
        lies = [draw.choice(sorted(LIES)) for _ in range(min(draw.choice((1, 2)), count - played))]
        runs = [
            CapRun(
                folder=folder,
                name=f"{seed}-{played + number}",
                draw=random.Random(draw.random()),
                lie=lie,
                cap=Decimal(draw.choice(("0.002", "0.01", "0.03", "0.10", "0.50"))),
            )
            for number, lie in enumerate(lies)
        ]

        async def both(runs: list[CapRun] = runs) -> None:
            await asyncio.gather(*(run.play() for run in runs))

        run_virtual(both())
        overrun += [run.sentence for run in runs if run.sentence]
        played += len(runs)
    return overrun


async def play(arena: Arena) -> None:
    """Play some runs in a thread, whose loop has a clock of its own."""
    arena.tally.cases += CASES
    with tempfile.TemporaryDirectory(dir=arena.folder / "cwd") as folder:
        found = await asyncio.to_thread(play_runs, Path(folder), count=CASES, seed=arena.seed)
    for sentence in found:
        arena.tally.note(Harm.WRONG, f"a cap was overrun: {sentence}")
