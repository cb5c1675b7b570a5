"""How does somebody far away learn that the work began, went well or failed, or never began at all?

A dead-man's switch: a monitoring service expects a request now and then, and raises the alarm when it
does not come. Its URL is a secret, since whoever knows it can keep the alarm silent: only its host is
ever said. This file must not know what the work is, nor when it is good.
"""

import logging
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_log = logging.getLogger(__name__)

_HEADERS = {"User-Agent": "dead-mans-switch/1.0"}
"""Some services turn the library's own name away."""


class HealthcheckPing:
    """Tells a monitoring service how the work goes, as healthchecks.io and its kin want to hear it.

    Every method blocks, tries at most twice, raises nothing, and returns whether the service heard it;
    if not, a warning is logged. Proxies of the environment are used.

    Source: https://healthchecks.io/docs/http_api/ (``/start``, ``/fail``, ``/{exit-status}``), and for
    the last two https://betterstack.com/docs/uptime/cron-and-heartbeat-monitor/, 2026-11.

    Args:
        url: of the check, http or https; the endings go before its query.
        timeout_s: seconds to wait for each answer of the network.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._parts = _parse_url(url)
        self._timeout_s = timeout_s
        self._opener = build_opener(_SameScheme)

    def start(self) -> bool:
        """Tell that the work begins."""
        return self._send("/start", "/start")

    def success(self) -> bool:
        """Tell that the work is done."""
        return self._send("", "")

    def fail(self, code: int) -> bool:
        """Tell that the work failed, with its exit code where the service takes one (1 to 255)."""
        # Not every service knows codes, and 0 would be a success: the second try is in the plainest words.
        return self._send(f"/{code}" if 1 <= code <= 255 else "/fail", "/fail")

    def _send(self, *endings: str) -> bool:
        if self._parts is None:
            _log.warning("no ping was sent: its address is no http:// or https:// URL with a host")
            return False
        problem = None
        for ending in endings:
            problem = self._send_once(_append_path(self._parts, ending))
            if problem is None:
                return True
        _log.warning("the ping did not reach %s: %s", self._parts.hostname, problem)
        return False

    def _send_once(self, url: str) -> str | None:
        """Send one request; say what went wrong in words that cannot hold the URL."""
        try:
            with self._opener.open(Request(url, headers=_HEADERS), timeout=self._timeout_s):  # noqa: S310
                return None
        except HTTPError as error:
            error.close()
            return f"HTTP {error.code}"
        except URLError as error:
            return _describe_error(error.reason)
        except (OSError, HTTPException, ValueError) as error:
            return _describe_error(error)


class _SameScheme(HTTPRedirectHandler):
    """Follows a redirect only from http to http and from https to https."""

    def redirect_request(  # noqa: PLR0917 - the library's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _parse_url(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return None
    return parts if is_usable else None


def _append_path(parts: SplitResult, ending: str) -> str:
    path = parts.path.rstrip("/") + ending if ending else parts.path
    return urlunsplit(parts._replace(path=path))


def _describe_error(error: BaseException | str) -> str:
    """Return what the system says, or the error's name: other texts may quote the URL."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
