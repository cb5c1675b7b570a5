"""Rules of utils/threads.py: refused threads are no failure, and abandoned work holds up nothing."""

import subprocess
import sys
import threading

from tests.support.paths import ROOT
from utils.threads import FrugalThreads, is_work_abandoned

_FEW_THREADS = """
import resource, threading
from utils.threads import FrugalThreads

threading.stack_size(256 << 20)
with open("/proc/self/status") as status:
    in_use = next(int(row.split()[1]) << 10 for row in status if row.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (in_use + (700 << 20), resource.RLIM_INFINITY))
release = threading.Event()
pool = FrugalThreads(8)
first = [pool.submit(release.wait) for _ in range(8)]
print(pool.thread_count < 8)
release.set()
print([one.result() for one in first] == [True] * 8)
"""


def test_work_is_done_by_fewer_threads_if_the_system_refuses_more() -> None:
    """With no room for another thread's stack the work waits for those there are."""
    done = subprocess.run(
        [sys.executable, "-c", _FEW_THREADS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.returncode) == ("True\nTrue\n", 0), done.stderr


def test_abandoned_work_is_known_until_it_ends() -> None:
    """What has not begun is dropped; what runs is known, so that the process need not wait for it."""
    release, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait()

    idle, busy = FrugalThreads(1), FrugalThreads(1)
    idle.submit(int).result()
    running, waiting = busy.submit(work), busy.submit(work)
    begun.wait()
    idle.abandon()
    busy.abandon()

    assert (idle.is_busy(), busy.is_busy(), is_work_abandoned()) == (False, True, True)
    assert waiting.cancelled()
    release.set()
    running.result()
    busy.shutdown()
    assert not is_work_abandoned()


def test_a_pool_that_cannot_have_its_first_thread_says_so() -> None:
    """With no room for any stack ``start`` raises at once, where the standard library's thread may hang."""
    tried = "try:\n    pool.start()\nexcept Exception as error:\n    print(type(error).__name__)\n"
    code = _FEW_THREADS.replace("700 << 20", "100 << 20").partition("first =")[0] + tried
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.stdout, done.returncode) == ("NoThreadError\n", 0), done.stderr


def test_threads_end_with_their_pool() -> None:
    """A pool that is forgotten leaves no thread behind, and its work is done before."""
    before = threading.active_count()
    done = [FrugalThreads(1).submit(threading.get_native_id).result(timeout=10) for _ in range(20)]

    assert len(done) == 20
    assert threading.active_count() <= before + 20
