"""Mutated replies: bodies, frames and headers changed at random, between replies that are right.

Most batches ask with the program's own client over real HTTP, in this process: a process of its own would add
nothing to them. Every fourth is a run of the whole program, which is then repeated with right replies.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from errors import ApiFailure, FatalError
from gemini.client import GeminiClient
from models import Generation, GenerationRequest
from tests.attack.arena import PROMPT, Arena
from tests.attack.keys import find_key
from tests.attack.mutations import Parts, frame, mutate
from tests.attack.oracle import find_problem
from tests.attack.payments import Payments
from tests.attack.raw_server import RawReply, RawServer
from tests.attack.tally import Harm
from tests.emulator.answers import answer
from tests.emulator.log import ANSWERED
from tests.emulator.replies import Context
from tests.support.cli import document
from tests.support.cli_cases import make_images

CALLS = 300
"""In a batch; each has a mutated reply."""
_EVERY_FOURTH = 4
_WIDTH = 12
"""Calls at a time."""
_TRIES = 4
"""Of a call with a right reply: a connection may end with the reply before it."""
_TIMEOUT_S = 5.0
_HASTY = (
    *("--max-retries", "0", "--max-concurrent", str(_WIDTH)),
    *("--timeout", f"{_TIMEOUT_S:.0f}s", "--max-timeout", f"{_TIMEOUT_S:.0f}s"),
)
_HALF, _FEW = 0.5, 0.1
"""Shares of mutations of the frame."""
_TOO_MANY = 2**63
_SOME_FAILED, _LATER = 3, 75


async def play(arena: Arena) -> None:
    """Play one batch, by its seed with the client alone or with the whole program."""
    if arena.seed % _EVERY_FOURTH == 0:
        await _play_program(arena)
    else:
        await _play_client(arena)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What an image got last."""

    name: str = "no call"
    reply: RawReply = field(default_factory=lambda: RawReply(data=b""))

    def __str__(self) -> str:
        """Return its name, and how it begins."""
        return f"{self.name}, {self.reply.data[:400]!r}"


class _Mutator:
    """Mutated replies, each drawn by the image alone, so that the order of the calls changes nothing."""

    def __init__(self, arena: Arena, mutated: Iterable[str], *, frames: float) -> None:
        self._seed = arena.seed
        self._mutated = frozenset(mutated)
        self._frames = frames
        self._sent: dict[str, list[_Sent]] = {}
        self.is_right = False
        """Whether all replies are right from now on."""

    def respond(self, context: Context) -> RawReply:
        """Return the reply to a call."""
        sha256 = context.call.sha256
        whole = frame(Parts(document=None, body=json.dumps(answer(context)).encode()))
        name, reply = "right", replace(whole, outcome=ANSWERED)
        if not self.is_right and self.is_mutated(sha256):
            draw = random.Random(f"{self._seed} {sha256}")
            name, reply = mutate(answer(context), draw, frames=self._frames)
        self._sent.setdefault(sha256, []).append(_Sent(name=name, reply=reply))
        return reply

    def count(self, sha256: str) -> int:
        """Return the number of calls for an image."""
        return len(self._sent.get(sha256, ()))

    def last(self, sha256: str) -> _Sent:
        """Return what an image got last."""
        return self._sent.get(sha256, [_Sent()])[-1]

    def is_mutated(self, sha256: str) -> bool:
        """Return whether an image meets a mutated reply."""
        return sha256 in self._mutated


async def _play_client(arena: Arena) -> None:
    images = [b"\xff\xd8\xff mutated %d %d" % (arena.seed, number) for number in range(2 * CALLS)]
    mutator = _Mutator(arena, map(_hash, images[::2]), frames=_HALF)
    arena.tally.cases += CALLS
    arena.tally.what["with its client"] += CALLS
    async with RawServer(mutator.respond) as server:
        client = GeminiClient(
            api_key=arena.key, model=server.model, base_url=server.base_url, wants_images=False
        )
        asker = _Asker(arena, mutator, client)
        async with client, asyncio.TaskGroup() as group:
            for image in images:
                group.create_task(asker.ask(image))


