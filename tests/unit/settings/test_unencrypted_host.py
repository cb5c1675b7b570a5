"""Rules of find_unencrypted_host in settings/endpoint.py."""

import pytest

from settings.endpoint import find_unencrypted_host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (None, ""),
        ("https://gateway.example", ""),
        ("http://127.0.0.1:8080/v1beta", ""),
        ("http://127.8.9.1", ""),
        ("http://[::1]:8080", ""),
        ("http://localhost:1", ""),
        ("http://LOCALHOST.", ""),
        ("http://api.localhost", ""),
        ("http://gateway.example", "gateway.example"),
        ("HTTP://10.0.0.7:8080", "10.0.0.7"),
        ("http://[fe80::1]", "fe80::1"),
        ("http://localhost.example", "localhost.example"),
        ("http://127.0.0.1.example", "127.0.0.1.example"),
    ],
)
def test_only_this_machine_needs_no_encryption(url: str | None, host: str) -> None:
    """Any other host is named, also one whose name looks like this machine's."""
    assert find_unencrypted_host(url) == host
