"""Proxies that the environment or the system names, as curl and Python find them.

``<SCHEME>_PROXY`` goes before ``ALL_PROXY``, and ``NO_PROXY`` before both.
"""

from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass


class Proxy(NamedTuple):
    """A proxy as it was named."""

    variable: str
    """The variable that names it; on macOS and Windows the system's settings may name it instead."""
    address: str


def find_proxy(scheme: str, host: str, port: int | None = None) -> Proxy | None:
    """Return the proxy for requests to a host; None if they go straight."""
    if proxy_bypass(host) or (port is not None and proxy_bypass(f"{host}:{port}")):
        return None
    named = getproxies()
    for name in (scheme, "all"):
        if address := named.get(name):
            return Proxy(f"{name.upper()}_PROXY", address)
    return None


def all_proxies() -> dict[str, str]:
    """Return the addresses of the proxies by the scheme of a request, for ``urllib``."""
    named = getproxies()
    default = named.get("all")
    return {**({"http": default, "https": default} if default else {}), **named}
