"""What no single vendor owns: tokens and keys by standard, and values that a name gives away."""

from __future__ import annotations

from base64 import b64encode

from ..rule import Rule
from .samples import mixed

_ASSIGNED = r"""(?:\\{0,3}["'])?[ ]{0,2}(?>=>|:=|=|:)[ ]{0,2}(?:\\{0,3}["'])?"""
"""A name's closing quote, an equals sign or colon, an opening quote, each of the usual kinds.

The sign is atomic: a value may begin with `=`, and where it begins may not hang on its length.
"""

_STRONG = r"(?=[^\s]{0,11}[0-9])(?=[^\s]{0,11}[A-Za-z])"
"""A letter and a digit within the first twelve characters, so that words stay."""

_VALUE = r"[A-Za-z0-9+/_.~!@#$%^&*=-]"

_NAMES = (
    "password", "Password", "PASSWORD", "passwd", "PASSWD", "passphrase", "Passphrase",
    "PASSPHRASE", "secret", "Secret", "SECRET", "token", "Token", "TOKEN", "api_key", "API_KEY",
    "apikey", "apiKey", "ApiKey", "APIKEY", "api-key", "Api-Key", "API-Key", "access_key",
    "ACCESS_KEY", "accessKey", "AccessKey", "private_key", "PRIVATE_KEY", "privateKey",
    "credential", "CREDENTIAL", "credentials", "CREDENTIALS",
)  # fmt: skip

_BASE64_LINE = r"[A-Za-z0-9+/]{16}"
_LINE_END = r"(?:\\{1,4}r)?(?:\\{1,4}n|\r?\n)"
"""The end of a line, as it is or escaped for JSON to three depths."""

_WEB_TOKENS = (
    "eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJlbmMi", "eyJjdHki", "eyJ4NXQi", "eyJqa3Ui", "eyJ6aXAi",
    "eyAiYWxnI", "eyAidHlwI",
)  # fmt: skip
_KEY_KINDS = ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "ANY ")


