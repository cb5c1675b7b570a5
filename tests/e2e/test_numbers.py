"""Numbers that agree: summary, documents and --status say the same, and what was sent is what arrived."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import Finished, document, files_below, run_cli
from tests.support.cli_cases import PROMPT, arguments, make_images
from tests.support.gateway import Gateway, serve

pytestmark = pytest.mark.e2e

IMAGES = 12
ALWAYS_DOWN = [Fault.UNAVAILABLE] * 9


def quota_from(call: int) -> FaultPlan:
    """Return a plan whose day's quota is spent from this call on."""
    return FaultPlan(per_call=dict.fromkeys(range(call, 100), Fault.DAILY_QUOTA))


async def deferred_everywhere(folder: Path, done: Finished) -> dict[str, int]:
    """Return how many images are deferred, by where that is said."""
    stats, analysis = (
        document(folder / "out", name) for name in ("processing_stats.json", "error_analysis.json")
    )
    status = await run_cli("--status", "--output-dir", folder / "out", key=None)
    counts = {"summary": _deferred_in(done.stdout), "--status": _deferred_in(status.stdout)}
    return counts | {
        "accounting": stats["accounting"]["deferred"] + stats["accounting"]["not_started"],
        "processing_stats": stats["deferred"]["total"],
        "tree": stats["tree"]["deferred"],
        "error_analysis": sum(analysis["deferred"].values()),
    }


def _deferred_in(text: str) -> int:
    found = re.search(r"^ +(\d+)  deferred", text, re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("nights", "more", "code"),
    [
        ([quota_from(5)], [], 75),
        ([quota_from(5), quota_from(2)], [], 75),
        ([FaultPlan()], ["--max-requests", "4"], 8),
        ([FaultPlan()], ["--max-duration", "1s", "--rpm", "1"], 10),
        ([FaultPlan(rates={Fault.UNAVAILABLE: 1.0})], ["--outage-patience", "1s"], 75),
        ([FaultPlan()], [], 0),
    ],
    ids=["quota", "quota-twice", "budget", "time", "outage", "none"],
)
def test_deferred_images_are_the_same_number_everywhere(
    tmp_path: Path, nights: list[FaultPlan], more: list[str], code: int
) -> None:
    """Whatever ends a run, and also if the one before ended so: there is one number for what is left."""
    make_images(tmp_path / "photos", IMAGES)

    async def scenario() -> tuple[Finished, dict[str, int]]:
        async with Emulator() as emulator:
            for plan in nights:
                emulator.reset(plan)
                done = await run_cli(*arguments(tmp_path, emulator, "--max-concurrent", "1", *more))
            return done, await deferred_everywhere(tmp_path, done)

    done, counts = asyncio.run(scenario())

    left = IMAGES - len(files_below(tmp_path / "out" / "successful"))
    assert done.code == code, done.stderr
    assert (left == 0) == (code == 0)
    assert counts == dict.fromkeys(counts, left)


def test_deferred_images_that_are_gone_are_counted_no_more(tmp_path: Path) -> None:
    """An image that was deferred and then deleted is in no number of the next run."""
    hashes = make_images(tmp_path / "photos", 4)
    down = FaultPlan(per_image=dict.fromkeys([*hashes.values()][:2], ALWAYS_DOWN))

    async def scenario() -> dict[str, int]:
        async with Emulator(plan=down) as emulator:
            await run_cli(*arguments(tmp_path, emulator, "--max-retries", "0"))
            (tmp_path / "photos" / next(iter(hashes))).unlink()
            emulator.reset(down)
            done = await run_cli(*arguments(tmp_path, emulator, "--max-retries", "0"))
            return await deferred_everywhere(tmp_path, done)

    assert set(asyncio.run(scenario()).values()) == {1}


