"""Clients of the comparison: how each is started, and where its answers are."""

import json
import os
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from bench.peers.install import names, python_of
from bench.task import Task

ROOT = Path(__file__).resolve().parent.parent
KEY = "bench-key"
MODEL = "gemini-3.5-flash-lite"
PROMPT = "Describe the photo."
OURS, FIRST_NIGHT, BARE, PACED, SDK = "this program", "this program, first run", "bare", "bare, told", "sdk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one client."""

    images: Path
    folder: Path
    """Where it may write."""
    home: Path
    """Where it may keep what it wants to know next time."""
    base_url: str
    in_flight: int
    per_minute: float = 0.0
    ours: tuple[str, ...] = ()
    watched: bool = False

    @property
    def stalls(self) -> Path:
        """Return where a watched loop's stalls go."""
        return self.folder / "stalls.json"


def environment(job: Job) -> dict[str, str]:
    """Return a clean environment, in which no client calls home."""
    return {
        "PATH": os.environ["PATH"],  # noqa: TID251 - nothing else of it gets in
        "LANG": "C.UTF-8",
        "HOME": str(job.home),
        "GEMINI_API_KEY": KEY,
        "PYTHONPATH": str(ROOT) if job.watched else "",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "TELEMETRY_ENABLED": "false",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
    }


class Client(ABC):
    """One way to have images answered."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def command(self, job: Job) -> list[str]:
        """Return what to start."""

    @abstractmethod
    def answers(self, job: Job) -> dict[str, str]:
        """Return what it left, by the image's name."""


class Ours(Client):
    """The real command line, with everything on that is on by itself."""

    def command(self, job: Job) -> list[str]:
        """Return what to start."""
        start = ["-m", "bench.stall", str(job.stalls)] if job.watched else [str(ROOT / "main.py")]
        flags = {
            "--input-dir": str(job.images),
            "--output-dir": str(job.folder / "out"),
            "--prompt": PROMPT,
            "--model": MODEL,
            "--api-base-url": job.base_url,
            "--max-concurrent": str(job.in_flight),
        }
        words = [word for flag, value in flags.items() for word in (flag, value)]
        return [sys.executable, *start, *words, "--quiet", *job.ours]

    def answers(self, job: Job) -> dict[str, str]:
        """Return what it left."""
        root, suffix = job.folder / "out/successful", "_result.txt"
        files = root.rglob(f"*{suffix}") if root.exists() else ()
        return {file.relative_to(root).as_posix().removesuffix(suffix): file.read_text() for file in files}


class Peer(Client):
    """A script around a library, in the library's own environment."""

    def __init__(self, name: str, module: str, python: Path, *, told: bool = False) -> None:
        super().__init__(name)
        self._module = module
        self._python = python
        self._told = told

    def command(self, job: Job) -> list[str]:
        """Return what to start."""
        task = Task(
            images=str(job.images),
            answers=str(job.folder / "answers.jsonl"),
            base_url=job.base_url,
            key=KEY,
            model=MODEL,
            prompt=PROMPT,
            in_flight=job.in_flight,
            per_minute=job.per_minute if self._told else 0.0,
            stalls=str(job.stalls) if job.watched else None,
        )
        task.write(job.folder / "task.json")
        script = str(ROOT / "bench/peer.py")
        return [str(self._python), "-P", script, self._module, str(job.folder / "task.json")]

    def answers(self, job: Job) -> dict[str, str]:
        """Return what it left; of two answers to one image the last counts."""
        file = job.folder / "answers.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return {row["image"]: row["text"] for row in map(json.loads, lines)}


def present() -> tuple[dict[str, Client], list[str]]:
    """Return the clients that can be compared, and the names of those that are not installed."""
    here = Path(sys.executable)
    clients: list[Client] = [
        Ours(OURS),
        Ours(FIRST_NIGHT),
        Peer(BARE, "bare", here),
        Peer(PACED, "bare", here, told=True),
        Peer(SDK, "sdk", here),
    ]
    missing = []
    for name in names():
        if python := python_of(name):
            clients.append(Peer(name, name.replace("-", "_"), python))
        else:
            missing.append(name)
    return {client.name: client for client in clients}, missing
