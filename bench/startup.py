"""What the program takes before its first request, beside the least that any script takes.

``python -m bench.startup`` starts the real command line, the bare aiohttp script and a bare interpreter in
interleaved rounds and prints medians of CPU time, and ratios within each round, in Markdown. The kernel's
clock of a process is read when the first byte of its first request arrives; then it is killed. Needs Linux.
"""

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from bench.clients import BARE, OURS, PROMPT, Client, Job, environment, present
from bench.measure import run

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 11
IMAGE_BYTES = 20_000
WITHIN_S = 60.0

Measure = Callable[[], float]
"""Starts a process and returns the CPU seconds that it took."""


def process_clock(pid: int) -> int:
    """Return the clock of a process's CPU time; see clock_getcpuclockid(3), whose Linux encoding this is."""
    return (~pid << 3) | 2


@contextmanager
def listening() -> Iterator[socket.socket]:
    """Yield a socket on which a request may arrive."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


def cpu_at_first_request(command: Sequence[str], env: dict[str, str], server: socket.socket) -> float:
    """Return the CPU seconds of a process up to the first byte of its first request, and kill it."""
    unseen = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawn(command[0], list(command), env, file_actions=unseen, setpgroup=0)
    try:
        _wait_for_bytes(server)
        return time.clock_gettime(process_clock(pid))
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait_for_bytes(server: socket.socket) -> None:
    """Wait until any client sends something; one that only connects is no request yet."""
    with DefaultSelector() as selector:
        selector.register(server, EVENT_READ)
        try:
            while ready := selector.select(WITHIN_S):
                for key, _ in ready:
                    if key.fileobj is not server:
                        return
                    selector.register(server.accept()[0], EVENT_READ)
            raise SystemExit(f"no request came within {WITHIN_S:.0f} s")
        finally:
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket) and key.fileobj is not server:
                    key.fileobj.close()


class Startup:
    """The processes that are measured, in one folder."""

    def __init__(self, folder: Path, server: socket.socket) -> None:
        self._folder, self._server = folder, server
        self._base_url = f"http://127.0.0.1:{server.getsockname()[1]}"
        self._number = 0
        photo = [str(folder / "in"), "1", str(IMAGE_BYTES)]
        subprocess.run(
            [sys.executable, "-m", "bench.photos", *photo], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        flags = [
            "--input-dir",
            str(folder / "in"),
            "--output-dir",
            str(folder / "answered"),
            "--prompt",
            PROMPT,
        ]
        subprocess.run([sys.executable, "-m", "bench.filled", *flags], cwd=ROOT, check=True)

    def measures(self) -> dict[str, Measure]:
        """Return what is measured, by its name."""
        clients, _ = present()
        main = [sys.executable, str(ROOT / "main.py")]
        return {
            "`python -c pass`": lambda: self._to_the_end([sys.executable, "-c", "pass"]),
            "`--help`": lambda: self._to_the_end([*main, "--help"]),
            "`--version`": lambda: self._to_the_end([*main, "--version"]),
            "a wrong flag": lambda: self._to_the_end([*main, "--no-such-flag"], code=2),
            "`--status`": lambda: self._to_the_end(
                [*main, "--status", "--output-dir", str(self._folder / "answered")]
            ),
            BARE: lambda: self._to_the_first_request(clients[BARE]),
            OURS: lambda: self._to_the_first_request(clients[OURS]),
        }

    def _job(self) -> Job:
        self._number += 1
        folder, home = self._folder / str(self._number), self._folder / "home"
        for needed in (folder, home):
            needed.mkdir(exist_ok=True)
        return Job(images=self._folder / "in", folder=folder, home=home, base_url=self._base_url, in_flight=5)

    def _to_the_end(self, command: Sequence[str], *, code: int = 0) -> float:
        log = self._folder / "last.log"
        used = run(command, environment(self._job()), log=log, within_s=WITHIN_S)
        if used.code != code:
            raise SystemExit(f"{' '.join(command)} ended with {used.code}: {log.read_text()}")
        return used.cpu_s

    def _to_the_first_request(self, client: Client) -> float:
        job = self._job()
        return cpu_at_first_request(client.command(job), environment(job), self._server)


def measured(rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each process in each round, without a first one that only warms up."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as folder, listening() as server:
        measures = Startup(Path(folder), server).measures()
        for number in range(rounds + 1):
            for name, measure in measures.items():
                cpu_s = measure()
                if number:
                    found.setdefault(name, []).append(cpu_s)
    return found


def table(found: dict[str, list[float]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| process | CPU s | against the bare interpreter | against the bare script |"
    yield "|---|---:|---:|---:|"
    interpreter = next(iter(found.values()))
    for name, cpu_s in found.items():
        beside = f"{_ratio(cpu_s, found[BARE]):.2f} x" if name in {BARE, OURS} else "-"
        label = f"{name}, up to its first request" if name in {BARE, OURS} else name
        yield (
            f"| {label} | {statistics.median(cpu_s):.3f} | {_ratio(cpu_s, interpreter):.1f} x | {beside} |"
        )


def _ratio(cpu_s: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(cpu_s, others, strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(argv).rounds
    found = measured(rounds)
    print(f"Medians of {rounds} rounds; Python {platform.python_version()}, {os.cpu_count()} CPUs.\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
