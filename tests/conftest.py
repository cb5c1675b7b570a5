"""What every test stands on: an environment without keys, settings or proxies of the machine's own."""

from collections.abc import Iterator

import pytest

from settings.options import OPTIONS

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in (*(option.variable for option in OPTIONS if option.variable), *_PROXIES):
            patch.delenv(variable, raising=False)
        yield