def test_upload_bytes_are_the_bytes_that_arrived(tmp_path: Path) -> None:
    """Converted images count as they were sent, retries each time, and what never left not at all."""
    photos = tmp_path / "photos"
    make_images(photos, 3)
    for name, size in (("big.bmp", (900, 700)), ("scan.tif", (600, 400)), ("anim.gif", (64, 64))):
        Image.new("RGB", size, (10, 200, 30)).save(photos / name)
    on_disk = sum(path.stat().st_size for path in photos.rglob("*") if path.is_file())
    plan = FaultPlan(per_call={2: Fault.INTERNAL, 4: Fault.INTERNAL})

    async def scenario() -> tuple[int, Any, Finished]:
        async with Emulator(plan=plan) as emulator:
            await run_cli(*arguments(tmp_path, emulator))
            received = sum(call.bytes_received for call in emulator.calls)
            stats = document(tmp_path / "out", "processing_stats.json")
        nobody = arguments(tmp_path, emulator, "--force", "--max-retries", "0", "--outage-patience", "2s")
        return received, stats, await run_cli(*nobody)

    received, stats, unheard = asyncio.run(scenario())

    assert stats["requests"]["total"] == 8
    assert stats["requests"]["upload_bytes"] == received < on_disk / 10
    assert unheard.code == 75
    assert document(tmp_path / "out", "processing_stats.json")["requests"]["upload_bytes"] == 0


def without_usage(_method: str, _path: str, body: bytes) -> bytes:
    """Return an answer as gateways give it that do not pass the usage on."""
    answer = json.loads(body)
    answer.pop("usageMetadata", None)
    return json.dumps(answer).encode()


@pytest.mark.parametrize("share", ["all", "some"])
def test_a_cost_that_was_not_told_is_unknown(tmp_path: Path, share: str) -> None:
    """Answers without token counts cost an unknown sum, never nothing; what is known is still counted."""
    make_images(tmp_path / "photos", 4)
    seen: list[bytes] = []

    def change(method: str, path: str, body: bytes) -> bytes:
        seen.append(body)
        return body if share == "some" and len(seen) % 2 else without_usage(method, path, body)

    async def scenario() -> Finished:
        async with Emulator() as emulator:
            gateway = Gateway(target=emulator.base_url, change=change)
            async with serve(gateway.handle) as url:
                return await run_cli(
                    *(
                        "--input-dir",
                        tmp_path / "photos",
                        "--prompt",
                        PROMPT,
                        "--output-dir",
                        tmp_path / "out",
                    ),
                    *("--api-base-url", url),
                )

    done = asyncio.run(scenario())
    cost = document(tmp_path / "out", "processing_stats.json")["cost"]
    lines = (tmp_path / "out/metadata/results.jsonl").read_text(encoding="utf-8").splitlines()
    noted = [json.loads(line)["cost_usd"] for line in lines]

    assert done.code == 0, done.stderr
    assert cost["calls_without_usage"] == noted.count(None) == (4 if share == "all" else 2)
    assert 0.0 not in noted
    assert cost["per_answer_usd"] is None
    assert (cost["total_usd"] is None) == (share == "all")
    said = " ".join(done.stdout.split())
    if share == "all":
        assert "Cost unknown: the service did not say how many tokens" in said
    else:
        assert re.search(r"Cost about \$0\.\d+, and 2 answers whose tokens were not told", said)


def test_a_cap_holds_where_no_tokens_are_told(tmp_path: Path) -> None:
    """What was set aside for an answer without token counts stays set aside, so that the cap holds."""
    make_images(tmp_path / "photos", 40)

    async def scenario() -> tuple[Finished, int]:
        async with Emulator() as emulator:
            async with serve(Gateway(target=emulator.base_url, change=without_usage).handle) as url:
                done = await run_cli(
                    *(
                        "--input-dir",
                        tmp_path / "photos",
                        "--prompt",
                        PROMPT,
                        "--output-dir",
                        tmp_path / "out",
                    ),
                    *("--api-base-url", url, "--max-cost", "0.10"),
                )
            return done, len(emulator.calls)

    done, calls = asyncio.run(scenario())

    assert done.code == 8, done.stderr
    assert 0 < calls < 40


@pytest.mark.parametrize("typed", ["any", "none", "2", "20%", "12.50%"])
def test_fail_on_is_documented_as_typed(tmp_path: Path, typed: str) -> None:
    """The documents have the words of the user."""
    make_images(tmp_path / "photos", 1)

    done = asyncio.run(
        run_cli(
            *("--input-dir", tmp_path / "photos", "--prompt", PROMPT, "--output-dir", tmp_path / "out"),
            *("--dry-run", "--fail-on", typed),
        )
    )

    assert done.code == 0, done.stderr
    (stats,) = (tmp_path / "out").rglob("processing_stats.json")
    assert json.loads(stats.read_text(encoding="utf-8"))["options"]["fail_on"] == typed
