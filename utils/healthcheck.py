"""Healthcheck: sends start, success and failure of a run to a monitoring service.

The service raises an alarm if an expected request does not come. Its URL is a secret, because it can keep
the alarm silent: only its host is logged.
"""

import logging
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from utils.proxies import all_proxies

_log = logging.getLogger(__name__)

_HEADERS = {"User-Agent": "dead-mans-switch/1.0"}
"""Some services reject the user agent of urllib."""


class HealthcheckPing:
    """Pings of a dead-man's switch in the form of healthchecks.io.

    Every method blocks, tries at most twice, raises nothing, and returns True if the service received
    the ping; else it logs a warning. Proxies of the environment are used.

    Source: https://healthchecks.io/docs/http_api/ (``/start``, ``/fail``, ``/{exit-status}``), and for
    the last two https://betterstack.com/docs/uptime/cron-and-heartbeat-monitor/, 2026-11.

    Args:
        url: the check's URL, http or https; endings are added to its path, before the query.
        timeout_s: seconds to wait for each network operation.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._parts = _parse_url(url)
        self._timeout_s = timeout_s
        self._opener = build_opener(_SameScheme, ProxyHandler(all_proxies()))

    def start(self) -> bool:
        """Send that the work begins."""
        return self._send("/start", "/start")

    def success(self) -> bool:
        """Send that the work is done."""
        return self._send("", "")

    def fail(self, code: int) -> bool:
        """Send that the work failed, with its exit code (1 to 255) if the service takes one."""
        # Not every service takes codes, and 0 would be a success; the second try is always ``/fail``.
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
        """Send one request; return None, or the error in words that cannot hold the URL."""
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
    """A redirect handler that follows only from http to http and from https to https."""

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
    """Return the operating system's text or the error's name; other texts may quote the URL."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
