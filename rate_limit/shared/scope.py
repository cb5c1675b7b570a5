"""Scope of a quota: fingerprint of the API key, model, and the path of the shared file.

The key itself must not stand in any file.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILE_NAME = "pacing.db"

_HASH_ROUNDS = 100_000
_DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Scope of one quota, which counts per project and model (docs/api-facts.md, section 4.1, 2026-08-18).

    A key does not show its project, so runs with two keys of one project do not find each other.
    """

    fingerprint: str
    model: str

    @property
    def key(self) -> tuple[str, str]:
        """Columns that all rows of this quota share; the model has a long and a short name."""
        return self.fingerprint, self.model.removeprefix("models/")


def state_path(state_dir: Path | None) -> Path | None:
    """Return the path of the shared file; None if there is no place for it: no home, no passwd entry.

    ``state_dir`` None stands for the user's own state directory.
    """
    if state_dir is not None:
        return state_dir.absolute() / FILE_NAME
    from platformdirs import user_state_path  # noqa: PLC0415 - a dry run needs none

    try:
        return user_state_path("gemini-batch", appauthor=False) / FILE_NAME
    except RuntimeError:
        return None


def key_fingerprint(api_key: str, base_url: str | None) -> str:
    """Return 16 hex digits that stand for the key at this endpoint.

    PBKDF2, because every Python has it and a key may be short: a proxy in an office may accept "test", which
    a list of words finds from a plain hash. 64 bits distinguish the keys of one user, and are too few to
    rebuild one. The endpoint is the salt, since the same key elsewhere has another quota. It takes about
    0.1 s, on purpose.
    """
    url = urlsplit((base_url or _DEFAULT_BASE_URL).rstrip("/"))
    endpoint = url._replace(scheme=url.scheme.lower(), netloc=url.netloc.lower()).geturl()
    secret, salt = (text.encode("utf-8", "backslashreplace") for text in (api_key, endpoint))
    return hashlib.pbkdf2_hmac("sha256", secret, salt, _HASH_ROUNDS, dklen=8).hex()
