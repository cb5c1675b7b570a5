"""The wheel, installed without dependencies into an empty environment, starts by each of its names."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from config import VERSION
from tests.support.cli import environment
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e

# What a fresh clone does not hold: results, builds, environments, caches.
UNTRACKED = {".git", ".venv", ".env", "build", "output"}
STARTS = {
    "gemini-batch": ["{bin}/gemini-batch"],
    "python -m gemini_batch": ["{bin}/python", "-m", "gemini_batch"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment that holds the wheel and nothing else."""

    wheel: Path
    bin_dir: Path
    package_dir: Path
    cwd: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in an empty directory; return its output."""
        words = [word.format(bin=self.bin_dir) for word in command]
        return subprocess.run(
            words,
            cwd=self.cwd,
            env=environment(key=None),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def list_untracked(folder: str, names: list[str]) -> set[str]:
    """Return which files and folders a fresh clone does not hold."""
    at_root = UNTRACKED if Path(folder) == ROOT else set[str]()
    return {
        name for name in names if name in at_root or name.endswith(("__pycache__", "_cache", ".egg-info"))
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel from a clean copy of the checkout, and install it without its dependencies."""
    folder = tmp_path_factory.mktemp("install")
    shutil.copytree(ROOT, folder / "checkout", ignore=list_untracked)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    wheels = ["--no-build-isolation", "--wheel-dir", str(folder), str(folder / "checkout")]
    subprocess.run([*pip, "wheel", *offline, *wheels], check=True)
    (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    subprocess.run([*pip, "--python", str(venv), "install", *offline, str(wheel)], check=True)
    (package_dir,) = venv.glob("lib/python*/site-packages/gemini_batch")
    (folder / "empty").mkdir()
    return Installed(wheel=wheel, bin_dir=venv / "bin", package_dir=package_dir, cwd=folder / "empty")


def test_the_wheel_holds_one_folder(installed: Installed) -> None:
    """Nothing of ours can hide, or be hidden by, a module of another package."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()

    assert {name.split("/")[0] for name in names} == {
        "gemini_batch",
        f"gemini_batch_processor-{VERSION}.dist-info",
    }
    assert "gemini_batch/prompts/edits.toml" in names
    assert not [name for name in names if "/tests/" in name or "/bench/" in name]


@pytest.mark.parametrize("start", STARTS)
def test_the_installed_program_starts(installed: Installed, start: str) -> None:
    """Both commands tell the version, and ``--help`` names the command that was typed."""
    version = installed.run(*STARTS[start], "--version")
    usage = installed.run(*STARTS[start], "--help")

    assert (version.returncode, version.stdout) == (0, f"gemini-batch-processor {VERSION}\n"), version.stderr
    assert usage.stdout.startswith(f"usage: {start} --input-dir")
    assert f"\n  {start} --status" in usage.stdout


def test_no_name_of_ours_can_be_imported(installed: Installed) -> None:
    """``import config`` elsewhere finds nothing of this program."""
    done = installed.run("{bin}/python", "-c", "import config")

    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'config'" in done.stderr


def test_the_env_file_of_site_packages_is_not_read(installed: Installed) -> None:
    """``.env`` beside ``main.py`` is read in a checkout only."""
    (installed.package_dir / ".env").write_text("GEMINI_API_KEY=beside-the-program\n")
    packages = installed.package_dir.with_name("packages_of_the_tests.pth")
    packages.write_text(f"{sysconfig.get_path('purelib')}\n")  # without them that is what it says first

    done = installed.run("{bin}/gemini-batch", "--input-dir", ".", "--prompt", "Describe this image")
    packages.unlink()

    assert done.returncode == 2, done.stderr
    assert "there is no API key" in done.stderr
