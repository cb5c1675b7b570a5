"""Rules of gemini/route.py: proxy, certificates, and what no variable can do."""

import asyncio
import ssl
import traceback
from pathlib import Path

import aiohttp
import certifi
import pytest
from aiohttp import web

from errors import UsageError
from gemini import route
from gemini.client import GeminiClient
from models import Generation
from tests.emulator import Emulator
from tests.support.certificates import make_certificate
from tests.support.gateway import serve
from tests.support.gemini_harness import KEY, SDK_WARNINGS, TEXT_MODEL, ask, request

pytestmark = SDK_WARNINGS

ANSWER = {"candidates": [{"content": {"parts": [{"text": "A cat."}]}, "finishReason": "STOP"}]}


def client_of(url: str) -> GeminiClient:
    """Return a client of a text model."""
    return GeminiClient(api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False)


HARMLESS = {
    "GOOGLE_GENAI_CLIENT_MODE": "replay",
    "GOOGLE_GENAI_HTTP_CLIENT": "silly",
    "GOOGLE_GENAI_REPLAYS_DIRECTORY": "/nowhere",
    "GOOGLE_CLOUD_PROJECT": "another",
    "GOOGLE_VERTEX_BASE_URL": "http://127.0.0.1:9",
    "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere",
    "HTTPS_PROXY": "foo:bar",
    "SSL_CERT_DIR": "/nowhere",
    "SSL_CERT_FILE": "/nowhere",
}