def _in_base64(text: str) -> str:
    """The characters that a text at the beginning has in Base64, whatever follows it."""
    return b64encode(text.encode()).decode()[: len(text) * 8 // 6]


RULES = (
    Rule(
        name="json-web-token",
        vendor="RFC 7519",
        anchors=_WEB_TOKENS,
        then=r"[A-Za-z0-9_-]{12}",
        run=r"[A-Za-z0-9_.-]",
        before="A-Za-z0-9+/",
        source="https://www.rfc-editor.org/rfc/rfc7519",
        evidence="vendor",
        examples=(
            f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIx{mixed(40)}.{mixed(43)}",
            f"Bearer eyJraWQiOiIx{mixed(300)}",
        ),
        counter_examples=("eyJhbGci", 'eyJhbGci..., the beginning of {"alg"'),
    ),
    Rule(
        name="private-key",
        vendor="RFC 7468",
        anchors=tuple(f"BEGIN {kind}PRIVATE KEY" for kind in _KEY_KINDS),
        then=(
            rf"-----{_LINE_END}"
            rf"(?:Proc-Type: [0-9],[A-Z]{{3,20}}{_LINE_END}"
            rf"DEK-Info: [A-Za-z0-9,-]{{4,80}}{_LINE_END}{_LINE_END})?"
            rf"[ \t]{{0,16}}(?P<secret>{_BASE64_LINE})"
        ),
        before="",
        run=r"[A-Za-z0-9+/=\\\r\n]|(?<=[\r\n])[ \t]|(?<=[\r\n ][ \t])[ \t]",
        source="https://www.rfc-editor.org/rfc/rfc7468",
        evidence="vendor",
        examples=(
            f"-----BEGIN PRIVATE KEY-----\n{mixed(64)}\n{mixed(64)}\n{mixed(20)}==\n"
            "-----END PRIVATE KEY-----",
            f'"-----BEGIN RSA PRIVATE KEY-----\\n{mixed(64)}\\n{mixed(10)}=\\n'
            '-----END RSA PRIVATE KEY-----\\n"',
            f'{{\\"key\\": \\"-----BEGIN EC PRIVATE KEY-----\\\\n{mixed(64)}\\\\n{mixed(20)}\\"}}',
        ),
        counter_examples=(
            "-----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n",
        ),
    ),
    Rule(
        name="private-key-base64",  # as in a kubeconfig, and in secrets of Kubernetes
        vendor="RFC 7468",
        anchors=tuple(
            _in_base64(f"-----BEGIN {kind}PRIVATE KEY") for kind in (*_KEY_KINDS, "PGP ")
        ),
        then=r"[A-Za-z0-9+/]{40}",
        run=r"[A-Za-z0-9+/=]",
        before="A-Za-z0-9+/",
        source="https://www.rfc-editor.org/rfc/rfc7468",
        evidence="vendor",
        examples=(
            f"client-key-data: {_in_base64('-----BEGIN RSA PRIVATE KEY-----')}{mixed(400)}==",
            f'"tls.key": "{_in_base64("-----BEGIN PRIVATE KEY-----")}{mixed(400)}"',
        ),
        counter_examples=(f"{_in_base64('-----BEGIN CERTIFICATE-----')}{mixed(400)}",),
    ),
    Rule(
        name="json-web-token-base64",  # as a service account's token in Kubernetes
        vendor="RFC 7519",
        anchors=tuple(map(_in_base64, _WEB_TOKENS)),
        then=r"[A-Za-z0-9+/]{40}",
        run=r"[A-Za-z0-9+/=]",
        before="A-Za-z0-9+/",
        source="https://www.rfc-editor.org/rfc/rfc7519",
        evidence="vendor",
        examples=(f"token: {_in_base64('eyJhbGciOiJSUzI1NiIsImtpZCI6I')}{mixed(400)}==",),
        counter_examples=(_in_base64("eyJhbGci"),),
    ),
    Rule(
        name="pgp-private-key",
        vendor="RFC 9580",
        anchors=("BEGIN PGP PRIVATE KEY BLOCK",),
        then=(
            rf"-----{_LINE_END}"
            rf"(?:(?:Version|Comment|Hash|Charset): [^\r\n\\]{{0,80}}{_LINE_END}){{0,3}}"
            rf"{_LINE_END}(?P<secret>{_BASE64_LINE})"
        ),
        before="",
        run=r"[A-Za-z0-9+/=\\\r\n]",
        source="https://www.rfc-editor.org/rfc/rfc9580",
        evidence="vendor",
        examples=(
            f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 2\n\n{mixed(64)}\n{mixed(64)}\n=abcd"
            "\n"
            "-----END PGP PRIVATE KEY BLOCK-----",
        ),
        counter_examples=("-----BEGIN PGP PRIVATE KEY BLOCK-----",),
    ),
    Rule(
        name="putty-private-key",
        vendor="PuTTY",
        anchors=("Private-Lines: ",),
        then=rf"[0-9]{{1,3}}{_LINE_END}(?P<secret>{_BASE64_LINE})",
        before="",
        run=r"[A-Za-z0-9+/=\\\r\n]",
        source="https://the.earth.li/~sgtatham/putty/latest/htmldoc/AppendixC.html",
        evidence="observed",
        examples=(f"Private-Lines: 2\n{mixed(64)}\n{mixed(32)}\n",),
        counter_examples=("Private-Lines: 2",),
    ),
    Rule(
        name="url-password",
        vendor="RFC 3986",
        anchors=("://",),
        then=r"[^\s/:@\"'<>`\\{}()|,;?#\[]{0,64}:(?P<secret>[^\s/@\"'<>`\\{}()|,;\[]{3,128})@",
        before="",
        source="https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
        evidence="vendor",
        examples=("postgres://app:Tr0ub4dor@db.example/app", "redis://:s3cr3t-value@cache:6379/0"),
        counter_examples=(
            "http://localhost:8080/@scope/package",
            "https://user@example.com/",
            "postgres://user:[REDACTED:DB]@host",
            "https://[REDACTED:GITHUB_TOKEN]@github.com/acme/app",
            "https://{user}:{password}@{host}",
        ),
        context=True,
    ),
    Rule(
        name="bearer-token",
        vendor="RFC 6750",
        anchors=("Bearer ", "bearer ", "BEARER "),
        then=r"(?=[^\s]{0,15}[0-9])(?P<secret>[A-Za-z0-9._~+/-]{16})",
        run=r"[A-Za-z0-9._~+/=-]",
        source="https://www.rfc-editor.org/rfc/rfc6750#section-2.1",
        evidence="vendor",
        examples=(f"Authorization: Bearer {mixed(40)}", f'"authorization": "bearer {mixed(20)}"'),
        counter_examples=("Bearer authentication-scheme is", "bearer tokens are", "Bearer <token>"),
        context=True,
    ),
    Rule(
        name="authorization-header",
        vendor="RFC 7617",
        anchors=("Authorization", "authorization", "AUTHORIZATION"),
        then=(
            _ASSIGNED + r"(?:Basic|basic|Digest|Token|token|ApiKey|Negotiate|GenieKey|Key|SSWS) "
            r"(?P<secret>[A-Za-z0-9+/_=.:-]{8})"
        ),
        run=r"[A-Za-z0-9+/_=.:-]",
        before="",
        source="https://www.rfc-editor.org/rfc/rfc7617",
        evidence="vendor",
        examples=(f"Authorization: Basic {mixed(24)}==", f'"Authorization": "token {mixed(40)}"'),
        counter_examples=("Authorization: Basic <b64>", "authorization: none"),
        context=True,
    ),
    Rule(
        name="assigned-secret",
        vendor="assignments under sensitive names",
        anchors=_NAMES,
        then=_ASSIGNED + _STRONG + rf"(?P<secret>{_VALUE}{{12}})",
        run=_VALUE,
        before="",
        source="https://12factor.net/config",
        evidence="observed",
        examples=(
            "DB_PASSWORD=Tr0ub4dor&3xyz",
            f'"client_secret": "{mixed(24)}"',
            f"api_key = '{mixed(20)}'",
            f"x-api-key: {mixed(32)}",
            f'{{\\"password\\": \\"{mixed(16)}\\"}}',
        ),
        counter_examples=(
            "password = get_password()",
            'token: "the-next-token-of-the-text"',
            "secret=os.environ['X']",
            "max_tokens=4096, temperature=0.2",
            "password: [REDACTED:PASSWORD]",
        ),
        context=True,
    ),
    Rule(
        name="command-line-password",
        vendor="curl and others",
        anchors=(
            "--password ",
            "--token ",
            "--api-key ",
            "--secret ",
            "--password=",
            "--pass ",
        ),
        then=_STRONG + rf"(?P<secret>{_VALUE}{{12}})",
        run=_VALUE,
        before="",
        source="https://curl.se/docs/manpage.html",
        evidence="observed",
        examples=(f"login --token {mixed(24)}",),
        counter_examples=("tool --token <token>", "tool --password prompt-for-it"),
        context=True,
    ),
    Rule(
        name="cookie",
        vendor="RFC 6265",
        anchors=("Set-Cookie: ", "set-cookie: ", "Cookie: ", "cookie: "),
        then=_STRONG.replace(r"[^\s]{0,11}", r"[^\s\[]{0,63}")  # a placeholder is no part of it
        + r"(?P<secret>[A-Za-z0-9_.%-]{1,40}=[A-Za-z0-9_.%+/=-]{24})",
        run=r"[A-Za-z0-9_.%+/=-]",
        source="https://www.rfc-editor.org/rfc/rfc6265",
        evidence="vendor",
        examples=(f"Cookie: session={mixed(40)}",),
        counter_examples=("Cookie: a=b", "Set-Cookie: theme=dark; Path=/"),
        context=True,
    ),
)
