"""Secrets by the names they are kept under: in the environment, and in mounted files.

Pure: the shell hands in what it read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .keys import is_sensitive

_ENDINGS = (
    "_TOKEN", "_KEY", "_SECRET", "_PASSWORD", "_PASSWD", "_PASSPHRASE", "_CREDENTIAL",
    "_CREDENTIALS", "_PAT", "_COOKIE", "_WEBHOOK_URL",
    "_APIKEY", "_ACCESSKEY",
)  # fmt: skip
_GLUED = ("PASSWORD", "PASSPHRASE", "APIKEY", "SECRETKEY", "AUTHTOKEN")
_SEVERAL = ("_TOKENS", "_KEYS", "_SECRETS", "_PASSWORDS")
_ADDRESSES = ("_URL", "_URI", "_DSN", "_PROXY", "_ENDPOINT")
_PUBLIC = ("_PUBLIC_KEY", "_PUBLISHABLE_KEY")


def environment_secrets(
    environment: Mapping[str, str], named: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """The values that a variable's name says are secrets, with that name.

    A list of tokens gives one entry a token, `NAME[0]` and so on; an address gives its password,
    and `NAME[decoded]` where that differs.

    Args:
        environment: Values by name.
        named: Patterns of more names whose values are secrets, such as `ACME_*`.
    """
    patterns = [pattern.upper() for pattern in named]
    return [
        (label, value)
        for name in sorted(environment)
        for label, value in _in_variable(name, environment[name], patterns)
        if value.strip()
    ]


def file_secrets(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """The secrets in files that hold nothing else, such as a mounted Kubernetes secret.

    Args:
        files: Texts by path. A JSON object gives the strings below its sensitive keys, lines of
            `NAME=value` those whose name says so, and anything else is a secret as a whole.
    """
    return [found for path in sorted(files) for found in _in_file(path, files[path])]


def _in_variable(name: str, value: str, named: list[str]) -> Iterator[tuple[str, str]]:
    if named and _is_named(name.upper(), named):
        yield name, value
        return
    ending = "_" + name.upper()  # so that a bare TOKEN counts as well
    if ending.endswith(_PUBLIC):
        return
    if ending.endswith(_SEVERAL):
        parts = value.replace(",", " ").split()
        yield from ((f"{name}[{index}]", part) for index, part in enumerate(parts))
    elif ending.endswith(_ENDINGS) or ending.endswith(_GLUED):
        yield name, value
    elif ending.endswith(_ADDRESSES):
        yield from _passwords(name, value)


def _is_named(name: str, patterns: list[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _passwords(name: str, address: str) -> Iterator[tuple[str, str]]:
    authority = address.partition("://")[2]
    for delimiter in "/?#":
        authority = authority.partition(delimiter)[0]
    password = authority.rpartition("@")[0].partition(":")[2]
    yield name, password
    if "%" in password:
        from urllib.parse import unquote  # rare, and dear to import

        yield f"{name}[decoded]", unquote(password)


def _in_file(path: str, text: str) -> Iterator[tuple[str, str]]:
    name = path.rsplit("/", 1)[-1].upper().replace(".", "_").replace("-", "_")
    stripped = text.strip()
    if stripped.startswith("{"):
        import json  # not before the first such file

        try:
            yield from _in_object(name, json.loads(stripped))
        except ValueError:
            yield name, stripped
        return
    lines = [line for line in stripped.splitlines() if _is_content(line)]
    if lines and all(map(_is_assignment, lines)):
        pairs = (line.removeprefix("export ").partition("=") for line in lines)
        yield from environment_secrets({key.strip(): _unquoted(value) for key, _, value in pairs})
        return
    if stripped:
        yield name, stripped


def _in_object(name: str, value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if isinstance(item, str) and item.strip() and is_sensitive(key):
            yield f"{name}_{key.upper()}", item
        elif isinstance(item, dict):
            yield from _in_object(name, item)


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_assignment(line: str) -> bool:
    name = line.partition("=")[0].removeprefix("export ").strip()
    return "=" in line and _is_content(line) and name.isidentifier()


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
