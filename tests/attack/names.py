"""Odd names: files and folders called so that paths, terminals, shells and tables may break."""

import hashlib
import os
import random

from tests.attack.arena import Arena
from tests.attack.tally import Harm
from tests.crash.checks import ledger_lines
from tests.support.hostile_images import encoded, picture

_LONGEST = 255
_ODD = (
    b"..png", b"...png", b".. .png", b" .png", b"-.png", b"--help.png", b"-rf *.png", b"~.png",
    b"~root.png", b"$HOME.png", b"`id`.png", b"$(id).png", b"a;b.png", b"a|b.png", b"a&b.png", b"a>b.png",
    b"a'b.png", b'a"b.png', b"a\\b.png", b"..\\..\\up.png", b"%00.png", b"%2e%2e%2fup.png", b"%s%n%d.png",
    b"{0}.png", b"a\nb.png", b"a\rb.png", b"a\tb.png", b"a\x1b[31mb.png", b"a\x07b.png", b"a\x7fb.png",
    b"a\x01b.png", b"\xff\xfe.png", b"\xc3\x28.png", b"a\xc0\xafb.png", "\u202egnp.exe.png".encode(),
    "\u2066x\u2069.png".encode(), "\u200b.png".encode(), "\ufeff.png".encode(), "e\u0301.png".encode(),
    "\u00e9.png".encode(), "\N{PILE OF POO}.png".encode(), "\u0130i.png".encode(), b"CON.png", b"nul.png",
    b"a:b.png", b"a*b?.png", b"trailing. .png", b"x_result.txt.png", b"x.png_result.txt.png",
    b"x.png_error.log.png", b"x~dir.png", b"journal.db.png", b"results.jsonl.png", b"1e5.png",
    b"null.png", b"True.png", b"=cmd|' C calc'!A0.png", b"@SUM(1).png", b"<script>.png", b"a,b.png",
    b"'; DROP TABLE images; --.png", b"n" * (_LONGEST - 4) + b".png", ("\u00fc" * 125).encode() + b".png",
    b"UPPER.PNG", b"upper.png", b".atomic-0123456789abcdef.tmp.png", b"line1\xe2\x80\xa8line2.png",
    b"error: Stopped.png",
)  # fmt: skip
"""As bytes, since not all are text."""
_FOLDERS = (
    b"plain",
    b" ",
    b"-x",
    b"a\nb",
    b"x.png_result.txt",
    b"successful",
    b"metadata",
    b"x..a",
    b"%2F",
    b"\xff",
)
RANDOM_NAMES = 12


async def play(arena: Arena) -> None:
    """Ask about a folder of odd names, twice; each has its own answer, inside the output."""
    names = _write_images(arena)
    arena.tally.cases += len(names)
    async with arena.emulator() as emulator:
        arguments = arena.arguments(emulator.base_url, "--max-concurrent", "20")
        done = await arena.run(*arguments)
        arena.tally.note_if(done.code, Harm.WRONG, f"exit code {done.code}: {done.stderr[-900:]}")
        _check(arena, names)
        _note_raw_controls(arena, done.stderr)
        calls = len(emulator.calls)
        arena.tally.note_if(calls != len(names), Harm.DOUBLED, f"{calls} calls for {len(names)} images")
        await arena.run(*arguments)
        again = len(emulator.calls) - calls
        arena.tally.note_if(again, Harm.DOUBLED, f"{again} calls in the second run")


def _write_images(arena: Arena) -> dict[str, bytes]:
    """Write an image for each name; return the names by the hashes of the images."""
    drawn = [_draw_name(arena.random) for _ in range(RANDOM_NAMES)]
    written: dict[str, bytes] = {}
    for number, name in enumerate(dict.fromkeys((*_ODD, *drawn))):
        folder = os.fsencode(arena.photos)
        if number % 3 == 2:
            folder = os.path.join(folder, arena.random.choice(_FOLDERS))  # noqa: PTH118 - bytes
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - bytes
        data = encoded(picture(number, (20 + number, 20)), "PNG")
        with open(os.path.join(folder, name), "wb") as handle:  # noqa: PTH118, PTH123 - bytes
            handle.write(data)
        written[hashlib.sha256(data).hexdigest()] = name
    return {sha256: name for sha256, name in written.items() if not name.startswith(b".")}


def _draw_name(draw: random.Random) -> bytes:
    """Return random bytes that a file may be called."""
    allowed = [byte for byte in range(1, 256) if byte != ord("/")]
    return b"r" + bytes(draw.choices(allowed, k=draw.randint(1, 60))) + b".png"


def _check(arena: Arena, names: dict[str, bytes]) -> None:
    answers = {line["sha256"]: line for line in ledger_lines(arena.output)}
    for sha256, name in names.items():
        line = answers.get(sha256)
        if line is None:
            arena.tally.note(Harm.LOST, f"{name!r} has no answer")
            continue
        path = arena.output / line["artefacts"][0]["path"]
        is_inside = path.resolve().is_relative_to(arena.output.resolve())
        arena.tally.note_if(not is_inside, Harm.OUTSIDE, f"{name!r} is answered in {path}")
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        arena.tally.note_if(f"image {sha256}" not in text, Harm.WRONG, f"{name!r} has {text[:80]!r}")


def _note_raw_controls(arena: Arena, stderr: str) -> None:
    """Note characters that steer a terminal or turn the text around."""
    raw = {
        char
        for char in stderr
        if char in "\x1b\x07\x01\x7f\u202e\u2066" or (char < " " and char not in "\n\r\t")
    }
    arena.tally.note_if(raw, Harm.WRONG, f"raw {sorted(raw)!r} on stderr")
