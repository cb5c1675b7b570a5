"""Wrong settings: values that no option takes, from flags, the environment, ``.env`` and TOML files."""

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from settings.option import Option
from settings.options import OPTIONS
from settings.value_spec import ValueType
from tests.attack.arena import Arena
from tests.attack.tally import Harm
from tests.crash.surroundings import Surroundings
from tests.support.cli_cases import make_images

if TYPE_CHECKING:
    from pathlib import Path

CASES = 60
"""In a batch."""
_USAGE = 2
_ENOUGH_SENTENCES = 500
_GARBAGE = (
    "\u202e",
    "\U0001f4a9",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "1,5",
    "1 2",
    "\u0661\u0662",
    "--",
    "x" * 3_000,
)
_WRONG_MODELS = ("a b", "../x", "/x", "a/", "mod\u00e8le", "x?y=1", "a:b", "a\nb", "-x", "x" * 300 + "?")
_WRONG_PINGS = ("ftp://x", "http://", "x", "//x", "http:///path", "http://h:99999/", "javascript:alert(1)")
_WRONG_TEXTS: Mapping[str, Sequence[str]] = {
    "model": _WRONG_MODELS,
    "optimizer_model": _WRONG_MODELS,
    "ping_url": _WRONG_PINGS,
    "api_base_url": (*_WRONG_PINGS, "http://u:p@h/", "http://h/?q=1", "http://h/#f"),
    "fail_on": ("0", "-1", "101%", "some", "1.5", "%", "any,none"),
    "only": ("nothing", "blocked,nope", ",", "timeout;blocked", "\u202e"),
}
_WRONG_KEYS = ("with blank in it", "k\u00e4y-of-thirty-characters", "tab\tin it", "\U0001f4a9" * 9)
_TOML = (
    "[", "[[edit]]", "[[edit]]\nname = 5", "edit = 3", "[[edit]]\nname = 'a b'\ntemplate='{prompt}'",
    "a = 1" * 3, "\ufffd = [", "[[edit]]\nname='x'\nserves=['nothing']\ntemplate='{prompt}'",
    "[[edit]]\nname='x'\nserves=['blocked']\ntemplate='{'", "a=" + "[" * 3_000, "[edit]\n",
    "[[edit]]\nunknown=1\nname='x'",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One wrong value, and where it is set."""

    option: Option
    value: str
    origin: str
    """``flag``, ``environment``, ``.env`` or ``file``."""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.option.name} = {self.value[:60]!r} ({self.origin})"


async def play(arena: Arena) -> None:
    """Give one wrong value after another: exit code 2, one sentence, no traceback, nothing made."""
    make_images(arena.photos, 1)
    for _ in range(CASES):
        arena.tally.cases += 1
        await _try(arena, _draw(arena.random))


async def _try(arena: Arena, setting: Setting) -> None:
    flags, env = _place(arena, setting)
    is_of_key = setting.option.spec.type is ValueType.SECRET  # which a dry run does not look at
    arguments: list[str | Path] = ["--input-dir", arena.photos, "--prompt", "x", "--output-dir", arena.output]
    arguments += [] if is_of_key else ["--dry-run"]
    done = await arena.run(*arguments, *flags, surroundings=Surroundings(env=env))
    (arena.folder / "cwd" / ".env").unlink(missing_ok=True)
    said = done.stderr.strip().splitlines()
    arena.tally.note_if(
        done.code != _USAGE, Harm.WRONG, f"{setting}: exit code {done.code}: {done.stderr[-200:]}"
    )
    arena.tally.note_if(len(said) != 1, Harm.WRONG, f"{setting}: {len(said)} lines: {done.stderr[:300]}")
    arena.tally.note_if(
        len(done.stderr) > _ENOUGH_SENTENCES, Harm.WRONG, f"{setting}: {len(done.stderr)} characters"
    )
    arena.tally.note_if(arena.output.exists(), Harm.OUTSIDE, f"{setting}: made the output directory")
    shutil.rmtree(arena.output, ignore_errors=True)


def _place(arena: Arena, setting: Setting) -> tuple[Sequence[str], dict[str, str]]:
    """Put the value where it is set; return the flags and the environment."""
    option, env = setting.option, arena.env()
    if option.spec.type is ValueType.SECRET:  # the one that is set right would go before
        del env["GEMINI_API_KEY"]
    if setting.origin == "file":
        path = arena.folder / "edits.toml"
        path.write_text(setting.value, encoding="utf-8")
        return [f"--prompt-edits={path}", "--enable-prompt-optimization"], env
    if setting.origin == "flag":
        return [f"{option.flag}={setting.value}"], env
    if setting.origin == "environment":
        return [], {**env, str(option.variable): setting.value}
    quoted = setting.value.replace("\\", "\\\\").replace('"', '\\"')
    (arena.folder / "cwd" / ".env").write_text(f'{option.variable}="{quoted}"\n', encoding="utf-8")
    return [], env


def _draw(draw: random.Random) -> Setting:
    option = draw.choice([option for option in OPTIONS if _can_be_wrong(option)])
    if option.name == "prompt_edits":
        return Setting(option=option, value=draw.choice(_TOML), origin="file")
    # A flag that turns something on takes no value.
    is_flag_of_words = option.flag is not None and option.spec.type is not ValueType.BOOLEAN
    origins = [*(["flag"] if is_flag_of_words else []), *(["environment", ".env"] if option.variable else [])]
    return Setting(option=option, value=_draw_value(option, draw), origin=draw.choice(origins))


def _can_be_wrong(option: Option) -> bool:
    """Return whether there are values that the option never takes, whatever lies on the disk."""
    if option.name in {*_WRONG_TEXTS, "prompt_edits"}:
        return True
    if option.name == "dry_run":  # its flag, which is given, goes before
        return False
    is_settable = option.variable or option.spec.type is not ValueType.BOOLEAN
    return bool(is_settable) and option.spec.type not in {ValueType.TEXT, ValueType.PATH}


def _draw_value(option: Option, draw: random.Random) -> str:
    """Return a value that the option never takes."""
    spec = option.spec
    if option.name in _WRONG_TEXTS:
        return draw.choice(_WRONG_TEXTS[option.name])
    if spec.type is ValueType.SECRET:
        return draw.choice(_WRONG_KEYS)
    if spec.low is not None and spec.high is not None and draw.random() < 0.5:
        beyond = [spec.high * 10 + 1, spec.high + 1, -1, spec.low - 1, -spec.high, 10**30]
        return f"{draw.choice([number for number in beyond if not spec.low <= number <= spec.high]):.0f}"
    return draw.choice([*_GARBAGE, "word" + "".join(draw.choices("abcxyz!?#%", k=5))])
