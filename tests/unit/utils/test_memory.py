"""Rules of utils/memory.py: the tightest bound counts, wherever the system tells of it."""

import resource
from pathlib import Path

import pytest

from utils.memory import is_shortage, read_free_memory

_MB = 1_000_000
_MEMINFO = "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\nSwapFree: 500000 kB\n"


def write(root: Path, files: dict[str, str]) -> Path:
    """Make a system's files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def cgroup_2(path: str, limit: str, used: int, cached: int) -> dict[str, str]:
    """Return the files of a control group of the second version."""
    folder = f"sys/fs/cgroup{path}"
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 1\ninactive_file {cached - 1}\nactive_file 1\n"
        if cached
        else "anon 1\n",
    }


@pytest.mark.parametrize(
    ("files", "size", "bound"),
    [
        ({"proc/meminfo": _MEMINFO}, 4_500_000 * 1024, "machine"),
        (
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/app.slice/job\n",
                **cgroup_2("/app.slice/job", str(512 * _MB), 200 * _MB, 50 * _MB),
            },
            362 * _MB,
            "limit of the container",
        ),
        (
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/app.slice/job\n",
                **cgroup_2("/app.slice/job", "max", 200 * _MB, 0),
                **cgroup_2("/app.slice", str(300 * _MB), 250 * _MB, 0),
            },
            50 * _MB,
            "limit of the container",
        ),
        (
            # A container that is told the host's path and sees its own group at the top.
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/kubepods/pod1/abc\n",
                **cgroup_2("", str(256 * _MB), 56 * _MB, 0),
            },
            200 * _MB,
            "limit of the container",
        ),
        (
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "5:cpu:/\n4:cpuset,memory:/docker/abc\n",
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{128 * _MB}\n",
                "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{100 * _MB}\n",
                "sys/fs/cgroup/memory/docker/abc/memory.stat": f"total_inactive_file {2 * _MB}\n",
            },
            30 * _MB,
            "limit of the container",
        ),
        (
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
            },
            4_500_000 * 1024,
            "machine",
        ),
        (
            {
                "proc/meminfo": _MEMINFO,
                "proc/self/cgroup": "0::/over\n",
                **cgroup_2("/over", "100", 300, 0),
            },
            0,
            "limit of the container",
        ),
    ],
    ids=["machine", "group", "group above", "container", "first version", "no limit", "over the limit"],
)
def test_the_tightest_bound_counts(tmp_path: Path, files: dict[str, str], size: int, bound: str) -> None:
    """What the machine, each control group and the process may take is compared; caches count as free."""
    free = read_free_memory(write(tmp_path, files))

    assert free is not None
    assert free.size_bytes == size
    assert bound in free.bound


def test_a_system_that_says_nothing_has_no_bound(tmp_path: Path) -> None:
    """Without such files nothing is known, and nothing fails; nonsense in them is nothing."""
    assert read_free_memory(tmp_path) is None
    write(tmp_path, {"proc/meminfo": "MemAvailable: much kB\n", "proc/self/cgroup": "rubbish\n::\n0::/x\n"})
    assert read_free_memory(tmp_path) is None


def test_the_limit_of_the_process_counts(tmp_path: Path) -> None:
    """``ulimit -v`` leaves what is not in use."""
    write(tmp_path, {"proc/self/status": "VmSize:\t 100000 kB\nVmData:\t 50000 kB\n"})
    limits = resource.getrlimit(resource.RLIMIT_AS)
    in_use = sum(
        int(row.split()[1]) * 1024
        for row in Path("/proc/self/status").read_text().splitlines()
        if row.startswith("VmSize")
    )
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 4_000 * _MB, limits[1]))
    try:
        free = read_free_memory(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)

    assert free is not None
    assert (free.size_bytes, free.bound) == (in_use + 4_000 * _MB - 100_000 * 1024, "ulimit -v")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libx.so: failed to map segment from shared object"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [MemoryError()])]), True),
        (ValueError("no"), False),
        (ExceptionGroup("", [ValueError()]), False),
    ],
)
def test_a_shortage_is_told_from_a_bug(error: Exception, *, expected: bool) -> None:
    """Whatever a library makes of a refused page or thread is no bug of the program."""
    wrapped = RuntimeError("while closing")
    wrapped.__context__ = error

    assert is_shortage(error) is expected
    assert is_shortage(wrapped) is expected
