"""Rules of a whole benchmark: the real program beside a real script, over real HTTP."""

from pathlib import Path

import pytest

from bench import figures, startup
from bench.arena import Arena, server
from bench.clients import BARE, OURS, SDK, present
from bench.measure import Result, Used, seen_in
from bench.scenarios import START, Meets, Scenario
from bench.sidebyside import main

pytestmark = pytest.mark.e2e

USED = Used(wall_s=2.0, cpu_s=1.0, peak_mb=70.0, code=0)


@pytest.mark.parametrize("watched", [False, True], ids=["plain", "watched"])
def test_every_image_is_answered_by_both(tmp_path: Path, watched: bool) -> None:  # noqa: FBT001
    """Each with its own hash, in as many calls as images, with CPU and memory that were counted."""
    clients, _ = present()
    scenario = Scenario(
        name="smoke", title="Six images", images=6, image_bytes=20_000, in_flight=2, watched=watched
    )

    with server() as base_url:
        results = Arena(folder=tmp_path, base_url=base_url).compare(
            scenario, [clients[OURS], clients[BARE]], rounds=1
        )

    for (result,) in results.values():
        assert result.stands
        assert result.seen.calls == 6
        assert result.used.cpu_s > 0
        assert result.used.peak_mb > 10


def test_whoever_is_compared_has_a_start_up_of_its_own(tmp_path: Path) -> None:
    """Figures of another client, measured earlier, do not replace its own."""
    file, sdk = tmp_path / "figures.json", Result(used=USED, seen=seen_in([]), images=1, right=1, wrong=0)
    figures.save(file, {START: {SDK: [sdk]}})

    main(["--client", BARE, "--scenario", "small-500", "--rounds", "1", "--json", str(file)])

    assert figures.load(file)[START].keys() == {SDK, BARE}


def test_a_client_that_tries_nothing_again_loses_what_meets_a_mishap(tmp_path: Path) -> None:
    """The bare script does not, so that the check of results must find some missing."""
    clients, _ = present()
    scenario = Scenario(
        name="mishaps", title="Mishaps", images=40, image_bytes=3_000, meets=Meets(mishaps=True)
    )

    with server() as base_url:
        ((result,),) = (
            Arena(folder=tmp_path, base_url=base_url).compare(scenario, [clients[BARE]], 1).values()
        )

    assert 0 < result.right < 40
    assert result.wrong == 0
    assert not result.stands


def test_a_start_up_is_measured_up_to_the_first_request() -> None:
    """Every process has its row, and ends where it is meant to."""
    found = startup.measured(1)

    assert all(cpu_s > 0 for (cpu_s,) in found.values())
    rows = list(startup.table(found))
    assert len(rows) == 2 + len(found)
    assert rows[-1].startswith(f"| {OURS}, up to its first request |")
