"""Rules of the real program when the service is not reached: host and reason are said everywhere, at once."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from errors import Cause, FatalError, StopReason
from reports.advice import stop_remedy
from tests.support.certificates import make_certificate
from tests.support.cli import Finished, document, run_cli
from tests.support.cli_cases import PROMPT, make_images
from tests.support.gateway import always_answer, serve

pytestmark = pytest.mark.e2e


def run_arguments(folder: Path, url: str) -> list[str | Path]:
    """Return the arguments of a run whose patience is short."""
    return [
        *("--input-dir", folder / "photos", "--prompt", PROMPT, "--output-dir", folder / "out"),
        *("--api-base-url", url, "--outage-patience", "2s", "--max-retries", "3"),
    ]


async def run_with_status(folder: Path, url: str) -> tuple[Finished, Finished]:
    """Run, then ask for the status."""
    run = await run_cli(*run_arguments(folder, url))
    return run, await run_cli("--status", "--output-dir", folder / "out", key=None)


def free_port() -> int:
    """Return a port that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def check(folder: Path, run: Finished, status: Finished, *, reason: str, cause: Cause, code: int) -> None:
    """Check that a run without any connection says why, wherever a user looks."""
    squeezed = {
        name: " ".join(text.split()) for name, text in (("run", run.stdout), ("status", status.stdout))
    }
    remedy = stop_remedy(FatalError(StopReason.OUTAGE, reason, cause=cause))
    at_once = next(line for line in run.stderr.splitlines() if reason in line)

    assert run.code == code, run.stderr
    assert "overloaded" not in run.stdout + run.stderr + status.stdout
    assert "for 0 minutes" not in run.stderr
    assert run.stderr.splitlines().index(at_once) <= 4
    assert reason in squeezed["run"]
    assert reason in squeezed["status"]
    assert remedy in squeezed["status"]
    assert remedy in run.stderr.splitlines()[-1]
    assert any(reason in one for one in document(folder / "out", "error_analysis.json")["deferred_because"])


def test_a_refused_connection(tmp_path: Path) -> None:
    """A port that refuses connections is named, and so is the host that does not exist."""
    make_images(tmp_path / "photos", 3)
    port = free_port()

    run, status = asyncio.run(run_with_status(tmp_path, f"http://127.0.0.1:{port}"))

    reason = f"no connection to 127.0.0.1:{port} (Connection refused)"
    check(tmp_path, run, status, reason=reason, cause=Cause.NO_CONNECTION, code=75)


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    """A host that the resolver does not know is named."""
    make_images(tmp_path / "photos", 3)

    run, status = asyncio.run(run_with_status(tmp_path, "https://gateway.invalid"))

    reason = "no connection to gateway.invalid:443 ("
    check(tmp_path, run, status, reason=reason, cause=Cause.NO_CONNECTION, code=75)


def test_an_untrusted_certificate(tmp_path: Path) -> None:
    """A certificate that is not trusted ends the run without a wait, and the variable to set is named."""
    make_images(tmp_path / "photos", 3)
    certificate = make_certificate(tmp_path)

    async def scenario() -> tuple[Finished, Finished, str]:
        async with serve(always_answer(500), tls=certificate.server_context()) as url:
            return *await run_with_status(tmp_path, url), url.removeprefix("https://")

    run, status, host = asyncio.run(scenario())

    reason = f"no connection to {host} (its certificate is not trusted: self-signed certificate)"
    check(tmp_path, run, status, reason=reason, cause=Cause.CERTIFICATE, code=2)
    assert "SSL_CERT_FILE" in run.stderr


@contextmanager
def black_hole() -> Iterator[int]:
    """Listen on a port whose queue is full, so that the system drops every further attempt to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


def test_a_connection_into_the_void(tmp_path: Path) -> None:
    """Packets that are dropped on the way are no answer: it timed out, nothing is paid, all is left to do."""
    make_images(tmp_path / "photos", 3)

    with black_hole() as port:
        run, status = asyncio.run(run_with_status(tmp_path, f"http://127.0.0.1:{port}"))

    stats = document(tmp_path / "out", "processing_stats.json")
    reason = f"no connection to 127.0.0.1:{port} ("
    check(tmp_path, run, status, reason=reason, cause=Cause.NO_CONNECTION, code=75)
    assert (stats["failed"]["total"], stats["deferred"]["total"]) == (0, 3)
    assert "3 deferred" in " ".join(status.stdout.split())


@pytest.mark.parametrize("status", [500, 503])
def test_a_service_that_fails_is_no_lost_way(tmp_path: Path, status: int) -> None:
    """A service that answers with errors is not said to be unreachable."""
    make_images(tmp_path / "photos", 2)

    async def scenario() -> Finished:
        async with serve(always_answer(status, "{}")) as url:
            return (await run_with_status(tmp_path, url))[0]

    run = asyncio.run(scenario())

    assert "no connection" not in run.stdout + run.stderr
    assert f"HTTP {status}" in run.stderr.splitlines()[-1] or f"HTTP {status}" in run.stdout
