"""Connection errors: which host was not reached, why, and where the fault lies.

A certificate that is not trusted before the first connection of a run stays so however long the run waits;
afterwards it may be a captive portal's, for a while.
"""

import os
import re
import ssl

import aiohttp

from errors import ApiFailure, Cause, ErrorKind, FatalError, StopReason
from gemini.text import sanitize_sentence
from utils.shortage import is_passing

_USER_INFO = re.compile(r"//[^/@]{0,500}@")
"""The name and password for a proxy."""

_NOT_SENT_ERRORS = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_CERTIFICATE_CAUSES = {
    9: Cause.CLOCK,
    10: Cause.CLOCK,
    62: Cause.OTHER_HOST,
    64: Cause.OTHER_HOST,
}
"""By the code of OpenSSL's verification (X509_V_ERR_CERT_NOT_YET_VALID, ..._CERT_HAS_EXPIRED,
..._HOSTNAME_MISMATCH, ..._IP_ADDRESS_MISMATCH); source: x509_vfy.h of OpenSSL 3.5."""


def to_network_problem(
    error: aiohttp.ClientError | OSError, *, host: str, has_connected: bool
) -> ApiFailure | FatalError:
    """Return the failure for a reply that did not arrive, or not completely.

    Args:
        error: what the HTTP library raised.
        host: the service's host, for an error that names none.
        has_connected: a connection was made in this run, so that its certificate was trusted then.
    """
    detail, cause = sanitize_sentence(_describe_error(error, host)), _find_cause(error)
    if cause in {Cause.CERTIFICATE, *_CERTIFICATE_CAUSES.values()} and not has_connected:
        return FatalError(StopReason.ALL_ALIKE, detail, cause=cause)
    return ApiFailure(
        kind=ErrorKind.NETWORK,
        detail=detail,
        reached_server=not isinstance(error, _NOT_SENT_ERRORS),
        cause=cause,
    )


def _find_cause(error: aiohttp.ClientError | OSError) -> Cause | None:
    """Return where the fault lies; None for a connection that was made and lost."""
    certificate_error = getattr(error, "certificate_error", None)
    if isinstance(certificate_error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CAUSES.get(certificate_error.verify_code, Cause.CERTIFICATE)
    if not isinstance(error, _NOT_SENT_ERRORS):
        return None
    return Cause.SHORTAGE if is_passing(error) else Cause.NO_CONNECTION


def _describe_error(error: aiohttp.ClientError | OSError, host: str) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return (
            f"the proxy does not let the connection to {host} through (HTTP {error.status} {error.message})"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        proxy = "the proxy at " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        # An error over a certificate has no os_error.
        cause = getattr(error, "certificate_error", None) or error.os_error
        return f"no connection to {proxy}{error.host}:{error.port} ({reason_of(cause)})"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection to {host} (no reply to the attempt to connect)"
    if isinstance(error, aiohttp.InvalidURL):
        url = _USER_INFO.sub("//", str(error))
        return f"the address of the service, or of a proxy, is no URL: {url}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the reply of {host} is no HTTP: {error.message}"
    return f"the connection to {host} was lost ({reason_of(error)})"


def reason_of(error: BaseException) -> str:
    """Return the cause in the operating system's words, without names, codes and lines of the library."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        if error.errno and error.errno > 0:
            return os.strerror(error.errno)
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
