"""Rules of gemini/connection_errors.py: a failure names the host, the reason, and where the fault lies."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from errors import ApiFailure, Cause, ErrorKind, ExitCode, FatalError
from gemini.client import GeminiClient
from gemini.connection_errors import to_network_problem
from tests.support.certificates import Certificate, make_certificate
from tests.support.gateway import serve
from tests.support.gemini_harness import KEY, SDK_WARNINGS, TEXT_MODEL, request

pytestmark = SDK_WARNINGS

ANSWER = {"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}
K = ErrorKind


PLACE = ConnectionKey(
    "example.org", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
UNTRUSTED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] failed (_ssl.c:1006)")
UNTRUSTED.verify_message = "self-signed certificate"
UNTRUSTED.verify_code = 18
LOST = "the connection to api.example was lost"


@pytest.mark.parametrize(
    ("error", "words", "reached"),
    [
        (
            aiohttp.ClientConnectorError(PLACE, OSError(111, "Connect call failed ('127.0.0.1', 443)")),
            "no connection to example.org:443 (Connection refused)",
            False,
        ),
        (
            aiohttp.ClientConnectorCertificateError(PLACE, UNTRUSTED),
            "no connection to example.org:443 (its certificate is not trusted: self-signed certificate)",
            False,
        ),
        (
            aiohttp.ClientProxyConnectionError(PLACE, OSError(111, "Connect call failed")),
            "no connection to the proxy at example.org:443 (Connection refused)",
            False,
        ),
        (
            aiohttp.ClientHttpProxyError(None, (), status=407, message="Who?"),  # type: ignore[arg-type]
            "the proxy does not let the connection to api.example through (HTTP 407 Who?)",
            False,
        ),
        (
            aiohttp.InvalidURL("http://me:secret@:x"),
            "the address of the service, or of a proxy, is no URL: http://:x",
            False,
        ),
        (
            aiohttp.ConnectionTimeoutError("Connection timeout to host https://api.example/v1"),
            "no connection to api.example (no reply to the attempt to connect)",
            False,
        ),
        (aiohttp.ServerDisconnectedError(), f"{LOST} (Server disconnected)", True),
        (ConnectionResetError(104, "reset"), f"{LOST} (Connection reset by peer)", True),
        (aiohttp.ClientPayloadError(), f"{LOST} (ClientPayloadError)", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_broken_connection_is_described_for_people(
    error: aiohttp.ClientError | OSError, words: str, *, reached: bool
) -> None:
    """Where and why, in the system's words; no library's brackets, codes or passwords."""
    failure = to_network_problem(error, host="api.example", has_connected=True)

    assert isinstance(failure, ApiFailure)
    assert (failure.kind, failure.detail, failure.reached_server) == (K.NETWORK, words, reached)


def client_of(url: str) -> GeminiClient:
    """Return a client of a text model."""
    return GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)


async def answer(incoming: web.Request) -> web.StreamResponse:
    """Answer a call, and close the connection so that the next call needs another one."""
    await incoming.read()
    response = web.json_response(ANSWER)
    response.force_close()
    return response


def problem_with(certificate: Certificate) -> ApiFailure | FatalError:
    """Return how a first call to a server with a certificate ends."""

    async def scenario() -> ApiFailure | FatalError:
        async with serve(answer, tls=certificate.server_context()) as url, client_of(url) as client:
            with pytest.raises((ApiFailure, FatalError)) as caught:
                await client.generate(request())
            assert isinstance(caught.value, ApiFailure | FatalError)
            return caught.value

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("begins_in_days", "host", "is_known", "cause", "words"),
    [
        (
            -2,
            "127.0.0.1",
            False,
            Cause.CERTIFICATE,
            "its certificate is not trusted: self-signed certificate",
        ),
        (-9, "127.0.0.1", True, Cause.CLOCK, "certificate has expired"),
        (2, "127.0.0.1", True, Cause.CLOCK, "certificate is not yet valid"),
        (-2, "127.0.0.2", True, Cause.OTHER_HOST, "IP address mismatch"),
    ],
)
def test_a_certificate_that_is_not_trusted_at_the_start(  # noqa: PLR0917 - a table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begins_in_days: int,
    host: str,
    is_known: bool,  # noqa: FBT001
    cause: Cause,
    words: str,
) -> None:
    """No wait cures it, so the run ends: with the host, the reason, and 2 as for other settings."""
    certificate = make_certificate(tmp_path, host=host, begins_in=timedelta(days=begins_in_days))
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))

    problem = problem_with(certificate)

    assert isinstance(problem, FatalError)
    assert problem.cause is cause
    assert problem.detail.startswith("no connection to 127.0.0.1:")
    assert words in problem.detail
    assert problem.reason.exit_code is ExitCode.USAGE


def test_a_certificate_that_changes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a connection of the run an untrusted certificate is an outage, as a captive portal makes it."""
    (tmp_path / "other").mkdir()
    trusted, other = make_certificate(tmp_path), make_certificate(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.certificate))
    context = trusted.server_context()

    async def scenario() -> ApiFailure:
        async with serve(answer, tls=context) as url, client_of(url) as client:
            await client.generate(request())
            context.load_cert_chain(other.certificate, other.key)
            with pytest.raises(ApiFailure) as caught:
                await client.generate(request())
            return caught.value

    failure = asyncio.run(scenario())

    assert (failure.kind, failure.cause, failure.reached_server) == (K.NETWORK, Cause.CERTIFICATE, False)


def test_a_server_without_tls(tmp_path: Path) -> None:
    """An address with https:// in place of http:// is a lost way, whose host and reason are named."""

    async def scenario() -> ApiFailure:
        async with serve(answer) as url, client_of(url.replace("http", "https")) as client:
            with pytest.raises(
                ApiFailure, match=r"^no connection to 127\.0\.0\.1:\d+ \(TLS failed: "
            ) as caught:
                await client.generate(request())
            return caught.value

    assert asyncio.run(scenario()).cause is Cause.NO_CONNECTION
