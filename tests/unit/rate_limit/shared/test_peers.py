"""Rules of rate_limit/shared/peers.py: runs on one key know of each other and share the limit."""

import asyncio
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from errors import ApiFailure
from rate_limit.limiter import RateLimiter
from rate_limit.shared import QuotaMemory, Scope, sync_with_peers
from rate_limit.types import LearnedLimit, LearnedLimits, PeerStatus
from tests.simulation.rate_limit.scenarios import Kind, Scenario, loop_clock
from tests.simulation.rate_limit.server import Server
from tests.support.fakes import START
from tests.support.paths import ROOT
from tests.support.shared_state_runs import BUSY, FOUND, RunSequence
from tests.support.virtual_loop import run_virtual

SCOPE = Scope(fingerprint="0123456789abcdef", model="gemini-3.6-flash")


@pytest.fixture
def runs(tmp_path: Path) -> RunSequence:
    """No run yet."""
    return RunSequence(tmp_path)


def test_runs_hear_how_the_others_stand(runs: RunSequence) -> None:
    """Each gets the status of all others on its key and model, and not its own."""
    first, second, stranger = runs.new_memory(), runs.new_memory(), runs.new_memory(key="another")
    quiet = PeerStatus(requests_60s=2.0, tokens_60s=3_000.0, demand_rpm=2.2, limits=FOUND)

    assert first.exchange(BUSY, 0.0) == ()
    assert second.exchange(quiet, 0.0) == (BUSY,)
    assert first.exchange(BUSY, 1.0) == (quiet,)
    assert stranger.exchange(BUSY, 0.0) == ()


def test_a_pause_means_the_same_moment_on_every_clock(runs: RunSequence) -> None:
    """Loops count from different zeros; what is shared is the moment."""
    first, second = runs.new_memory(), runs.new_memory()
    first.exchange(replace(BUSY, paused_until_s=1_000.0 + 30.0), 1_000.0)
    runs.advance_clock(seconds=4)

    (other,) = second.exchange(BUSY, 5.0)

    assert other.paused_until_s == pytest.approx(5.0 + 26.0, abs=1e-3)


def test_a_pause_that_is_over_is_not_heard_of(runs: RunSequence) -> None:
    """And no pause lasts longer than an hour, whatever a row says."""
    first, second, third = runs.new_memory(), runs.new_memory(), runs.new_memory()
    first.exchange(replace(BUSY, paused_until_s=3.0), 0.0)
    second.exchange(replace(BUSY, paused_until_s=math.inf), 0.0)
    runs.advance_clock(seconds=3)

    assert [one.paused_until_s for one in third.exchange(BUSY, 0.0)] == [None, 3_600.0]


def test_who_is_silent_for_ten_seconds_wants_nothing(runs: RunSequence) -> None:
    """What it sent in its last minute fades; after that minute nothing is left of it."""
    killed, run = runs.new_memory(), runs.new_memory()
    killed.exchange(BUSY, 0.0)
    heard = []
    for seconds in (10, 20, 30, 1):
        runs.advance_clock(seconds=seconds)
        heard.append([(one.demand_rpm, one.requests_60s) for one in run.exchange(BUSY, 0.0)])

    assert heard == [[(math.inf, 150.0)], [(0.0, 75.0)], [(0.0, 0.0)], []]


def test_who_leaves_wants_nothing_at_once(runs: RunSequence) -> None:
    """Its last requests still count against the quota."""
    leaving, run = runs.new_memory(), runs.new_memory()
    leaving.exchange(BUSY, 0.0)
    leaving.deregister()

    assert run.exchange(BUSY, 0.0) == (replace(BUSY, demand_rpm=0.0),)


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(hours=2)])
def test_a_jump_of_the_wall_clock_heals_within_a_turn(runs: RunSequence, jump: timedelta) -> None:
    """Rows from before it are ignored; their runs write them anew."""
    first, second, killed = runs.new_memory(), runs.new_memory(), runs.new_memory()
    for run in (killed, first, second):
        run.exchange(BUSY, 0.0)
    runs.now += jump

    assert first.exchange(BUSY, 1.0) == ()
    assert second.exchange(BUSY, 1.0) == (BUSY,)
    assert first.exchange(BUSY, 2.0) == (BUSY,)


def test_a_file_that_vanishes_is_made_again(runs: RunSequence) -> None:
    """Runs that lost it meet again in the next one."""
    first, second = runs.new_memory(), runs.new_memory()
    first.exchange(BUSY, 0.0)
    runs.path.unlink()

    first.exchange(BUSY, 1.0)

    assert second.exchange(BUSY, 1.0) == (BUSY,)


