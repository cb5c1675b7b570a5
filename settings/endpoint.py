"""Endpoint of the calls and address of the ping: what may stand there."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from settings.sources import Sources

_REAL_HOST = "generativelanguage.googleapis.com"
_REAL_HOST_MIN_TIMEOUT_S = 10
"""Source: "400 … Minimum allowed deadline is 10s", github.com/livekit/agents/issues/3723, 2026-11."""


def read_ping_url(values: Mapping[str, Any], sources: "Sources") -> str | None:
    """Return the address of the dead-man's switch; None if there is none."""
    url = values["ping_url"]
    if url is not None and not _is_web_address(url):
        raise sources.build_error("ping_url")
    return None if url is None else str(url)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def read_base_url(values: Mapping[str, Any], sources: "Sources") -> str | None:
    """Return the endpoint without a slash at its end; None for Google's own."""
    url = values["api_base_url"]
    if url is None:
        return None
    if not _is_web_address(url) or not url.isprintable() or any(mark in url for mark in "@?# \\"):
        raise sources.build_error("api_base_url")
    return str(url).rstrip("/")


def find_unencrypted_host(url: str | None) -> str:
    """Return the host to which all is sent unencrypted; empty if there is none, or if it is this machine."""
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    return "" if parts.scheme != "http" or _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def read_timeout_s(values: Mapping[str, Any], sources: "Sources") -> float:
    """Return the seconds of a first try, as many as the endpoint allows at least."""
    timeout_s, url = values["timeout_s"], values["api_base_url"]
    host = (urlsplit(url).hostname if url else None) or _REAL_HOST
    if host == _REAL_HOST and timeout_s < _REAL_HOST_MIN_TIMEOUT_S:
        raise sources.build_error(
            "timeout_s", f"at least {_REAL_HOST_MIN_TIMEOUT_S} seconds, as Google's own host asks"
        )
    return float(timeout_s)
