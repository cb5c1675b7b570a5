"""Route to the service: proxy, certificates and credentials of ``.netrc``, found once for a run.

aiohttp would read the environment and ``.netrc`` for every request, knows no ``ALL_PROXY``, and goes around a
proxy whose address it does not take. See docs/adr/0006.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import hdrs, helpers
from yarl import URL

from utils.proxies import Proxy, find_proxy

_PROXY_SCHEMES = frozenset({"http", "https", ""})


class UnusableNetrc(Exception):
    """A ``.netrc`` that is no text, or holds a name or a password that no header can carry."""


class UnusableProxy(Exception):
    """A proxy that cannot be obeyed; its address, which may hold a password, is not in the text."""

    def __init__(self, variable: str, *, is_socks: bool) -> None:
        super().__init__(variable)
        self._variable = variable
        self._is_socks = is_socks

    @property
    def sentence(self) -> str:
        """What is wrong with the proxy, and what to do."""
        if self._is_socks:
            what = "names a SOCKS proxy, which the program does not speak to"
            remedy = (
                "name an HTTP proxy there (http://host:port), or write the service's host into NO_PROXY "
                "to go without a proxy"
            )
        else:
            what = "names a proxy that cannot be used"
            remedy = "its address is no http://host:port, or its name and password fit into no HTTP header"
        return f"{self._variable} {what}: {remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """The way to the service, the same for all requests, because all go to one host."""

    proxy: URL | None = field(default=None, repr=False)
    """The proxy, with name and password if it wants them; None if there is none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Name and password from ``.netrc`` for the host; some gateways want them."""
    certificates: ssl.SSLContext | bool = True


def find_route(base_url: str) -> HttpRoute:
    """Return the route by environment and ``.netrc``; reads files, so call it in a thread.

    Raises:
        OSError: the certificates cannot be read.
        UnusableNetrc: ``.netrc`` is no text, or its password for the host fits into no header.
        UnusableProxy: a variable names a proxy that cannot be used.
    """
    try:
        url = URL(base_url)
    except ValueError:  # the first request fails and reports the address
        return HttpRoute()
    headers: dict[str, str] = {}
    host_credentials = None if url.user else _read_netrc(url.host or "")
    if host_credentials:
        headers = {hdrs.AUTHORIZATION: host_credentials.encode()}
    found = find_proxy(url.scheme, url.host or "", url.port)
    proxy = _check_proxy(found) if found else None
    is_encrypted = url.scheme == "https" or (proxy is not None and proxy.scheme == "https")
    return HttpRoute(
        proxy=proxy, headers=headers, certificates=_load_certificates() if is_encrypted else True
    )


def _read_netrc(host: str) -> aiohttp.BasicAuth | None:
    """Return the host's name and password in ``.netrc``; None if there is none."""
    try:
        auth = helpers.basicauth_from_netrc(helpers.netrc_from_env(), host)
        auth.encode()
    except LookupError:
        return None
    except ValueError:
        # Not chained: the error's text may hold the password.
        raise UnusableNetrc from None
    return auth


def _check_proxy(found: Proxy) -> URL:
    """Return the proxy with name and password; an address without ``http://`` is accepted, as by curl.

    Checked here, because aiohttp speaks HTTP to any address, and would fail with every request.
    """
    try:
        proxy = URL(found.address)
        if not proxy.host and proxy.scheme not in {"http", "https"}:
            proxy = URL(f"http://{proxy}")
        if not proxy.host or proxy.scheme not in _PROXY_SCHEMES:
            raise UnusableProxy(found.variable, is_socks=proxy.scheme.startswith("socks"))
        auth = None if proxy.user is not None else _read_netrc(proxy.host)
        if auth:
            proxy = proxy.with_user(auth.login).with_password(auth.password)
        if proxy.user is not None:
            aiohttp.encode_basic_auth(proxy.user, proxy.password or "", "latin1")  # raises ValueError
    except ValueError:
        raise UnusableProxy(found.variable, is_socks=False) from None
    return proxy


def _load_certificates() -> ssl.SSLContext:
    """Return the authorities that SSL_CERT_FILE names, else those of the system and Mozilla's.

    Many systems keep none where Python looks, hence Mozilla's.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile and paths.cafile != paths.openssl_cafile:
        directory = paths.capath if paths.capath != paths.openssl_capath else None
        return ssl.create_default_context(cafile=paths.cafile, capath=directory)
    import certifi  # noqa: PLC0415 - 2 ms, for https alone

    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context
