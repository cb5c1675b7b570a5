"""Rules of the real program with a Python that lacks something: one sentence, whose command works."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree_rules import PURPOSE
from tests.support.cli import environment
from tests.support.cli_cases import make_images
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the program, in a folder whose name needs quotes, without a Python of its own."""
    folder = tmp_path / "the program"
    folder.mkdir()
    for one in (*ROOT.glob("*.py"), ROOT / "requirements.txt", ROOT / "pyproject.toml"):
        shutil.copy(one, folder)
    for package in PURPOSE:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run_bare(
    checkout: Path, *arguments: str, path: str | None = None, key: str | None = "a-key"
) -> subprocess.CompletedProcess[str]:
    """Run the program with a Python that sees no installed packages but those at ``path``."""
    extra = {"PYTHONPATH": path} if path else {}
    return subprocess.run(
        [sys.executable, "-S", str(checkout / "main.py"), *arguments],
        env=environment(extra, key=key),
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def typed_command(done: subprocess.CompletedProcess[str]) -> str:
    """Check that one sentence was said and return its command."""
    (sentence,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "bug" not in sentence
    assert done.stdout == ""
    return sentence.partition("; type: ")[2]


@pytest.mark.parametrize("key", ["a-key", None])
@pytest.mark.parametrize("prompt", ["Describe this image", 'What\'s "that"?'])
def test_the_first_command_of_all(checkout: Path, prompt: str, key: str | None) -> None:
    """With the packages in ``.venv`` the sentence has the very command with that Python, and it works."""
    make_images(checkout.parent / "photos", 2)
    (checkout / ".venv").symlink_to(sys.prefix)
    arguments = ["--input-dir", "photos", "--prompt", prompt, "--output-dir", "out", "--dry-run"]

    command = typed_command(run_bare(checkout, *arguments, key=key))
    assert not (checkout.parent / "out").exists()
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(),
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (checkout.parent / "out").is_dir()


def test_without_any_environment(checkout: Path) -> None:
    """Elsewhere the command makes ``.venv``, installs what requirements.txt says, and starts the program."""
    (checkout.parent / "photos").mkdir()
    arguments = [
        "--input-dir",
        "photos",
        "--prompt",
        "Describe",
        "--dry-run",
        "--ping",
        "https://hc.invalid/secret",
    ]

    command = typed_command(run_bare(checkout, *arguments))

    make, install, start = (shlex.split(part) for part in command.split(" && "))
    own = str(checkout / ".venv" / "bin" / "python")
    assert make[1:] == ["-m", "venv", "--clear", str(checkout / ".venv")]
    assert install == [own, "-m", "pip", "install", "-r", str(checkout / "requirements.txt")]
    assert start == [own, str(checkout / "main.py"), *arguments[:5]]


def test_a_package_that_is_broken(checkout: Path) -> None:
    """A package that is there and cannot be loaded is named, with the reason."""
    make_images(checkout.parent / "photos", 1)
    site = checkout.parent / "site"
    site.mkdir()
    for folder in filter(Path.is_dir, map(Path, sys.path)):
        if folder.name == "site-packages":
            for one in folder.iterdir():
                (site / one.name).symlink_to(one)
    (site / "PIL").unlink()
    (site / "PIL").mkdir()
    broken = 'raise ImportError("libjpeg.so.62: cannot open shared object file", name="PIL._imaging")'
    (site / "PIL" / "__init__.py").write_text(broken)

    done = run_bare(checkout, "--input-dir", "photos", "--prompt", "Describe", "--dry-run", path=str(site))

    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "cannot use the package pillow " in last
    assert "libjpeg.so.62" in last
    assert "bug" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_needs_no_package(checkout: Path, arguments: list[str]) -> None:
    """What can be said without packages is said."""
    done = run_bare(checkout, *arguments)

    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.9", "3.10"])
def test_a_python_that_is_too_old(checkout: Path, version: str) -> None:
    """An old Python gets the sentence, with a command for a newer one."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip(f"there is no Python {version} here")
    (checkout / ".venv").symlink_to(sys.prefix)

    done = subprocess.run(
        [python, str(checkout / "main.py"), "--version"], capture_output=True, text=True, check=False
    )

    assert f"is too old ({version}), and the program needs Python 3.11 or newer" in done.stderr
    assert shlex.split(typed_command(done))[-1] == "--version"
