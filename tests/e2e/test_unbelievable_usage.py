"""Rules of --max-cost and of what is said about costs, where the service's counts cannot be believed."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import PROMPT, make_images
from tests.support.gateway import Gateway, serve

pytestmark = pytest.mark.e2e

CAP = Decimal("0.10")
TOKENS = 1000
COST = (1150 * Decimal("0.30") + TOKENS * Decimal("2.50")) / 1_000_000
"""What each answer truly costs with the default model. Source: docs/api-facts.md, section 4.5."""
IMAGES = 60


def _lie(**counts: Any) -> Callable[[str, str, bytes], bytes]:
    """Return a gateway's change: a long answer whose tokens are told wrongly, or not at all (None)."""

    def change(_method: str, _path: str, body: bytes) -> bytes:
        answer = json.loads(body)
        answer["candidates"][0]["content"]["parts"] = [{"text": "house " * (TOKENS * 3 // 4)}]
        usage = {"promptTokenCount": 1150, "totalTokenCount": 1150 + TOKENS, **counts}
        answer["usageMetadata"] = {name: count for name, count in usage.items() if count is not None}
        return json.dumps(answer).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        _lie(),
        _lie(totalTokenCount=None),
        _lie(candidatesTokenCount="many"),
        _lie(candidatesTokenCount=-1),
        _lie(candidatesTokenCount=2**40),
        _lie(candidatesTokenCount=1),
        _lie(candidatesTokenCount=TOKENS, promptTokenCount=[]),
    ],
    ids=["missing", "nothing", "a word", "negative", "2^40", "one", "no question"],
)
def test_a_cap_holds_whatever_is_told(tmp_path: Path, change: Callable[[str, str, bytes], bytes]) -> None:
    """All that was set aside for such a call stays so; the report and the summary say "at most"."""
    make_images(tmp_path / "photos", IMAGES)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator() as emulator:
            async with serve(Gateway(target=emulator.base_url, change=change).handle) as url:
                done = await run_cli(
                    *(
                        "--input-dir",
                        tmp_path / "photos",
                        "--prompt",
                        PROMPT,
                        "--output-dir",
                        tmp_path / "out",
                    ),
                    *("--api-base-url", url, "--max-cost", str(CAP)),
                )
            return done, len(emulator.calls)

    done, calls = asyncio.run(scenario())
    cost = document(tmp_path / "out", "processing_stats.json")["cost"]

    assert done.code == 8, done.stderr
    assert 0 < calls < IMAGES
    assert calls * COST <= Decimal(str(cost["reserved_at_most_usd"])) <= CAP
    assert cost["calls_without_usage"] == calls
    assert cost["total_usd"] is None
    assert "Cost at most $0." in " ".join(done.stdout.split())
