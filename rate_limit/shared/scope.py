"""Whose quota is it, and where does its memory lie?

The key would be the natural name, and must not stand in any file; so it goes by a fingerprint. This file
must not know what is kept under it.
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
    """One quota: they count per project and model (gemini-api.md, section 3, 2026-08).

    A key does not tell its project, so that two keys of one project do not find each other.
    """

    fingerprint: str
    model: str

    @property
    def key(self) -> tuple[str, str]:
        """Return what rows of this quota have in common; the model has a long and a short name."""
        return self.fingerprint, self.model.removeprefix("models/")


def state_path(state_dir: Path | None) -> Path:
    """Return where the memory lies; None is the user's own directory for such things."""
    if state_dir is not None:
        return state_dir.expanduser().absolute() / FILE_NAME
    from platformdirs import user_state_path  # noqa: PLC0415 - a dry run needs none

    return user_state_path("gemini-batch", appauthor=False) / FILE_NAME


def key_fingerprint(api_key: str, base_url: str | None) -> str:
    """Return 16 hex digits that stand for the key at this endpoint.

    PBKDF2, because every Python has it and a key need not be long and random: a proxy in the office may
    take "test", which a plain hash gives away to a list of words. 64 bits tell the keys of one user apart,
    and are too few to rebuild one. The endpoint is the salt, since the same key elsewhere has another
    quota. Takes about 0.1 s, on purpose.
    """
    url = urlsplit((base_url or _DEFAULT_BASE_URL).rstrip("/"))
    endpoint = url._replace(scheme=url.scheme.lower(), netloc=url.netloc.lower()).geturl()
    secret, salt = (text.encode("utf-8", "backslashreplace") for text in (api_key, endpoint))
    return hashlib.pbkdf2_hmac("sha256", secret, salt, _HASH_ROUNDS, dklen=8).hex()
