"""Corruptions: journal, ledger, documents, locks and answers damaged between two runs."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attack.arena import Arena
from tests.attack.damages import DAMAGES
from tests.attack.payments import Payments, hash_files
from tests.attack.tally import Harm
from tests.crash.checks import find_proven
from tests.crash.launcher import Fault as Crash
from tests.emulator import Emulator
from tests.support.cli import Finished, files_below
from tests.support.cli_cases import make_images

CASES = 10
"""In a batch; all begin with the same tree."""
_IMAGES = 5
_CONCURRENT = 2
_MOST_DAMAGED = 2
_LATENCY_S = 0.005
_NO_OUTPUT = 6
_CANNOT_WRITE = 1
_USAGE = 2
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One damaged file."""

    path: str
    damage: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.path} {self.damage}"


async def play(arena: Arena) -> None:
    """Make a tree, finished or killed in the middle; damage copies of it, and run over each."""
    hashes = make_images(arena.photos, _IMAGES)
    async with arena.emulator(latency_s=_LATENCY_S) as emulator:
        flags = ["--max-concurrent", str(_CONCURRENT)]
        crash = (
            Crash(act="kill", nth=arena.random.randint(60, 200)) if arena.random.random() < 0.5 else Crash()
        )
        done = await arena.run(*arena.arguments(emulator.base_url, *flags), fault=crash)
        shutil.copytree(arena.output, arena.folder / "whole")
        shutil.copytree(arena.folder / "state", arena.folder / "whole-state")
        for number in range(CASES):
            arena.tally.cases += 1
            await _Case(arena, emulator, hashes, number, is_finished=not done.code).play()


class _Case:
    def __init__(
        self, arena: Arena, emulator: Emulator, hashes: Mapping[str, str], number: int, *, is_finished: bool
    ) -> None:
        self._arena, self._emulator, self._hashes = arena, emulator, hashes
        self._number, self._is_finished = number, is_finished
        arena.clear()
        (arena.folder / "state").rmdir()
        shutil.copytree(arena.folder / "whole", arena.output)
        shutil.copytree(arena.folder / "whole-state", arena.folder / "state")
        emulator.reset()

    async def play(self) -> None:
        """Damage some files, run until all is answered, and check."""
        output = self._arena.output
        whole, answers, before = _read_files(output), hash_files(output), find_proven(output)
        hits, now = self._damage(), _read_files(output)
        changed = {name for name in {*whole, *now} if whole.get(name) != now.get(name)}
        ledger = whole.get("metadata/results.jsonl", b"")
        proven, kept = self._find_proven(changed, before, ledger), answers & hash_files(output)
        done = await self._until_done(hits)
        self._check(done, hits, proven, changed)
        gone = kept - _hash_all(output)
        self._note_if(gone, Harm.LOST, f"{len(gone)} answers are gone", hits)
        self._arena.check_left_over()

    def _damage(self) -> Sequence[Hit]:
        draw, names = self._arena.random, sorted(files_below(self._arena.output))
        hits = []
        for name in draw.sample(names, draw.randint(1, _MOST_DAMAGED)):
            damage = draw.choice(sorted(DAMAGES))
            path = self._arena.output / name
            if path.is_file():
                DAMAGES[damage](path, draw)
                hits.append(Hit(path=name, damage=damage))
        return hits

    def _find_proven(self, changed: set[str], before: set[str], ledger: bytes) -> set[str]:
        """Return the images that must not be asked again: lines as they were, or a whole journal, prove them.

        Args:
            changed: the files that are no longer what they were.
            before: the images whose answers were proven.
            ledger: what it was.
        """
        if self._is_finished and not any(name.startswith("metadata/journal.db") for name in changed):
            intact = {key for key in self._hashes if f"successful/{key}_result.txt" not in changed}
            return before & {self._hashes[key] for key in intact}
        path = self._arena.output / "metadata" / "results.jsonl"
        lines = set(_read(path).splitlines()) & set(ledger.splitlines())
        files = {name: _hash(data) for name, data in _read_files(self._arena.output).items()}
        return before & {line["sha256"] for line in map(json.loads, lines) if _stands(line, files)}

    async def _until_done(self, hits: Sequence[Hit]) -> Finished:
        """Run as a user would who does what the last line says."""
        flags: list[str] = []
        for _ in range(_ATTEMPTS):
            done = await self._arena.run(*self._arena.arguments(self._emulator.base_url, *flags))
            if done.code == _NO_OUTPUT:
                flags = ["--new-output"]
            elif done.code == _USAGE and "has format" in done.stderr:  # a flipped bit of its version
                self._remove_journal()
            elif done.code == _CANNOT_WRITE and self._clear_way(hits):
                continue
            else:
                return done
        return done

    def _remove_journal(self) -> None:
        """Remove the journal that a newer version seems to have written; the ledger proves the answers."""
        for path in (self._arena.output / "metadata").glob("journal.db*"):
            path.unlink()

    def _clear_way(self, hits: Sequence[Hit]) -> bool:
        """Remove folders and links that stand where a file has to go."""
        odd = [self._arena.output / hit.path for hit in hits]
        odd = [path for path in odd if path.is_symlink() or path.is_dir()]
        for path in odd:
            if path.is_symlink():
                path.unlink()
            else:
                path.rmdir()
        return bool(odd)

    def _check(self, done: Finished, hits: Sequence[Hit], proven: set[str], changed: set[str]) -> None:
        self._note_if(done.code, Harm.WRONG, f"exit code {done.code}: {done.stderr[-400:]}", hits)
        paid = Payments(self._emulator, self._arena.output).count_paid()
        again = {sha256 for sha256, _ in paid} & proven
        self._note_if(again, Harm.DOUBLED, f"{len(again)} proven answers were bought again", hits)
        self._note_if(any(count > 1 for count in paid.values()), Harm.DOUBLED, f"{paid}", hits)
        files = _read_files(self._arena.output / "successful")
        for key, sha256 in self._hashes.items() if not done.code else ():
            name, line = f"{key}_result.txt", f"image {sha256}".encode()
            if f"successful/{name}" in changed:
                continue  # what we wrote there ourselves may stand
            self._note_if(not any(line in data for data in files.values()), Harm.WRONG, f"no {name}", hits)
            is_other = name in files and line not in files[name]
            self._note_if(is_other, Harm.WRONG, f"{name} is {files.get(name, b'')[:120]!r}", hits)

    def _note_if(self, condition: object, harm: Harm, sentence: str, hits: Sequence[Hit]) -> None:
        where = ", ".join(map(str, hits))
        self._arena.tally.note_if(condition, harm, f"case {self._number} ({where}): {sentence}")


def _stands(line: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    """Return whether the files of a line of the ledger are where it says, and whole."""
    return all(files.get(one["path"]) == one["sha256"] for one in line["artefacts"])


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_files(folder: Path) -> dict[str, bytes]:
    """Return what stands in the files below a folder, by their relative paths."""
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def _hash_all(output: Path) -> set[str]:
    """Return the hashes of all files in the output: an answer may have been moved to anywhere in it."""
    return {_hash(data) for data in _read_files(output).values()}