def test_while_the_memory_fails_the_last_word_holds_for_ten_seconds(runs: RunSequence) -> None:
    """A turn that is left out must not look like being alone."""
    first, second = runs.new_memory(), runs.new_memory()
    second.exchange(BUSY, 0.0)
    first.exchange(BUSY, 100.0)
    runs.path.unlink()
    runs.path.mkdir()

    assert first.exchange(BUSY, 109.0) == (BUSY,)
    assert first.exchange(BUSY, 111.0) == ()


SPEAKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from rate_limit.types import PeerStatus
from rate_limit.shared import QuotaMemory, Scope

scope = Scope(fingerprint="0123456789abcdef", model="gemini-3.6-flash")
memory = QuotaMemory(Path(sys.argv[1]), scope=scope, run_id="run 1", utcnow=lambda: datetime.now(UTC))
while True:
    memory.exchange(PeerStatus(demand_rpm=float("inf")), 0.0)
    print(datetime.now(UTC).isoformat(), flush=True)
"""


@pytest.fixture
def speaker(runs: RunSequence) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes its row as fast as it can."""
    command = [sys.executable, "-c", SPEAKER, str(runs.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_process_is_gone_after_ten_seconds(
    runs: RunSequence, speaker: subprocess.Popen[str]
) -> None:
    """Killed amid its writing, it leaves a sound file and a row that ends by itself."""
    assert speaker.stdout is not None
    for _ in range(20):
        spoke = speaker.stdout.readline()
    speaker.kill()
    speaker.wait()
    runs.now = datetime.fromisoformat(spoke.strip())
    run = runs.new_memory()  # with the name of the other run: only the process ids differ

    alive = [one.demand_rpm for one in run.exchange(BUSY, 0.0)]
    runs.advance_clock(seconds=11)
    gone = [one.demand_rpm for one in run.exchange(BUSY, 11.0)]

    assert (alive, gone) == ([math.inf], [0.0])


class RecordingLimiter:
    """A limiter that records the status of its peers, and when it came."""

    def __init__(self, status: PeerStatus = BUSY) -> None:
        self.status = status
        self.received: list[tuple[float, tuple[PeerStatus, ...]]] = []

    def limits_to_save(self) -> LearnedLimits:
        """Return what the test chose."""
        return FOUND

    def own_status(self, now_s: float) -> PeerStatus:  # noqa: ARG002
        """Return what the test chose."""
        return self.status

    def update_peers(self, now_s: float, peers: object) -> None:
        """Record it."""
        assert isinstance(peers, tuple)
        self.received.append((now_s, peers))


def new_memory_in(folder: Path, run_id: str) -> QuotaMemory:
    """Return the memory of a run whose wall clock follows the virtual loop."""
    loop = asyncio.get_running_loop()
    return QuotaMemory(
        folder / "pacing.db",
        scope=SCOPE,
        run_id=run_id,
        utcnow=lambda: START + timedelta(seconds=loop.time()),
    )


def test_news_are_heard_within_two_seconds(tmp_path: Path) -> None:
    """A pause that one run met right after its turn reaches the other in the second turn from then."""

    async def scenario() -> float:
        teller, hearer = RecordingLimiter(), RecordingLimiter()
        tasks = []
        for number, limiter in enumerate((hearer, teller)):
            tasks.append(asyncio.create_task(sync_with_peers(limiter, new_memory_in(tmp_path, str(number)))))
            await asyncio.sleep(0.3)
        await asyncio.sleep(10.0)
        teller.status, met_s = replace(BUSY, paused_until_s=100.0), loop_clock()
        await asyncio.sleep(5.0)
        for task in tasks:
            task.cancel()
        return next(at_s for at_s, others in hearer.received if others and others[0].paused_until_s) - met_s

    assert run_virtual(scenario()) <= 2.0


def test_the_end_keeps_what_was_learned_and_signs_off(tmp_path: Path) -> None:
    """However the task ends; and so does every half minute, for the case of a kill."""

    async def scenario() -> tuple[LearnedLimits | None, LearnedLimits | None, list[float]]:
        task = asyncio.create_task(sync_with_peers(RecordingLimiter(), new_memory_in(tmp_path, "1")))
        await asyncio.sleep(35.0)
        before = new_memory_in(tmp_path, "2").load()
        (tmp_path / "pacing.db").unlink()
        await asyncio.sleep(5.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        other = new_memory_in(tmp_path, "2")
        return before, other.load(), [one.demand_rpm for one in other.exchange(BUSY, 0.0)]

    assert run_virtual(scenario()) == (FOUND, FOUND, [0.0])


class Client:
    """One run with endless images, on a service that all runs of a test share."""

    def __init__(self, server: Server, memory: QuotaMemory) -> None:
        self._server = server
        self._memory = memory
        self.accepted_at_s: list[float] = []
        self.refused_at_s: list[float] = []
        self.limiter: RateLimiter

    async def run(self, seconds: float) -> None:
        """Work for so long."""
        learned = await asyncio.to_thread(self._memory.load)
        self.limiter = RateLimiter(
            max_concurrent=200, sleep=asyncio.sleep, wait_for=asyncio.Event.wait, learned=learned
        )
        tasks = [asyncio.create_task(self._work()) for _ in range(220)]
        tasks.append(asyncio.create_task(sync_with_peers(self.limiter, self._memory)))
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _work(self) -> None:
        while True:
            permit = await self.limiter.acquire(tokens=1_500)
            begun_s = loop_clock()
            permit.on_sent()
            try:
                tokens = await self._server.call(1_500)
            except ApiFailure as failure:
                self.refused_at_s.append(begun_s)
                permit.on_failure(failure, seconds=loop_clock() - begun_s)
            else:
                self.accepted_at_s.append(begun_s)
                permit.on_success(input_tokens=tokens, seconds=loop_clock() - begun_s)


def count_between(instants_s: list[float], begin_s: float, end_s: float) -> int:
    """Return how many instants lie in the stretch."""
    return sum(begin_s <= at_s < end_s for at_s in instants_s)


@pytest.mark.parametrize(
    ("kind", "rpm", "least_share"),
    [(Kind.FIXED, 300, 0.93), (Kind.SLIDING, 300, 0.93), (Kind.BUCKET, 300, 0.93), (Kind.SLIDING, 60, 0.9)],
)
def test_two_runs_keep_to_the_limit_together(
    tmp_path: Path, kind: Kind, rpm: int, least_share: float
) -> None:
    """They begin at once without a known limit: in ten minutes they use it, and share it fairly."""

    async def scenario() -> tuple[float, float, float]:
        server = Server(Scenario(name="", rpm=rpm, kind=kind, fault_share=0.0), random.Random(3))
        clients = [Client(server, new_memory_in(tmp_path, str(number))) for number in range(2)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run(600.0))
        accepted, refused = len(server.accepted_at_s), len(server.refused_at_s)
        least = min(len(client.accepted_at_s) for client in clients)
        return accepted / (10 * rpm), refused / (accepted + refused), least / accepted

    share, refused, least = run_virtual(scenario())

    assert share >= least_share
    assert refused <= 0.03
    assert least >= 0.4


def test_when_one_run_ends_the_other_takes_the_whole(tmp_path: Path) -> None:
    """Half a minute later all of the limit is used again."""

    async def scenario() -> tuple[float, float]:
        server = Server(Scenario(name="", rpm=300, fault_share=0.0), random.Random(5))
        first, second = (Client(server, new_memory_in(tmp_path, str(number))) for number in range(2))
        async with asyncio.TaskGroup() as group:
            group.create_task(first.run(300.0))
            group.create_task(second.run(510.0))
        beside = count_between(second.accepted_at_s, 180.0, 300.0) / 2
        alone = count_between(second.accepted_at_s, 330.0, 450.0) / 2
        return beside, alone

    beside, alone = run_virtual(scenario())

    assert beside <= 180.0
    assert alone >= 0.93 * 300


def test_the_next_run_begins_where_this_one_ended(tmp_path: Path) -> None:
    """Its first minute is as full as any, and almost no call is rejected."""

    async def scenario() -> tuple[LearnedLimit | None, int, int]:
        server = Server(Scenario(name="", rpm=300, fault_share=0.0), random.Random(9))
        await Client(server, new_memory_in(tmp_path, "1")).run(600.0)
        await asyncio.sleep(3_600.0)
        second, begun_s = Client(server, new_memory_in(tmp_path, "2")), loop_clock()
        await second.run(120.0)
        learned = second.limiter.limits_to_save().requests
        return learned, count_between(second.accepted_at_s, begun_s, begun_s + 60.0), len(second.refused_at_s)

    learned, first_minute, refused = run_virtual(scenario())

    assert learned is not None
    assert learned.confirmed
    assert first_minute >= 0.95 * 300
    assert refused <= 4
