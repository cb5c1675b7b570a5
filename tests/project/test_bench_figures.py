"""Rules of the benchmark's figures: each means what its table says."""

import asyncio
import json
import os
import re
import select
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from time import thread_time

import pytest

from bench import figures
from bench.arena import Results
from bench.loop_watch import watched
from bench.measure import Result, Seen, Used, checked, longest_stall, median, ratio, run, seen_in
from bench.mishaps import Mishap, Quota, mishap_of
from bench.scenarios import RESUME, SCENARIOS, START, Scenario
from bench.sidebyside import HEADING, put
from bench.tables import tables

_HASH = "ab" * 32


def _result(
    *,
    right: int = 10,
    wrong: int = 0,
    spread_s: float = 2.0,
    cpu_s: float = 3.0,
    stall_ms: float | None = 5.0,
    session: str = "",
) -> Result:
    return Result(
        used=Used(wall_s=spread_s + 1, cpu_s=cpu_s, peak_mb=80.0, code=0),
        seen=Seen(calls=10, refused=0, first_to_last_s=spread_s, began_s=0.0, ended_s=9.0),
        images=10,
        right=right,
        wrong=wrong,
        stall_ms=stall_ms,
        stall_cpu_ms=stall_ms,
        session=session,
    )


def _scenario(*, watched: bool = False) -> Scenario:
    return Scenario(name="some", title="Ten images", images=10, image_bytes=100, bound_s=1.0, watched=watched)


def _row(found: Mapping[Scenario, Results], client: str) -> str:
    """Return a client's row in the last table."""
    return [line for line in tables(found) if line.startswith(f"| {client} |")][-1]


def test_an_answer_counts_only_with_the_hash_of_its_own_image() -> None:
    """Another image's hash, no hash, and an image that was never there are all wrong."""
    hashes = {"a.jpg": _HASH, "b.jpg": "cd" * 32, "c.jpg": "ef" * 32}
    answers = {"a.jpg": f"Words. sha256:{_HASH}", "b.jpg": f"sha256:{_HASH}", "c.jpg": "Words.", "d.jpg": "x"}

    assert checked(answers, hashes) == (1, 3)


def test_the_spread_is_from_the_first_answer_to_the_last() -> None:
    """Rejected calls count as calls, but end no wait for an answer."""
    log = [
        [0.0, 0.5, "", "quota"],
        [1.0, 2.0, "a", "answered"],
        [1.0, 4.5, "b", "slow"],
        [2, 9, "c", "reset"],
    ]

    seen = seen_in(log)

    assert (seen.first_to_last_s, seen.calls, seen.refused) == (2.5, 4, 1)
    assert (seen.began_s, seen.ended_s) == (0.0, 9.0)


