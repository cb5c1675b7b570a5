"""Rules of utils/healthcheck.py: the service gets each ping, and its address stays secret."""

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from utils.healthcheck import HealthcheckPing

CHECK = "7f3c9b1e-secret-check"


class Service:
    """A monitoring service on loopback that answers as the test says and records what it received."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.agents: list[str] = []
        self.answers: dict[str, list[int | str]] = {}
        """By ending of the path: a status, the address of a redirect, or ``hang`` or ``hang up``; in turn."""
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def root(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The address of a check."""
        return f"{self.root}/{CHECK}"

    def close(self) -> None:
        """End all connections and stop listening."""
        self.let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.heard.append(self.path)
                service.agents.append(self.headers["User-Agent"])
                ending = self.path.partition("?")[0].removeprefix(f"/{CHECK}")
                planned = service.answers.get(ending, [])
                self._answer(planned.pop(0) if planned else 200)

            def _answer(self, answer: int | str) -> None:
                if answer == "hang":
                    service.let_go.wait()
                elif isinstance(answer, int):
                    self.send_response(answer, f"no {CHECK} here")
                    self.end_headers()
                    self.wfile.write(b"OK")
                elif answer != "hang up":
                    self.send_response(302)
                    self.send_header("Location", answer)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Do nothing."""

        return Handler


@pytest.fixture
def service() -> Iterator[Service]:
    """A service for one test."""
    service = Service()
    yield service
    service.close()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("", ["/start", "", "/3"]),
        ("/", ["/start", "/", "/3"]),
        (
            "?create=1&rid=a%2Fb",
            ["/start?create=1&rid=a%2Fb", "?create=1&rid=a%2Fb", "/3?create=1&rid=a%2Fb"],
        ),
        ("#top", ["/start", "", "/3"]),
    ],
    ids=["plain", "slash", "query", "fragment"],
)
def test_what_the_service_hears(service: Service, tail: str, expected: list[str]) -> None:
    """The endings of healthchecks.io go behind the path and before the query, which is kept."""
    ping = HealthcheckPing(service.url + tail)

    assert (ping.start(), ping.success(), ping.fail(3)) == (True, True, True)
    assert service.heard == [f"/{CHECK}{ending}" for ending in expected]
    assert set(service.agents) == {"dead-mans-switch/1.0"}


def test_a_ping_goes_through_the_proxy_for_everything(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALL_PROXY is obeyed like HTTP_PROXY."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", service.root)

    assert HealthcheckPing(f"http://monitoring.invalid/{CHECK}").success()
    assert service.heard == [f"http://monitoring.invalid/{CHECK}"]


@pytest.mark.parametrize("code", [0, -9, 256])
def test_a_code_that_is_none_is_a_plain_failure(service: Service, code: int) -> None:
    """A failure never looks like a success: 0 would be one."""
    assert HealthcheckPing(service.url).fail(code)
    assert service.heard == [f"/{CHECK}/fail"]


def test_a_service_that_knows_no_codes_hears_of_the_failure(service: Service) -> None:
    """If the service does not take the exit code, ``/fail`` is sent."""
    service.answers["/75"] = [404]

    assert HealthcheckPing(service.url).fail(75)
    assert service.heard == [f"/{CHECK}/75", f"/{CHECK}/fail"]


def test_a_passing_fault_is_tried_once_more(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """The second try decides; if it succeeds there is no warning."""
    service.answers[""] = [503]

    assert HealthcheckPing(service.url).success()
    assert len(service.heard) == 2
    assert caplog.records == []


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (404, "HTTP 404"),
        (500, "HTTP 500"),
        ("hang", "no answer in time"),
        ("hang up", "RemoteDisconnected"),
        (f"https://127.0.0.1:1/{CHECK}", "HTTP 302"),
        (f"ftp://127.0.0.1/{CHECK}", "HTTP 302"),
        (f"file:///{CHECK}", "HTTP 302"),
        (f"/{CHECK}?round", "HTTP 302"),
    ],
    ids=["404", "500", "hangs", "hangs-up", "other-scheme", "ftp", "file", "in-circles"],
)
def test_a_deaf_service_is_told_of(
    service: Service, caplog: pytest.LogCaptureFixture, answer: int | str, trouble: str
) -> None:
    """Nothing is raised; one warning names the host and the trouble and never the secret path."""
    service.answers[""] = [answer] * 100

    assert not HealthcheckPing(service.url, timeout_s=0.2).success()

    assert caplog.messages == [f"the ping did not reach 127.0.0.1: {trouble}"]
    assert len(service.heard) == 2 or answer == f"/{CHECK}?round"


def test_a_redirect_within_the_scheme_is_followed(service: Service) -> None:
    """A check that moved within the same service still gets the ping."""
    service.answers[""] = [f"{service.root}/moved"]

    assert HealthcheckPing(service.url).success()
    assert service.heard == [f"/{CHECK}", "/moved"]


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """A port without a service is a warning like any other."""
    service = Service()
    service.close()

    assert not HealthcheckPing(service.url).start()
    assert caplog.messages == ["the ping did not reach 127.0.0.1: Connection refused"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        CHECK,
        f"//host/{CHECK}",
        f"ftp://host/{CHECK}",
        f"file:///{CHECK}",
        f"http:///{CHECK}",
        f"https://[::1/{CHECK}",
        f"http://127.0.0.1:port/{CHECK}",
        f"http://user:{CHECK}@127.0.0.1/x",
        f"http://127.0.0.1:1/a b/{CHECK}",
        f"http://127.0.0.1:1/größe/{CHECK}",
    ],
)
def test_an_impossible_address_is_told_of(caplog: pytest.LogCaptureFixture, url: str) -> None:
    """Whatever stands in the setting, the work goes on, and the warning does not quote it."""
    ping = HealthcheckPing(url)

    assert (ping.start(), ping.success(), ping.fail(1)) == (False, False, False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    assert CHECK not in caplog.text
