"""Start of a peer in its own environment, apart from this project's modules.

``python -P bench/peer.py NAME TASK.json`` with the peer's own interpreter. This project's folder goes
last on the path: many libraries have a module called ``config`` or ``utils`` somewhere.
"""

import asyncio
import importlib
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.loop_watch import watched
from bench.task import Task


def run(name: str, task_file: Path) -> None:
    """Let one peer do its task; its event loop is watched when the task says so."""
    task = Task.read(task_file)
    peer = importlib.import_module(f"bench.peers.{name}")
    with watched(task.stalls):
        if asyncio.iscoroutinefunction(peer.answer):
            asyncio.run(peer.answer(task))
        else:
            peer.answer(task)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