def test_less_known_variables_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The SDK plays no recordings, goes nowhere else and complains of nothing because a variable says so."""
    for name, value in HARMLESS.items():
        monkeypatch.setenv(name, value)

    assert ask(Emulator()).text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("SSL_CERT_FILE", __file__, "https://127.0.0.1:9"),
        ("HTTP_PROXY", "http://[::1", "http://127.0.0.1:9"),
        ("HTTP_PROXY", "http://", "http://127.0.0.1:9"),
        ("HTTP_PROXY", "socks5://127.0.0.1:9", "http://127.0.0.1:9"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9", "https://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "http://127.0.0.1:9"),
        ("ALL_PROXY", "socks5h://me:secret@127.0.0.1:9", "https://127.0.0.1:9"),
        ("ALL_PROXY", "ftp://127.0.0.1:9", "https://127.0.0.1:9"),
        ("HTTP_PROXY", "http://me:secret-\u20ac@127.0.0.1:9", "http://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://me:secret@:x", "https://127.0.0.1:9"),
    ],
)
def test_a_variable_that_cannot_be_obeyed_is_named(
    variable: str, value: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in a sentence that names it before anything is sent, and without the proxy's password."""
    monkeypatch.setenv(variable, value)

    async def scenario() -> None:
        async with client_of(url):
            pass

    with pytest.raises(UsageError, match=variable) as caught:
        asyncio.run(scenario())
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("host", ["127.0.0.1", "elsewhere.invalid"])
@pytest.mark.parametrize(
    "netrc",
    [
        b"machine elsewhere.invalid login me password secret-\xe4\n",
        "machine 127.0.0.1 login me password secret-\u20ac\n".encode(),
        b"machine 127.0.0.1 login me:too password secret\n",
    ],
    ids=["no text", "a password for no header", "a name with a colon"],
)
def test_a_netrc_that_cannot_be_obeyed_is_named(
    netrc: bytes, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It ends in a sentence about it before anything is sent, proxy or not, and without the password."""
    (tmp_path / "netrc").write_bytes(netrc)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", f"http://{host}:9")
    monkeypatch.setenv("no_proxy", "")

    async def scenario() -> None:
        async with client_of("http://127.0.0.1:9"):
            pass

    with pytest.raises(UsageError, match=r"\.netrc") as caught:
        asyncio.run(scenario())
    assert "secret" not in "".join(traceback.format_exception(caught.value))


NOT_USED = "http://127.0.0.1:9"
"""No proxy listens there: calls that take it fail."""


@pytest.mark.parametrize(
    ("variables", "calls_of_proxy"),
    [
        ({"ALL_PROXY": "THE PROXY"}, 1),
        ({"all_proxy": "THE PROXY"}, 1),
        ({"http_proxy": "THE PROXY", "all_proxy": NOT_USED}, 1),
        ({"https_proxy": NOT_USED, "all_proxy": "THE PROXY"}, 1),
        ({"http_proxy": "", "all_proxy": "THE PROXY"}, 1),
        ({"all_proxy": NOT_USED, "no_proxy": "127.0.0.1"}, 0),
        ({"all_proxy": NOT_USED, "no_proxy": "other.invalid, 127.0.0.1:{port}"}, 0),
        ({"all_proxy": "THE PROXY", "no_proxy": "127.0.0.1:1"}, 1),
        ({"all_proxy": NOT_USED, "no_proxy": "*"}, 0),
        ({"https_proxy": NOT_USED}, 0),
    ],
    ids=str,
)
def test_no_proxy_is_gone_around(
    variables: dict[str, str], calls_of_proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go through the proxy that the scheme's variable names, else through ALL_PROXY's."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked: list[str] = []

    async def proxy(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        asked.append(incoming.host)
        return web.json_response(ANSWER)

    async def scenario() -> Generation:
        async with serve(proxy) as proxy_url, Emulator() as service:
            port = service.base_url.rpartition(":")[2]
            for name, value in variables.items():
                monkeypatch.setenv(name, value.replace("THE PROXY", proxy_url).format(port=port))
            async with client_of(service.base_url) as client:
                return await client.generate(request())

    assert asyncio.run(scenario()).text
    assert len(asked) == calls_of_proxy


def test_a_proxy_that_is_spoken_to_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A proxy at https:// is not gone around; its certificate is checked like the service's."""
    authority = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("no_proxy", "")
    asked: list[str] = []

    async def proxy(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        asked.append(incoming.host)
        return web.json_response(ANSWER)

    async def scenario() -> Generation:
        async with serve(proxy, tls=authority.server_context()) as url:
            monkeypatch.setenv("all_proxy", url)
            async with client_of("http://gateway.invalid") as client:
                return await client.generate(request())

    assert asyncio.run(scenario()).text == "A cat."
    assert asked == ["gateway.invalid"]


@pytest.mark.parametrize("beginning", ["http://", "//", ""])
def test_a_proxy_is_found_however_it_is_spelled(beginning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host and a port are enough, with a name and a password or without, as for curl and others."""

    async def proxy(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        return web.json_response(ANSWER)

    async def scenario(user: str) -> Generation:
        async with serve(proxy) as url:
            monkeypatch.setenv("http_proxy", beginning + user + url.removeprefix("http://"))
            monkeypatch.setenv("no_proxy", "")
            async with client_of("http://gateway.invalid") as client:
                return await client.generate(request())

    for user in ("", "me:secret@"):
        assert asyncio.run(scenario(user)).text == "A cat."


def test_an_address_with_a_name_of_its_own_needs_no_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two names for one host, the nearer one counts, and no call fails over there being two."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[str | None] = []

    async def gateway(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        seen.append(incoming.headers.get("Authorization"))
        return web.json_response(ANSWER)

    async def scenario() -> None:
        async with serve(gateway) as url, client_of(url.replace("//", "//me:secret@")) as client:
            await client.generate(request())

    asyncio.run(scenario())

    assert seen == [aiohttp.encode_basic_auth("me", "secret")]


def test_the_way_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names after the start is not used, because it is read once."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async def scenario() -> Generation:
        async with Emulator() as service, client_of(service.base_url) as client:
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
            monkeypatch.setenv("no_proxy", "")
            return await client.generate(request())

    assert asyncio.run(scenario()).text


def test_the_proxy_knows_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name and password of the proxy come from its address, those of a gateway from ``.netrc``."""
    (tmp_path / "netrc").write_text("machine gateway.invalid login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    seen: list[tuple[str, str | None, str | None]] = []

    async def proxy(incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        headers = incoming.headers
        seen.append((incoming.host, headers.get("Proxy-Authorization"), headers.get("Authorization")))
        return web.json_response(ANSWER)

    async def scenario() -> None:
        async with serve(proxy) as url:
            monkeypatch.setenv("http_proxy", url.replace("//", "//me:secret@"))
            async with client_of("http://gateway.invalid") as client:
                await client.generate(request())

    asyncio.run(scenario())

    credentials = [aiohttp.encode_basic_auth("me", password) for password in ("secret", "other")]
    assert seen == [("gateway.invalid", *credentials)]


@pytest.mark.parametrize("named", [None, "/nowhere"], ids=["no variable", "no such file"])
def test_authorities_are_at_hand(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a system that keeps none where Python looks, authorities are trusted, and names are checked."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if named:
        monkeypatch.setenv("SSL_CERT_FILE", named)
    context = route.find_route("https://127.0.0.1:9").certificates

    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) > 20


def test_a_company_can_have_its_own_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_FILE takes the place of all other authorities."""
    everybody = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    own = tmp_path / "own.pem"
    own.write_text(ssl.DER_cert_to_PEM_cert(everybody[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))

    context = route.find_route("https://127.0.0.1:9").certificates

    assert isinstance(context, ssl.SSLContext)
    assert context.get_ca_certs(binary_form=True) == everybody[:1]


def test_it_tells_how_near_the_service_is_before_the_first_answer() -> None:
    """Of connections that were made, never of one that had been there; while their calls are still open."""
    heard: list[float] = []
    before_answers: list[int] = []

    async def answer(incoming: web.Request) -> web.Response:
        await incoming.read()
        before_answers.append(len(heard))
        return web.json_response(ANSWER)

    async def scenario() -> None:
        async with (
            serve(answer) as url,
            GeminiClient(
                api_key=KEY, model=TEXT_MODEL, base_url=url, wants_images=False, on_connected=heard.append
            ) as client,
        ):
            await asyncio.gather(*(client.generate(request()) for _ in range(3)))
            await client.generate(request())

    asyncio.run(scenario())

    assert 1 <= len(heard) <= 3
    assert all(seconds > 0.0 for seconds in heard)
    assert before_answers[0] >= 1
