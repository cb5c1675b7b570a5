"""Installation of the peers, each in a virtual environment of its own.

``python -m bench.peers.install [NAME…]`` makes one virtual environment for each below ``.bench-venvs/``,
which hides itself from git.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENVS = ROOT / ".bench-venvs"
_PREFIX, _SUFFIX = "requirements-", ".txt"


def names() -> list[str]:
    """Return the peers that can be installed."""
    files = sorted(Path(__file__).parent.glob(f"{_PREFIX}*{_SUFFIX}"))
    return [file.name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for file in files]


def python_of(name: str) -> Path | None:
    """Return the interpreter of an installed peer; None when it is not there."""
    folder = VENVS / name
    return folder / "bin/python" if (folder / "installed").exists() else None


def install(name: str) -> None:
    """Make the peer's environment, or bring it up to date."""
    folder = VENVS / name
    print(f"{name} ...", file=sys.stderr)
    venv.create(folder, with_pip=True)
    (folder / "installed").unlink(missing_ok=True)
    requirements = Path(__file__).with_name(f"{_PREFIX}{name}{_SUFFIX}")
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    (folder / "installed").touch()


def main(wanted: list[str]) -> int:
    """Install some peers, or all; one that cannot be installed stops no other."""
    VENVS.mkdir(exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n")
    failed = []
    for name in wanted or names():
        try:
            install(name)
        except (OSError, subprocess.CalledProcessError) as error:
            failed.append(name)
            print(f"{name} cannot be installed: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