class _Asker:
    def __init__(self, arena: Arena, mutator: _Mutator, client: GeminiClient) -> None:
        self._arena, self._mutator, self._client = arena, mutator, client
        self._gate = asyncio.Semaphore(_WIDTH)

    async def ask(self, image: bytes) -> None:
        """Ask about an image, as often as it may take, and judge what comes of it."""
        sha256, tally = _hash(image), self._arena.tally
        is_mutated = self._mutator.is_mutated(sha256)
        for _ in range(1 if is_mutated else _TRIES):
            got = await self._generate(image)
            if isinstance(got, Generation):
                break
            tally.note_if(find_key(str(got).encode(), self._arena.key), Harm.KEY_SEEN, str(got))
        if not is_mutated:
            is_right = isinstance(got, Generation) and f"image {sha256}" in got.text
            tally.note_if(not is_right, Harm.WRONG, f"a right reply became {str(got)[:300]}")
        elif isinstance(got, Generation):
            self._judge(got, self._mutator.last(sha256))

    async def _generate(self, image: bytes) -> Generation | ApiFailure | FatalError:
        request = GenerationRequest(
            key="a.jpg", image=image, mime_type="image/jpeg", prompt=PROMPT, timeout_s=_TIMEOUT_S
        )
        async with self._gate:
            try:
                return await self._client.generate(request)
            except (ApiFailure, FatalError) as problem:
                return problem

    def _judge(self, got: Generation, sent: _Sent) -> None:
        """Note a success that is none, and tokens that no bill can have."""
        problem = find_problem(got.text, sent.reply)
        self._arena.tally.note_if(problem, Harm.WRONG, f"{problem}: {got.text[:200]!r} from {sent}")
        counts = (got.usage.input_tokens, got.usage.output_tokens, got.usage.image_output_tokens)
        is_odd = not all(0 <= count < _TOO_MANY for count in counts)
        self._arena.tally.note_if(is_odd, Harm.WRONG, f"usage {counts} from {sent}")


async def _play_program(arena: Arena) -> None:
    hashes = make_images(arena.photos, CALLS)
    # The program slows down after many broken connections, as for an outage.
    mutator = _Mutator(arena, hashes.values(), frames=_FEW)
    arena.tally.cases += CALLS
    arena.tally.what["with the program"] += CALLS
    async with RawServer(mutator.respond) as server:
        payments = Payments(server, arena.output)
        done = await arena.run(*arena.arguments(server.base_url, *_HASTY))
        is_known = done.code in {0, _SOME_FAILED, _LATER}
        arena.tally.note_if(not is_known, Harm.WRONG, f"exit code {done.code}: {done.stderr[-500:]}")
        _judge_tree(arena, mutator, hashes)
        payments.record_proven()
        mutator.is_right = True
        answered = {sha256 for sha256, _ in payments.find_proven()}
        done = await arena.run(*arena.arguments(server.base_url, "--retry-failed"))
        arena.tally.note_if(done.code, Harm.WRONG, f"exit code {done.code}: {done.stderr[-500:]}")
        payments.note_harms(arena.tally, may_repeat=0)
    again = {sha256 for sha256 in answered if mutator.count(sha256) > 1}
    arena.tally.note_if(again, Harm.DOUBLED, f"{len(again)} answers were bought again")


def _judge_tree(arena: Arena, mutator: _Mutator, hashes: Mapping[str, str]) -> None:
    for key, sha256 in hashes.items():
        path = arena.output / "successful" / f"{key}_result.txt"
        if path.exists():
            sent = mutator.last(sha256)
            problem = find_problem(path.read_text(encoding="utf-8"), sent.reply)
            arena.tally.note_if(problem, Harm.WRONG, f"{problem}: {key} from {sent}")
    accounting: dict[str, Any] = document(arena.output, "processing_stats.json")["accounting"]
    arena.tally.note_if(accounting["found"] != len(hashes), Harm.WRONG, f"the accounting: {accounting}")


def _hash(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()