def test_only_stalls_while_calls_are_under_way_count() -> None:
    """Imports before the first call are no stall of the loop."""
    seen = seen_in([[10.0, 20.0, "a", "answered"]])

    assert longest_stall([(1.0, 0.9, 0.9), (12.0, 0.03, 0.01), (25.0, 0.5, 0.5)], seen) == (30.0, 10.0)


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is twice as slow in one round changes no ratio."""
    ours = [_result(spread_s=2.0), _result(spread_s=8.0), _result(spread_s=4.0)]
    theirs = [_result(spread_s=1.0), _result(spread_s=4.0), _result(spread_s=2.0)]

    assert ratio(ours, theirs, lambda one: one.seen.first_to_last_s) == 2.0
    assert median(ours, lambda one: one.seen.first_to_last_s) == 4.0


def test_a_lost_result_in_one_round_disqualifies_the_row() -> None:
    """Its speed is not shown; how many were right is."""
    found = {
        START: {"bare": [_result()], "sdk": [_result()]},
        _scenario(): {"bare": [_result(), _result(right=9)], "sdk": [_result(), _result()]},
    }

    rows = {
        line.split(" | ")[0]: line for line in tables(found) if "| 10 of 10 |" in line or "| 9 of" in line
    }

    assert "9 of 10 | 1.00 | disqualified" in rows["| bare"]
    assert "disqualified" not in rows["| sdk"]


@pytest.mark.parametrize("scenario", [START, _scenario(watched=True), _scenario(), RESUME])
def test_no_table_shows_a_figure_of_who_lost_or_mixed_up_a_result(scenario: Scenario) -> None:
    """A client that fails at once would be the best in every column."""
    good = {"bare": [_result()], "sdk": [_result()]}
    for bad in (_result(right=9), _result(wrong=1)):
        found = {START: good, scenario: {**good, "hasty": [_result(), bad]}}

        assert "disqualified" in _row(found, "hasty")
        assert not re.search(r"\d", _row(found, "hasty").partition("disqualified")[2])
        assert "disqualified" not in _row(found, "bare")


def test_who_is_disqualified_is_no_measure_of_a_start() -> None:
    """The time of a run without answers is no measure of the time of an answer."""
    found = {START: {"bare": [_result()], "sdk": [_result(right=0, spread_s=0.1)]}}

    assert "| 3.00 | - |" in _row(found, "bare")


def test_a_loop_that_nobody_watched_is_not_one_without_a_stall(tmp_path: Path) -> None:
    """A client without measured stalls in one of several rounds has no figure."""
    found = {_scenario(watched=True): {"bare": [_result(), _result(stall_ms=None), _result()]}}

    with watched(str(tmp_path / "stalls.json")):
        pass

    assert "| not watched | - |" in _row(found, "bare")
    assert not (tmp_path / "stalls.json").exists()


@pytest.mark.parametrize(
    "starts", [{}, {"sdk": [_result(cpu_s=1.2)]}, {"bare": [_result(cpu_s=1.2)], "sdk": [_result(right=9)]}]
)
def test_cpu_is_not_compared_where_a_start_up_is_not_known(starts: Results) -> None:
    """With its start-up, one client would look worse than another, or better."""
    found = {START: starts, _scenario(): {"bare": [_result()], "sdk": [_result()]}}

    assert _row(found, "bare").endswith("| - | 80 | +0 |")


def test_what_was_not_measured_in_turn_says_so() -> None:
    """If the machine was slower then, every client measured today looks better."""
    then, now = _result(session="then", cpu_s=1.0), _result(session="now", cpu_s=1.0)
    for found in (
        {START: {"bare": [now], "sdk": [then]}},
        {START: {"bare": [now], "sdk": [then]}, _scenario(): {"bare": [now], "sdk": [then]}},
    ):
        assert "~" in _row(found, "bare")
        assert "~" not in _row({one: {**rows, "bare": [then]} for one, rows in found.items()}, "bare")


def test_a_disqualified_row_is_no_measure_for_others() -> None:
    """A client that loses half of the images is easily twice as fast."""
    found = {_scenario(): {"bare": [_result(right=5, spread_s=1.0)], "sdk": [_result()]}}

    (row,) = [line for line in tables(found) if line.startswith("| sdk")]

    assert "| 2.00 | - |" in row


def test_the_start_up_is_taken_off_the_cpu_of_an_image() -> None:
    """3 s for ten images and 1.2 s for one are 200 ms for each of the other nine."""
    found = {
        START: {"sdk": [_result(cpu_s=1.2)]},
        _scenario(): {"sdk": [_result(cpu_s=3.0)]},
    }

    (row,) = [line for line in tables(found) if line.startswith("| sdk") and "200.00" in line]

    assert "| 1.00 x |" in row


def test_mishaps_depend_on_the_image_alone_and_end() -> None:
    """The same for every client, about a quarter of the images, and none beyond the second call."""
    images = [f"{number * 2**32 // 1000:08x}" for number in range(1000)]

    first = [mishap_of(image, 1) for image in images]

    assert sum(mishap is not None for mishap in first) == pytest.approx(240, abs=3)
    assert set(first) == {None, *Mishap}
    assert not any(mishap_of(image, 3) for image in images)


def test_a_quota_lets_its_burst_through_and_then_its_rate() -> None:
    """Two at once, one more after half a second."""
    quota = Quota(per_s=2.0, burst=2, since_s=0.0)

    assert [quota.wait_s(0.0), quota.wait_s(0.0), quota.wait_s(0.0)] == [0.0, 0.0, 0.5]
    assert quota.wait_s(0.5) == 0.0


def test_a_command_that_hangs_is_killed_and_says_so(tmp_path: Path) -> None:
    """Its exit code is that of the signal, and its output is in the log."""
    program = "import signal; print('here', flush=True); signal.pause()"

    used = run([sys.executable, "-c", program], {"LANG": "C.UTF-8"}, log=tmp_path / "log", within_s=2.0)

    assert used.code == -9
    assert (tmp_path / "log").read_text() == "here\n"


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """A process of one client that goes on would slow the next one."""
    os.mkfifo(tmp_path / "open")
    reader = os.open(tmp_path / "open", os.O_RDONLY | os.O_NONBLOCK)
    program = f"exec 3>{shlex.quote(str(tmp_path / 'open'))}; sleep 60 & exit 0"

    used = run(["/bin/sh", "-c", program], {"PATH": os.defpath}, log=tmp_path / "log", within_s=20.0)

    assert used.code == 0
    assert select.select([reader], [], [], 10.0)[0], "somebody still holds it open"
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_section_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    """Whether it is the last one or not, and as often as it is written."""
    file = tmp_path / "page.md"
    file.write_text("# Page\n\n## First\n\nkept\n")

    put(file, f"{HEADING}\n\nold\n")
    file.write_text(f"{file.read_text()}\n## After\n\nkept too\n")
    put(file, f"{HEADING}\n\nnew\n")

    assert file.read_text() == f"# Page\n\n## First\n\nkept\n\n{HEADING}\n\nnew\n\n## After\n\nkept too\n"


def test_scenarios_can_be_told_apart() -> None:
    """By name, on the command line and in the raw figures."""
    names = [scenario.name for scenario in (*SCENARIOS, RESUME)]

    assert len(set(names)) == len(names)
    assert json.dumps([scenario.meets.document() for scenario in SCENARIOS])


def test_figures_are_kept_and_only_replaced_by_newer_ones(tmp_path: Path) -> None:
    """One client can be measured again without losing the others."""
    file, scenario = tmp_path / "figures.json", SCENARIOS[1]

    figures.save(file, {scenario: {"bare": [_result()], "sdk": [_result()]}})
    again = figures.merged(figures.load(file), {START: {}, scenario: {"sdk": [_result(right=3)]}})

    assert list(again) == [START, scenario]
    assert again[scenario] == {"bare": [_result()], "sdk": [_result(right=3)]}
    assert figures.load(tmp_path / "missing.json") == {}


def test_a_loop_that_works_for_long_is_seen_and_one_that_waits_is_not(tmp_path: Path) -> None:
    """A stall has its length and its CPU; time in which the loop waits for something is none."""

    async def work() -> None:
        await asyncio.to_thread(_burn, 0.03)
        _burn(0.02)

    with watched(str(tmp_path / "stalls.json")):
        asyncio.run(work())

    stalls = json.loads((tmp_path / "stalls.json").read_text())
    assert [stall for stall in stalls if stall[2] >= 0.02]
    assert not [stall for stall in stalls if stall[2] >= 0.03]


def _burn(cpu_s: float) -> None:
    """Take so much CPU in this thread."""
    until_s = thread_time() + cpu_s
    while thread_time() < until_s:
        pass
