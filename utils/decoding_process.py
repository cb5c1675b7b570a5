"""Decoding in a process of its own, which is ended after a while: a thread cannot be.

Only images that may take long go there (``image_effort``), because a start takes 0.3 s. The process gets the
file's bytes and nothing else: neither the environment nor the key. See docs/adr/0015.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from utils import image_formats
from utils.image_formats import UnavailableImage, UnreadableImage
from utils.memory import read_free_memory

_PROGRAM: Final = Path(__file__).with_name("decoding_child.py")
_CPU_S: Final = 30.0
_CPU_S_PER_MEGABYTE: Final = 0.2
_MAX_CPU_S: Final = 300.0
_WALL_FACTOR: Final = 4
"""On a busy machine a process waits for the CPU as long as it has it, or longer."""
_ERRORS: Final = {
    name: getattr(image_formats, name)
    for name in ("UnreadableImage", "UnavailableImage", "NotEnoughMemory", "TooLargeImage", "SystemShortage")
}

_running: "set[subprocess.Popen[bytes]]" = set()


def run_in_process(
    work: str, data: bytes, arguments: dict[str, Any], *, max_cpu_s: float | None = None
) -> tuple[Any, bytes]:
    """Return what ``work`` of ``decoding_child`` gives for a file: a value of JSON, and bytes.

    Args:
        work: the name of the work.
        data: the file.
        arguments: for the work, of JSON.
        max_cpu_s: seconds of work after which the process is ended; None for the bound by the file's size.

    Raises:
        UnreadableImage: as the work does, or it took too long, or it crashed.
        UnavailableImage: no process can be started now.
    """
    cpu_s = max_cpu_s or min(_MAX_CPU_S, _CPU_S + _CPU_S_PER_MEGABYTE * len(data) / 1e6)
    free = read_free_memory()
    head = {"work": work, "path": sys.path, "cpu_s": cpu_s, "memory": free and free.size_bytes, **arguments}
    try:
        process = subprocess.Popen(  # noqa: S603 -- our own program
            [sys.executable, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
    except OSError as exc:
        raise UnavailableImage(
            f"The image may take long to read, and no process can be started for it: {exc.strerror or exc}."
        ) from exc
    reply = _exchange(process, json.dumps(head).encode() + b"\n" + data, cpu_s)
    first, _, rest = reply.partition(b"\n")
    result = json.loads(first)
    if error := _ERRORS.get(result.get("error")):
        raise error(result["text"])
    return result["value"], rest


def end_processes() -> None:
    """End all that still decode; the threads that wait for them go on at once."""
    for process in tuple(_running):
        process.kill()


def _exchange(process: "subprocess.Popen[bytes]", request: bytes, cpu_s: float) -> bytes:
    """Return the whole reply of the process; raise a sentence if there is none."""
    _running.add(process)
    try:
        with process:
            try:
                reply, _ = process.communicate(request, timeout=_WALL_FACTOR * cpu_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise _took_too_long(cpu_s) from None
    finally:
        _running.discard(process)
    if process.returncode in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise _took_too_long(cpu_s)
    if process.returncode or b"\n" not in reply:
        raise UnreadableImage("The image makes its decoder crash: it is damaged. Save it anew.")
    return reply


def _took_too_long(cpu_s: float) -> UnreadableImage:
    return UnreadableImage(
        f"The image takes longer than {cpu_s:.0f} s to read: it is damaged or made to hold programs up. Save"
        " it anew as an ordinary image."
    )
