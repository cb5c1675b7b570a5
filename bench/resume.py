"""Benchmark of ten new images beside ten thousand that are answered.

Our program finds its answers in its own journal, filled beforehand by its own parts. The scripts skip
images that their file of answers names, as scripts do: they trust the name, read no image and check no
answer. Curator keys its cache by the whole list, so that a new image makes it ask all again; it takes no
part.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.arena import WITHIN_S, Arena, Results
from bench.clients import FIRST_NIGHT, OURS, PACED, ROOT, Client, Job, environment
from bench.images import png, write_images
from bench.measure import Result, ask_server, checked, run, seen_in
from bench.scenarios import RESUME, RESUME_DONE, RESUME_NEW

_PER_FOLDER = 1_000
_LEFT_OUT = {FIRST_NIGHT, PACED, "curator"}


@dataclass(slots=True, kw_only=True)
class _World:
    """One client's images and answers."""

    client: Client
    job: Job
    images: int = 0

    def add(self, count: int) -> dict[str, str]:
        """Write images that are not there yet; return the hash of each."""
        first = self.images
        write_images(self.job.images, first=first, count=count, per_folder=_PER_FOLDER)
        self.images += count
        numbers = range(first, self.images)
        return {_name(number): hashlib.sha256(png(number)).hexdigest() for number in numbers}


def resumed(arena: Arena, clients: Sequence[Client], rounds: int) -> Results:
    """Let every client that can go on where it stopped do so, so many times."""
    worlds = list(_worlds(arena, [client for client in clients if client.name not in _LEFT_OUT]))
    results: Results = {world.client.name: [] for world in worlds}
    for _ in range(rounds):
        for world in worlds:
            results[world.client.name].append(_once(arena, world))
    for world in worlds:
        shutil.rmtree(world.job.folder)
    return results


def _worlds(arena: Arena, clients: Sequence[Client]) -> Iterator[_World]:
    for client in clients:
        folder = arena.folder / "resume" / client.name.replace(" ", "-")
        (folder / "home").mkdir(parents=True)
        job = Job(
            images=folder / "in",
            folder=folder,
            home=folder / "home",
            base_url=arena.base_url,
            in_flight=RESUME.in_flight,
            ours=arena.ours,
        )
        world = _World(client=client, job=job)
        hashes = world.add(RESUME_DONE)
        if client.name == OURS:
            arguments = client.command(job)[2:]
            subprocess.run([sys.executable, "-m", "bench.filled", *arguments], cwd=ROOT, check=True)
        else:
            lines = (json.dumps({"image": name, "text": f"sha256:{hashes[name]}"}) for name in hashes)
            (folder / "answers.jsonl").write_text("".join(f"{line}\n" for line in lines))
        yield world


def _once(arena: Arena, world: _World) -> Result:
    new = world.add(RESUME_NEW)
    ask_server(f"{arena.base_url}/_bench/world", RESUME.meets.document())
    log = arena.folder / "last.log"
    used = run(world.client.command(world.job), environment(world.job), log=log, within_s=WITHIN_S)
    answers = world.client.answers(world.job)
    right, wrong = checked({name: answers[name] for name in new if name in answers}, new)
    seen = seen_in(ask_server(f"{arena.base_url}/_bench/log"))
    print(
        f"resume: {world.client.name}: {right} right, {seen.calls} calls, {used.wall_s:.2f} s",
        file=sys.stderr,
    )
    return Result(used=used, seen=seen, images=RESUME_NEW, right=right, wrong=wrong, session=arena.session)


def _name(number: int) -> str:
    return f"{number // _PER_FOLDER:05d}/photo-{number:07d}.png"
