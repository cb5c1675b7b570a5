"""Arena: clients meet one scenario, one after another, on equal terms.

Each run gets a fresh folder, the same images and a server that begins anew. Rounds are interleaved and
begin with another client each time, so that a machine that gets slower does so for all.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

from bench.clients import FIRST_NIGHT, OURS, PACED, ROOT, Client, Job, environment
from bench.measure import Result, ask_server, checked, longest_stall, run, seen_in
from bench.scenarios import Scenario

WITHIN_S = 420.0
"""No client may take longer for one scenario."""

Results = dict[str, list[Result]]
"""By client, one for each round."""


@contextmanager
def server() -> Iterator[str]:
    """Yield the base URL of a server that is a process of its own."""
    command = [sys.executable, "-m", "bench.server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield json.loads(child.stdout.readline() if child.stdout else "{}")["base_url"]
        finally:
            child.terminate()


@dataclass(slots=True, kw_only=True)
class Arena:
    """Where the scenarios take place.

    Args:
        folder: for images and whatever clients write.
        base_url: of the server.
        warm_ups: how often our program runs before it counts, so that it is not its first run.
        ours: further arguments of our program, in every scenario.
    """

    folder: Path
    base_url: str
    warm_ups: int = 1
    ours: tuple[str, ...] = ()
    session: str = field(default_factory=lambda: uuid4().hex, init=False)
    _hashes: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def compare(self, scenario: Scenario, clients: Sequence[Client], rounds: int) -> Results:
        """Let every client that belongs there go through a scenario, so many times."""
        chosen = [client for client in clients if _belongs(client, scenario)]
        if any(client.name == OURS for client in chosen) and scenario.first_night:
            ours = next(client for client in chosen if client.name == OURS)
            for _ in range(self.warm_ups):
                self._run(ours, scenario)
        results: Results = {client.name: [] for client in chosen}
        for number in range(rounds):
            first = number % max(1, len(chosen))
            for client in [*chosen[first:], *chosen[:first]]:
                result = self._run(client, scenario)
                results[client.name].append(result)
                _tell(scenario, client, result)
        return results

    def _run(self, client: Client, scenario: Scenario) -> Result:
        images, hashes = self._images(scenario)
        job = self._job(client, scenario, images)
        ask_server(f"{self.base_url}/_bench/world", scenario.meets.document())
        used = run(client.command(job), environment(job), log=self.folder / "last.log", within_s=WITHIN_S)
        seen = seen_in(ask_server(f"{self.base_url}/_bench/log"))
        right, wrong = checked(client.answers(job), hashes)
        stalls = json.loads(job.stalls.read_text()) if job.stalls.exists() else None
        # A client that was killed, or that ran another loop, wrote nothing: that does not mean no stall.
        stall_ms, stall_cpu_ms = (None, None) if stalls is None else longest_stall(stalls, seen)
        return Result(
            used=used,
            seen=seen,
            images=scenario.images,
            right=right,
            wrong=wrong,
            stall_ms=stall_ms,
            stall_cpu_ms=stall_cpu_ms,
            session=self.session,
        )

    def _job(self, client: Client, scenario: Scenario, images: Path) -> Job:
        # Kept to the end: after many deletions ext4 takes its time for each file that is made, in the next
        # client's run.
        folder = self.folder / "runs" / str(next(self._numbers))
        keeps = client.name == OURS
        home = self.folder / "homes" / scenario.name if keeps else folder / "home"
        for needed in (folder, home):
            needed.mkdir(parents=True, exist_ok=True)
        return Job(
            images=images,
            folder=folder,
            home=home,
            base_url=self.base_url,
            in_flight=scenario.in_flight,
            per_minute=scenario.meets.per_minute,
            ours=(*scenario.ours, *self.ours),
            watched=scenario.watched,
        )

    def _images(self, scenario: Scenario) -> tuple[Path, dict[str, str]]:
        size = (scenario.images, scenario.image_bytes)
        folder = self.folder / f"images-{size[0]}-{size[1]}"
        if size not in self._hashes:
            command = [sys.executable, "-m", "bench.photos", str(folder), *map(str, size)]
            made = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            self._hashes[size] = json.loads(made.stdout)
        return folder, self._hashes[size]


def _belongs(client: Client, scenario: Scenario) -> bool:
    if client.name == FIRST_NIGHT:
        return scenario.first_night
    return client.name != PACED or scenario.paced


def _tell(scenario: Scenario, client: Client, result: Result) -> None:
    used, seen = result.used, result.seen
    stall = "-" if result.stall_ms is None else f"{result.stall_ms:.0f}"
    print(
        f"{scenario.name}: {client.name}: {result.right} of {result.images} right, {result.wrong} wrong, "
        f"{seen.calls} calls, {seen.first_to_last_s:.2f} s first to last, {used.wall_s:.2f} s, "
        f"CPU {used.cpu_s:.2f} s, {used.peak_mb:.0f} MB, stall {stall} ms, exit {used.code}",
        file=sys.stderr,
        flush=True,
    )
