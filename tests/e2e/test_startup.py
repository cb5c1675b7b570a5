"""Rules of the start: which libraries are imported before the first request of the real program."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, environment, finish
from tests.support.cli_cases import arguments, make_images
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e

HEAVY = ["genai_prices", "google.genai", "tqdm"]
SCRIPT = f"""
import sys
connects = []
def hook(event, arguments):
    if event == "socket.connect" and not connects:
        connects.append(sorted({{*{HEAVY}}} & {{*sys.modules}}))
sys.addaudithook(hook)
import json, main
code = main.main(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps(connects))
sys.exit(code)
"""


async def run_watched(*words: str) -> tuple[Finished, list[str]]:
    """Run the program; return what of the heavy was imported when it connected first."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    )
    done = await finish(process)
    (imported,) = json.loads(done.stderr.splitlines()[-1])
    return done, imported


@pytest.mark.parametrize(("more", "expected"), [([], []), (["--max-cost", "1"], ["genai_prices"])])
def test_nothing_heavy_is_imported_before_the_first_request(
    tmp_path: Path, more: list[str], expected: list[str]
) -> None:
    """Prices are looked up beside the first calls, unless a cap needs them; each cost is recorded anyway."""
    make_images(tmp_path / "photos", 3)

    async def scenario() -> tuple[Finished, list[str]]:
        async with Emulator() as emulator:
            return await run_watched(*map(str, arguments(tmp_path, emulator, *more)))

    done, imported = asyncio.run(scenario())

    assert done.code == 0, done.stderr
    assert imported == expected
    assert document(tmp_path / "out", "processing_stats.json")["cost"]["total_usd"] > 0
    ledger = (tmp_path / "out" / "metadata" / "results.jsonl").read_text(encoding="utf-8")
    assert all(json.loads(line)["cost_usd"] for line in ledger.splitlines())
