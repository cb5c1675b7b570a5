"""Command line of the emulator as a process.

``python -m tests.emulator --port 0 --fault reset=0.05 --fault hang=1x --rpm-window fixed:60``
prints one line of JSON with its ``base_url`` when it listens, and ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.emulator.scenario import faults_from, options_from
from tests.emulator.server import Emulator


def scenario_of(argv: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Return the port and the scenario of a command line; flags come before the scenario's file."""
    flags = _parser().parse_args(argv)
    document: dict[str, Any] = json.loads(flags.scenario.read_text()) if flags.scenario else {}
    for name in (
        "keys",
        "models",
        "seed",
        "hint_s",
        "hang_s",
        "drip_s",
        "picture_px",
        "max_random_per_image",
    ):
        if getattr(flags, name) is not None:
            document[name] = getattr(flags, name)
    for name in ("check_images", "check_deadline"):
        document[name] = getattr(flags, name) or document.get(name, False)
    if flags.latency:
        low, _, high = flags.latency.partition("-")
        document["latency_s"] = [float(low), float(high)] if high else float(low)
    for name, faults in faults_from(flags.fault).items():
        document[name] = {**document.get(name, {}), **faults}
    document["quotas"] = [*document.get("quotas", []), *_quotas(flags)]
    return flags.port, document


def _quotas(flags: argparse.Namespace) -> list[dict[str, Any]]:
    quotas: list[dict[str, Any]] = []
    if flags.rpm_window:
        quotas.append({"meter": flags.rpm_window})
    if flags.tpm_window:
        quotas.append({"meter": flags.tpm_window, "unit": "tokens"})
    if flags.rpd is not None:
        quotas.append({"meter": f"fixed:{flags.rpd}", "per_day": True})
    return quotas


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int, default=0, help="0 = any that is free")
    add("--scenario", type=Path, help="JSON file, see tests/emulator/scenario.py")
    add("--key", dest="keys", action="append", help="a valid API key (default: test-key); repeatable")
    add("--model", dest="models", action="append", help="a known model; repeatable")
    add("--seed", type=int)
    add("--latency", help="seconds: 0.05, or a range 0.05-0.2")
    add("--fault", action="append", default=[], help="NAME=RATE, NAME=RATE/Nx, NAME=Nx, NAME=@INDEX")
    add("--max-random-per-image", type=int, help="faults by rate for one image, at most")
    add("--rpm-window", help="requests: fixed:60, sliding:60, bucket:60:5, fixed:20@3 (per 3 s)")
    add("--tpm-window", help="input tokens, written likewise")
    add("--rpd", type=int, help="requests per day")
    add("--hint", dest="hint_s", type=float, help="seconds that scripted 429s ask to wait")
    add("--hang", dest="hang_s", type=float, help="seconds that the fault hang lasts")
    add("--drip", dest="drip_s", type=float, help="seconds that the fault slow-drip lasts")
    add("--picture-px", type=int, help="edge of generated pictures")
    add("--check-images", action="store_true", help="refuse bytes that do not begin like a picture")
    add("--check-deadline", action="store_true", help="refuse deadlines below 10 s as the real service does")
    return parser


async def serve(port: int, document: dict[str, Any]) -> None:
    """Listen until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(port=port, **options_from(document)) as emulator:
        sys.stdout.write(json.dumps({"base_url": emulator.base_url}) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(*scenario_of(sys.argv[1:])))
