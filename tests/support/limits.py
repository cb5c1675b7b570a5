"""Starts the real program under limits of the system: descriptors, memory, processes, file sizes.

The limits are set before the program begins, as ``ulimit`` and services do. ``root`` is not held to the
number of processes, so ``unprivileged_user`` gives a test a user of its own; ``lower_limit`` changes a limit
of a program that runs, as shortage that comes and goes.
"""

import asyncio
import json
import os
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.cli import KEY, MAIN, Finished, environment, finish

_FIRST_USER = 61_000
"""Users from here on have no processes of their own on an ordinary system."""

_STARTER = """
import json, os, resource, sys
limits, user = json.loads(sys.argv[1])
for number, (soft, hard) in limits:
    resource.setrlimit(number, (soft, hard))
command = [sys.executable, *sys.argv[2:]]
if user:
    keep = "+dac_override"
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--inh-caps=-all,{keep}",
               f"--ambient-caps=-all,{keep}", "--", *command]
os.execvp(command[0], command)
"""

Limits = Mapping[int, int | tuple[int, int]]
"""By ``resource.RLIMIT_…``: the soft and hard limit, or one number for both."""


def unprivileged_user() -> int:
    """Return a user without processes and privileges, but for reading and writing; skip if there is none."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip(
            "NOT TESTED: a limit on a user's processes needs root and setpriv, to become another user"
        )
    return _FIRST_USER + os.getpid() % 1_000


async def start_limited(
    *arguments: str | Path,
    limits: Limits,
    user: int = 0,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start ``python main.py`` under limits, for a user of its own unless it is 0."""
    pairs = [(number, (one, one) if isinstance(one, int) else one) for number, one in limits.items()]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STARTER, json.dumps([pairs, user]), str(MAIN), *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(env, key=KEY),
    )


async def run_limited(
    *arguments: str | Path,
    limits: Limits,
    user: int = 0,
    env: Mapping[str, str] | None = None,
    within_s: float = 120.0,
) -> Finished:
    """Run the program under limits to its end; a run that hangs is killed and fails the test."""
    process = await start_limited(*arguments, limits=limits, user=user, env=env)
    return await finish(process, within_s=within_s)


def lower_limit(pid: int, limit: int, soft: int) -> None:
    """Change the soft limit of a running program; its hard limit stays."""
    _, hard = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (soft, hard))
