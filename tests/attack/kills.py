"""Kills: SIGKILL at random instants and at crash points, in every mode, until the work is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.attack.arena import KILLED, PROMPT, Arena
from tests.attack.payments import Payments
from tests.attack.tally import Harm
from tests.crash.checks import check_any_instant, check_archive, check_finished, find_proven
from tests.crash.launched import NO_FAULT
from tests.crash.launcher import Fault as Crash
from tests.crash.points import PICTURE_MODEL, TEXT_MODEL
from tests.emulator import Emulator, Fault, FaultPlan
from tests.support.cli import Finished
from tests.support.cli_cases import make_images

_LATENCY_S = (0.01, 0.08)
_MAX_KILLS = 2
_RUN_S = 0.5
"""Rough duration of a run without a kill."""
_POINTS = 260
"""Rough number of changes of files in a run without a kill."""
_CAP = 3
_MAX_STARTS = 30
OTHER_PROMPT = "list the colours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to run, which is killed in the middle."""

    name: str
    flags: Sequence[str] = ()
    model: str = TEXT_MODEL
    faults: Sequence[Fault] = ()
    """What the first calls of every second image meet, before it is answered."""
    goes_on_after: Sequence[int] = ()
    """Exit codes after which the same command is given again."""
    prompts: Sequence[str] = (PROMPT,)
    """Given one after another, and then once more."""
    first: Sequence[Sequence[str]] = ()
    """Flags of runs that come before, and are not killed."""

    @property
    def packs(self) -> bool:
        """Whether it makes an archive."""
        return "--archive-format" in self.flags


_TWICE_EMPTY = (Fault.STOP_NO_PARTS, Fault.MAX_TOKENS_EMPTY)
MODES = (
    Mode(name="text"),
    Mode(name="pictures", model=PICTURE_MODEL),
    Mode(name="prompt repair", flags=["--enable-prompt-optimization"], faults=_TWICE_EMPTY),
    Mode(name="archive", flags=["--archive-format", "zip"]),
    Mode(name="cap", flags=["--max-requests", str(_CAP)], goes_on_after=[8]),
    Mode(name="dry run", flags=["--dry-run"]),
    Mode(name="retry failed", flags=["--retry-failed"], faults=[Fault.PROHIBITED_CONTENT], first=[[]]),
    Mode(name="two prompts", prompts=(PROMPT, OTHER_PROMPT)),
)


async def play(arena: Arena) -> None:
    """Play one batch in the mode of its seed."""
    mode = MODES[arena.seed % len(MODES)]
    arena.tally.what[mode.name] += 1
    hashes = make_images(arena.photos, arena.random.randint(3, 7))
    plan = FaultPlan(per_image={sha256: list(mode.faults) for sha256 in list(hashes.values())[::2]})
    async with arena.emulator(plan=plan, latency_s=_LATENCY_S) as emulator:
        await _Batch(arena, mode, emulator, hashes).play()


class _Batch:
    def __init__(self, arena: Arena, mode: Mode, emulator: Emulator, hashes: Mapping[str, str]) -> None:
        self._arena, self._mode, self._emulator, self._hashes = arena, mode, emulator, hashes
        self._payments = Payments(emulator, arena.output)
        self._concurrent = arena.random.randint(2, 4)
        self._kills = 0

    async def play(self) -> None:
        """Run, kill, run again; then check."""
        if "--dry-run" in self._mode.flags:
            return await self._play_dry()
        for flags in self._mode.first:
            await self._start(*flags)
        for prompt in self._mode.prompts:
            await self._until_done(*self._mode.flags, prompt=prompt)
        calls = len(self._emulator.calls)
        for prompt in self._mode.prompts:  # going back costs nothing
            done = await self._start(*self._mode.flags, prompt=prompt)
            self._note_if_not(done, 0)
        bought = len(self._emulator.calls) - calls
        self._arena.tally.note_if(bought, Harm.DOUBLED, f"{bought} calls when all was answered")
        self._check_end()
        return None

    async def _play_dry(self) -> None:
        """Kill a real run, then dry runs beside it; then finish the real one."""
        await self._killed()
        calls, answers = len(self._emulator.calls), find_proven(self._arena.output)
        await self._until_done(*self._mode.flags)
        self._arena.tally.note_if(len(self._emulator.calls) > calls, Harm.DOUBLED, "a dry run made calls")
        gone = answers - find_proven(self._arena.output)
        self._arena.tally.note_if(gone, Harm.LOST, f"a dry run removed the answers to {gone}")
        await self._until_done()
        self._check_end()

    async def _until_done(self, *flags: str, prompt: str = PROMPT) -> None:
        for number in range(_MAX_STARTS):
            if number < self._arena.random.randint(1, _MAX_KILLS):
                done = await self._killed(*flags, prompt=prompt)
            else:
                done = await self._start(*flags, prompt=prompt)
            if done.code == KILLED or done.code in self._mode.goes_on_after:
                continue
            return self._note_if_not(done, 0)
        self._arena.tally.note(Harm.LEFT_OVER, f"not done after {_MAX_STARTS} starts")
        return None

    async def _killed(self, *flags: str, prompt: str = PROMPT) -> Finished:
        """Run, and kill at a random instant, or at a random change of a file."""
        draw = self._arena.random
        if draw.random() < 0.5:
            return await self._start(*flags, prompt=prompt, kill_after_s=draw.uniform(0.05, _RUN_S))
        crash = Crash(act="kill", nth=draw.randint(1, _POINTS))
        return await self._start(*flags, prompt=prompt, crash=crash)

    async def _start(
        self, *flags: str, prompt: str = PROMPT, crash: Crash = NO_FAULT, kill_after_s: float = 0.0
    ) -> Finished:
        arena, calls = self._arena, len(self._emulator.calls)
        more = ["--model", self._mode.model, "--max-concurrent", str(self._concurrent), *flags]
        done = await arena.run(
            *arena.arguments(self._emulator.base_url, *more, prompt=prompt),
            fault=crash,
            kill_after_s=kill_after_s,
        )
        if done.code == KILLED:
            self._kills += 1
            arena.tally.what["`kill -9`"] += 1
        spent = len(self._emulator.calls) - calls
        is_over = "--max-requests" in flags and spent > _CAP
        arena.tally.note_if(is_over, Harm.DOUBLED, f"{spent} calls with --max-requests {_CAP}")
        check_any_instant(arena.output)
        self._payments.record_proven()
        return done

    def _note_if_not(self, done: Finished, code: int) -> None:
        self._arena.tally.note_if(
            done.code != code, Harm.WRONG, f"exit code {done.code}, not {code}: {done.stderr[-500:]}"
        )

    def _check_end(self) -> None:
        self._payments.note_harms(self._arena.tally, may_repeat=self._kills * self._concurrent)
        check_finished(self._arena.output, self._hashes)
        if self._mode.packs:
            check_archive(self._arena.output)
