"""Rules of settings/job_file.py: a file that says what flags say, and nothing secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from config import JobText, Settings, load
from errors import UsageError
from settings.job_file import MAX_BYTES, job_key
from settings.options import OPTIONS
from tests.support.sample_images import WHOLE

KEY = {"GEMINI_API_KEY": "AIza-some-key"}

WHOLE_JOB = """
# Nightly captions.
[run]
input-dir = "photos"
prompt = "@ask.txt"
output_dir = "../results"
model = "gemini-3.8-flash"
max-concurrent = 8
timeout = "2m"
rpm = 30.5
max-cost = 2.50
max-requests = 1_000
deadline = 06:30:00
enable-prompt-optimization = true
prompt-keep = ["red", "car"]
include = ["*.jpg", "*.png"]
exclude = "drafts/"
newer-than = "2d"
safety = ["harassment=off"]
reference-image = ["style.png"]
system-instruction = "@how.txt"
temperature = 0
log-level = "verbose"
fail-on = "20%"
log-file = "night.log"
"""

WRONG = {
    "no such file": (None, "--job names a file that cannot be read: '{job}' (No such file or directory)"),
    "no TOML": ("[run\n", "{job} is no TOML: "),
    "no UTF-8": (b"[run]\nprompt = '\xff'\n", "--job names a file that is not UTF-8 text"),
    "deep nesting": ("[run]\nprompt = " + "[" * 5_000, "{job} is no TOML"),
    "much too long": ("#" * (MAX_BYTES + 1), "it is no job file"),
    "an unknown setting": (
        '[run]\nprompt = "x"\nmax-concurent = 3\n',
        "{job}, line 3, column 1: there is no setting 'max-concurent'; did you mean max-concurrent?",
    ),
    "nothing like it": ("[run]\nzzz = 3\n", "{job}, line 2, column 1: there is no setting 'zzz'"),
    "a setting outside of a table": (
        'prompt = "x"\n',
        "{job}, line 1, column 1: there is only the table",
    ),
    "an unknown table": (
        "[run]\n\n[rnu]\n",
        "line 3, column 1: there is only the table [run], not 'rnu'",
    ),
    "the key": ('[run]\n  api-key = "AIza"\n', "{job}, line 2, column 3: the key is a secret"),
    "the key by its variable": ('[run]\nGEMINI_API_KEY = "AIza"\n', "there is no setting"),
    "the ping": (
        '[run]\nping = "https://hc-ping.com/x"\n',
        "the address of the ping is a secret",
    ),
    "a job in a job": ('[run]\njob = "other.toml"\n', "there is no setting 'job'"),
    "a list where there is one": (
        "[run]\nrpm = [1, 2]\n",
        "column 1: rpm must be a number of requests",
    ),
    "a table for a value": (
        "[run]\nmodel = { name = 3 }\n",
        "column 1: model must be a model's name",
    ),
    "an empty list": ("[run]\ninclude = []\n", "include must be a pattern"),
    "a truth for a number": ("[run]\nrpm = true\n", "rpm must be a number of requests"),
    "a number out of bounds": (
        '[run]\ninput-dir = "photos"\nprompt = "x"\nmax-retries = 101\n',
        "{job}, line 4: max-retries must be a whole number from 0 to 100, not '101'",
    ),
    "a prompt that is not there": (
        '[run]\ninput-dir = "photos"\nprompt = "@none.txt"\n',
        "--prompt names a file that cannot be read",
    ),
    "nothing to ask": ('[run]\ninput-dir = "photos"\n', "--prompt must be given"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder with a job, and start the program from another one."""
    job = tmp_path / "jobs"
    (job / "photos").mkdir(parents=True)
    (job / "ask.txt").write_text("Describe the red car.\n", encoding="utf-8")
    (job / "how.txt").write_text("Be brief.", encoding="utf-8")
    (job / "style.png").write_bytes(WHOLE["png"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def load_job(
    text: str | bytes | None, *flags: str, env: Mapping[str, str] | None = None
) -> Settings | JobText:
    """Load the settings of a run by a job file."""
    job = Path("../jobs/nightly.toml")
    if text is not None:
        job.write_bytes(text if isinstance(text, bytes) else text.encode())
    request = load(["--job", str(job), *flags], env=KEY | dict(env or {}), dotenv_paths=[])
    assert isinstance(request, Settings | JobText)
    return request


def run_of(text: str, *flags: str, env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a run."""
    settings = load_job(text, *flags, env=env)
    assert isinstance(settings, Settings)
    return settings


def test_a_job_says_what_flags_say() -> None:
    """Every kind of value, with paths relative to the file."""
    jobs = Path("../jobs").resolve()
    flags = (
        f"--input-dir={jobs}/photos|--prompt=Describe the red car.|--model=gemini-3.8-flash|--timeout=2m|"
        f"--output-dir={jobs}/../results|--max-concurrent=8|--rpm=30.5|--max-cost=2.5|--max-requests=1000|"
        "--deadline=06:30|--enable-prompt-optimization|--prompt-keep=red,car|--include=*.jpg|--include=*.png|"
        f"--exclude=drafts/|--newer-than=2d|--safety=harassment=off|--reference-image={jobs}/style.png|"
        f"--system-instruction=Be brief.|--temperature=0|-v|--fail-on=20%|--log-file={jobs}/night.log"
    ).split("|")
    typed = load(flags, env=KEY, dotenv_paths=[])
    assert isinstance(typed, Settings)

    job = run_of(WHOLE_JOB)

    assert job.fingerprint() == typed.fingerprint()
    different = {name for name in Settings._fields if getattr(job, name) != getattr(typed, name)}
    assert different <= {"job", "repeat_flags", "input_dir", "output_dir", "log_file", "model_options"}
    assert [job.input_dir.resolve(), job.output_dir.resolve()] == [jobs / "photos", jobs.parent / "results"]


@pytest.mark.parametrize(
    ("flags", "env", "expected"),
    [
        (["--max-concurrent", "3"], {"MAX_CONCURRENT_REQUESTS": "4"}, 3),
        ([], {"MAX_CONCURRENT_REQUESTS": "4"}, 8),
    ],
)
def test_flags_go_before_the_job_and_variables_after(
    flags: list[str], env: dict[str, str], expected: int
) -> None:
    """What is typed now counts first; what stands in the file was meant for this job."""
    assert run_of(WHOLE_JOB, *flags, env=env).max_concurrent == expected


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_job_is_refused_in_one_sentence(case: str) -> None:
    """File, line, column, and the nearest right word."""
    text, expected = WRONG[case]

    with pytest.raises(UsageError) as caught:
        load_job(text)

    assert expected.replace("{job}", "../jobs/nightly.toml") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "AIza" not in str(caught.value)


def test_the_printed_job_is_the_same_run() -> None:
    """Settings from flags, a job, variables and defaults; read back, they mean the same."""
    env = {"MAX_WAIT": "2h"}
    settings = run_of(WHOLE_JOB, "--max-retries", "7", env=env)
    printed = load_job(WHOLE_JOB, "--max-retries", "7", "--print-job", env=env)
    assert isinstance(printed, JobText)

    for origin in ("command line", "../jobs/nightly.toml, line 5", "MAX_WAIT in the environment", "default"):
        assert f"# {origin}\n" in printed.text
    assert "AIza" not in printed.text
    again = run_of(printed.text)
    assert again.fingerprint() == settings.fingerprint()
    assert again.public_options() == settings.public_options() | {"job": again.public_options()["job"]}


def test_a_printed_job_names_every_setting() -> None:
    """Those that are not set stand there as remarks, with what holds then."""
    printed = load_job('[run]\ninput-dir = "photos"\nprompt = "Say \\"é\\" # 1\\n2"\n', "--print-job")
    assert isinstance(printed, JobText)

    secret = {"ping_url", "gemini_api_key", "google_api_key", "job"}
    for option in OPTIONS:
        is_there = f"\n{job_key(option)} = " in printed.text or f"\n# {job_key(option)}  (" in printed.text
        assert is_there is (option.name not in secret)
    assert run_of(printed.text).prompt == 'Say "é" # 1\n2'
