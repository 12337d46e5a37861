"""Which keys of a payload say that their value is a secret."""

from __future__ import annotations

import re
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")

_EXACT = frozenset(
    {
        "authorization", "proxy_authorization", "cookie", "set_cookie", "credential", "credentials",
        "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "token", "bearer",
        "apikey", "x_api_key", "private_key", "privatekey", "secretkey", "accesskey", "authtoken",
        "accesstoken", "refreshtoken", "sessiontoken", "clientsecret", "connection_string",
    }
)  # fmt: skip

_ENDINGS = (
    "password", "passphrase", "_passwd", "_pwd", "_secret", "_secrets", "_token", "_api_key",
    "_apikey", "_access_key", "_secret_key", "_private_key", "_signing_key", "_encryption_key",
    "_account_key", "_shared_key", "_master_key", "_auth_key", "_credential", "_credentials",
    "_authorization", "_session_cookie", "_connection_string", "_access_key_id",
)  # fmt: skip

_HARMLESS = (
    "page_token", "next_token", "continuation_token", "pagination_token", "sync_token",
    "eos_token", "bos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token",
    "stop_token", "special_token", "first_token", "last_token", "per_token", "no_password",
    "cancellation_token", "access_key_id_name",
)  # fmt: skip
"""Endings of keys that count, page or describe."""

_ALSO = frozenset({"api_key", "access_key", "secret_key", "signing_key", "encryption_key"})


@lru_cache(maxsize=4096)
def is_sensitive(key: str) -> bool:
    """Whether values below this key are secrets, whatever they look like.

    Spelling does not matter: `apiKey`, `API-KEY` and `api_key` are one. Counts of tokens
    (`max_tokens`) and marks of pages (`next_page_token`) are no secrets.
    """
    name = normalised(key)
    if name.endswith(_HARMLESS):
        return False
    return name in _EXACT or name in _ALSO or name.endswith(_ENDINGS)


def normalised(key: str) -> str:
    """A key in lower case with underscores."""
    return _SEPARATORS.sub("_", _CAMEL.sub("_", key).lower()).strip("_")
