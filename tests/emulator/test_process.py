"""Rules of the emulator as a process of its own: it works, and ends on a signal."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulator.__main__ import scenario_of

_ROOT = Path(__file__).parents[2]
_BODY = {"contents": [{"parts": [{"text": "hello"}]}]}
_CALL = "/v1beta/models/gemini-3.5-flash-lite:generateContent"


@contextmanager
def process(*flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a running emulator and its host and port; it is ended whatever happens."""
    command = [sys.executable, "-m", "tests.emulator", "--port", "0", *flags]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child, urlsplit(json.loads(child.stdout.readline())["base_url"]).netloc
        finally:
            child.kill()


def send(netloc: str, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    """Send one request; return status and decoded body."""
    connection = http.client.HTTPConnection(netloc, timeout=10)
    body = None if document is None else json.dumps(document)
    connection.request(method, path, body, {"x-goog-api-key": "secret"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text else None


def test_a_process_answers_logs_resets_and_ends_on_sigterm(tmp_path: Path) -> None:
    """One line when ready; a log over HTTP; a reset takes a new plan; SIGTERM ends it, even in a hang."""
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"calls": {"0": "unavailable"}, "keys": ["secret"]}))

    with process("--scenario", str(scenario), "--latency", "0.001-0.002") as (child, netloc):
        statuses = [send(netloc, "POST", _CALL, _BODY)[0] for _ in range(2)]
        _, log = send(netloc, "GET", "/_emulator/requests")
        _, stats = send(netloc, "GET", "/_emulator/stats")
        assert send(netloc, "POST", "/_emulator/reset", {"nonsense": 1})[0] == 400
        assert send(netloc, "POST", "/_emulator/reset", {"calls": {"0": "hang"}})[0] == 204
        hanging = http.client.HTTPConnection(netloc, timeout=10)
        hanging.request("POST", _CALL, json.dumps(_BODY), {"x-goog-api-key": "secret"})
        while not send(netloc, "GET", "/_emulator/requests")[1]:
            """Until the call hangs."""
        child.send_signal(signal.SIGTERM)
        code = child.wait(timeout=10)
        hanging.close()

    assert statuses == [503, 200]
    assert [(row["outcome"], row["prompt"]) for row in log] == [
        ("unavailable", "hello"),
        ("answered", "hello"),
    ]
    assert stats == {"calls": 2, "max_in_flight": 1, "outcomes": {"unavailable": 1, "answered": 1}}
    assert code == 0


def test_flags_go_before_the_scenario_s_file(tmp_path: Path) -> None:
    """A flag replaces what the file says, faults are merged, quotas are added."""
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"seed": 1, "hint_s": 3, "rates": {"reset": 0.1, "close": 0.1}}))
    flags = [
        "--seed",
        "2",
        "--fault",
        "reset=0.2",
        "--rpm-window",
        "fixed:60",
        "--tpm-window",
        "sliding:9",
        "--rpd",
        "5",
        "--key",
        "k",
    ]

    port, document = scenario_of(["--scenario", str(scenario), *flags])

    assert port == 0
    assert (document["seed"], document["hint_s"], document["keys"]) == (2, 3, ["k"])
    assert document["rates"] == {"reset": 0.2, "close": 0.1}
    assert document["quotas"] == [
        {"meter": "fixed:60"},
        {"meter": "sliding:9", "unit": "tokens"},
        {"meter": "fixed:5", "per_day": True},
    ]


def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip on the command line ends with code 2 and the flag's name."""
    with pytest.raises(SystemExit, match="2"):
        scenario_of(["--fualt", "reset=1"])

    assert "--fualt" in capsys.readouterr().err
