"""Hostile replies: some images of a run get them, all others are answered; memory and time are bounded."""

import dataclasses
import json
from collections.abc import Mapping

from tests.attack.arena import PROMPT, Arena
from tests.attack.hostile import HOSTILE
from tests.attack.mutations import Parts, frame
from tests.attack.payments import Payments
from tests.attack.raw_server import RawReply, RawServer
from tests.attack.tally import Harm
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.emulator.answers import answer
from tests.emulator.log import ANSWERED
from tests.emulator.replies import Context
from tests.emulator.wire import GenerateCall, ReceivedImage
from tests.support.cli_cases import make_images, text_of

CASES = 5
"""Hostile replies in a batch."""
_RIGHT = 4
_FEW = 0.3
_PICTURE_PX = 16
_MOST_MB = 300.0
_SOME_FAILED, _LATER = 3, 75
_FLAGS = (
    *("--max-retries", "0", "--max-concurrent", "1", "--timeout", "4s", "--max-timeout", "4s"),
    *("--max-wait", "5s", "--outage-patience", "30s"),
)


async def play(arena: Arena) -> None:
    """Play the next few hostile replies of the list, one at a time between right ones."""
    names = sorted(HOSTILE)
    first = (arena.seed - 1) * CASES
    chosen = [names[number % len(names)] for number in range(first, first + CASES)]
    for name in chosen:
        arena.tally.cases += 1
        arena.clear()
        await _play_one(arena, name)


async def _play_one(arena: Arena, name: str) -> None:
    hashes = make_images(arena.photos, 1 + _RIGHT)
    hostile = hashes["photo000.png"]
    model = PICTURE_MODEL if "picture" in name or arena.random.random() < _FEW else TEXT_MODEL
    # Built before the run: while some are built, the server answers no call.
    reply = HOSTILE[name](_expect(hostile, model))

    def respond(context: Context) -> RawReply:
        if context.call.sha256 == hostile:
            return reply
        whole = frame(Parts(document=None, body=json.dumps(answer(context)).encode()))
        return dataclasses.replace(whole, outcome=ANSWERED)

    async with RawServer(respond, model=model) as server:
        done = await arena.run(*arena.arguments(server.base_url, "--model", model, *_FLAGS))
        payments = Payments(server, arena.output)
        payments.note_harms(arena.tally, may_repeat=0)
    is_known = done.code in {0, _SOME_FAILED, _LATER}
    arena.tally.note_if(not is_known, Harm.WRONG, f"{name}: exit code {done.code}: {done.stderr[-400:]}")
    peak_mb = arena.launcher.peak_mb
    arena.tally.note_if(peak_mb > _MOST_MB, Harm.WRONG, f"{name}: {peak_mb:.0f} MB of memory")
    _check_others(arena, name, hashes, is_stopped=done.code == _LATER)
    raw = {char for char in done.stderr if char in "\x1b\x07\0\u202e\u2066"}
    arena.tally.note_if(raw, Harm.WRONG, f"{name}: raw {sorted(raw)!r} on stderr")


def _expect(sha256: str, model: str) -> Context:
    """Return what the call about an image will be."""
    image = ReceivedImage(sha256=sha256, mime_type="image/png", size_bytes=0, looks_real=True)
    modalities = frozenset({"TEXT", "IMAGE"} if model == PICTURE_MODEL else ())
    call = GenerateCall(prompt=PROMPT, images=(image,), modalities=modalities)
    return Context(call=call, model=model, index=0, hint_s=0.0, picture_px=_PICTURE_PX)


def _check_others(arena: Arena, name: str, hashes: Mapping[str, str], *, is_stopped: bool) -> None:
    """Check that the images with right replies have their own answers."""
    for key, sha256 in hashes.items():
        path = arena.output / "successful" / f"{key}_result.txt"
        if key == "photo000.png" or (is_stopped and not path.exists()):
            continue
        text = text_of(arena.output, key) if path.exists() else ""
        arena.tally.note_if(f"image {sha256}" not in text, Harm.WRONG, f"{name}: {key} has {text[:80]!r}")
