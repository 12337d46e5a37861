"""How many kinds of credentials are found that nobody registered.

The values are made here from what is said of each format, not from the rules or their examples: the
alphabets and the lengths that are issued, at random. A value counts as found where no eight
characters of its secret part, one behind the other, are left.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable

import pytest

from runner_shell.redaction import Redactor, SecretRegistry

SAMPLES = 12
LEAST = 0.98
VISIBLE = 8
"""Characters in a row that would show that a secret part was left."""

WORD = string.ascii_letters + string.digits
URL = WORD + "-_"
BASE64 = WORD + "+/"
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
HEX = "0123456789abcdef"
DIGITS = string.digits

Parts = tuple[str | tuple[str, int], ...]
"""What a format consists of: a fixed text, or an alphabet and how many characters of it."""

_UUID: Parts = ((HEX, 8), "-", (HEX, 4), "-", (HEX, 4), "-", (HEX, 4), "-", (HEX, 12))

FORMATS: dict[str, Parts] = {
    "anthropic": ("sk-ant-api03-", (URL, 93), "AA"),
    "openai": ("sk-", (WORD, 20), "T3BlbkFJ", (WORD, 20)),
    "openai project": ("sk-proj-", (URL, 74), "T3BlbkFJ", (URL, 74)),
    "openrouter": ("sk-or-v1-", (HEX, 64)),
    "hugging face": ("hf_", (string.ascii_letters, 34)),
    "groq": ("gsk_", (WORD, 52)),
    "perplexity": ("pplx-", (WORD, 48)),
    "xai": ("xai-", (WORD, 80)),
    "replicate": ("r8_", (WORD, 37)),
    "nvidia": ("nvapi-", (URL, 64)),
    "together": ("tgp_v1_", (URL, 43)),
    "weights and biases": ("wandb_v1_", (WORD, 27), "_", (WORD, 49)),
    "langsmith": ("lsv2_pt_", (HEX, 32), "_", (HEX, 10)),
    "langfuse": ("sk-lf-", *_UUID),
    "pinecone": ("pcsk_", (WORD, 6), "_", (WORD, 63)),
    "gemini": ("AQ.Ab8RN6", (URL, 44)),
    "github": ("ghp_", (WORD, 36)),
    "github fine-grained": ("github_pat_", (WORD, 22), "_", (WORD, 59)),
    "github app": ("ghs_", (DIGITS, 7), "_eyJ", (URL, 60), ".eyJ", (URL, 250), ".", (URL, 342)),
    "gitlab": ("glpat-", (URL, 20)),
    "gitlab routable": ("glpat-", (URL, 27), ".01.", (LOWER, 9)),
    "npm": ("npm_", (WORD, 36)),
    "pypi": ("pypi-AgEIcHlwaS5vcmc", (URL, 150)),
    "docker": ("dckr_pat_", (URL, 27)),
    "rubygems": ("rubygems_", (HEX, 48)),
    "crates.io": ("cio", (WORD, 32)),
    "clojars": ("CLOJARS_", (HEX, 60)),
    "buildkite": ("bkua_", (HEX, 40)),
    "circleci": ("CCIPAT_", (WORD, 22), "_", (HEX, 40)),
    "sonarqube": ("squ_", (HEX, 40)),
    "aws access key": ("AKIA", (BASE32, 16)),
    "aws secret key": ("AWS_SECRET_ACCESS_KEY=", (BASE64, 40)),
    "aws session": ("IQoJb3JpZ2luX2Vj", (BASE64, 400)),
    "google": ("AIzaSy", (URL, 33)),
    "google client": ("GOCSPX-", (URL, 28)),
    "azure storage": ("AccountKey=", (BASE64, 86), "=="),
    "entra": ("abc8Q~", (URL, 34)),
    "digitalocean": ("dop_v1_", (HEX, 64)),
    "heroku": ("HRKU-AA", (URL, 58)),
    "cloudflare": ("cfut_", (WORD, 48)),
    "astra": ("AstraCS:", (string.ascii_letters, 24), ":", (HEX, 64)),
    "swarm unlock": ("SWMKEY-1-", (BASE64, 43)),
    "stripe": ("sk_live_", (WORD, 24)),
    "shopify": ("shpat_", (HEX, 32)),
    "plaid": ("access-production-", *_UUID),
    "slack": ("xoxb-", (DIGITS, 12), "-", (DIGITS, 13), "-", (WORD, 24)),
    "telegram": ((DIGITS, 10), ":AA", (URL, 33)),
    "sentry": ("sntryu_", (HEX, 64)),
    "dynatrace": ("dt0c01.", (BASE32, 24), ".", (BASE32, 64)),
    "cerebras": ("csk_", (WORD, 48)),
    "posthog": ("phx_", (WORD, 47)),
    "posthog oauth": ("pha_", (WORD, 43)),
    "terraform": ((WORD, 14), ".atlasv1.", (WORD, 67)),
    "one password": ("ops_eyJ", (URL, 800)),
    "doppler": ("dp.said.", (WORD, 40)),
    "snyk": ("snyk_uat.", (LOWER, 8), ".", (URL, 180), ".", (URL, 86)),
    "pulumi": ("pul-", (HEX, 40)),
    "vercel": ("vcp_", (WORD, 56)),
    "netlify": ("nfp_", (WORD + "_", 36)),
    "harness": ("pat.", (URL, 22), ".", (HEX, 24), ".", (WORD, 20)),
    "harness without account": ("pat.", (HEX, 24), ".", (WORD, 20)),
    "alibaba": ("LTAI5t", (WORD, 18)),
    "alibaba older": ("LTAI", (WORD, 12)),
    "jfrog key": ("AKCp8", (WORD, 68)),
    "jfrog reference": ("cmVmdGtuOjAxOjE3", (WORD, 48)),
    "nuget": ("oy2", (string.ascii_lowercase + "234567", 43)),
    "sourcegraph": ("sgp_", (HEX, 16), "_", (HEX, 40)),
    "square": ("EAAA", (URL, 60)),
    "square secret": ("sandbox-sq0csb-", (URL, 43)),
    "discord webhook": ("https://discord.com/api/v10/webhooks/", (DIGITS, 19), "/", (URL, 68)),
    "sendgrid": ("SG.", (URL, 22), ".", (URL, 43)),
    "mailgun": ("key-", (LOWER, 32)),
    "resend": ("re_", (WORD, 8), "_", (WORD, 24)),
    "hubspot": ("pat-na1-", *_UUID),
    "airtable": ("pat", (WORD, 14), ".", (HEX, 64)),
    "linear": ("lin_api_", (WORD, 40)),
    "linear oauth": ("lin_oauth_", (HEX, 64)),
    "easypost": ("EZAK", (HEX, 32), (WORD, 22)),
    "typeform": ("tfp_", (WORD, 44), "_", (WORD, 14)),
    "json web token": ("eyJhbGciOiJIUzI1NiJ9.eyJ", (URL, 80), ".", (URL, 43)),
    "private key": ("-----BEGIN PRIVATE KEY-----\n", (BASE64, 64), "\n", (BASE64, 64), "\n"),
    "private key in base64": ("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ", (BASE64, 800)),
    "web token in base64": ("ZXlKaGJHY2lPaUpTVXpJMU5pSXNJbXRwWkNJNkl", (WORD, 800)),
    "minimax": ("sk-api-", (URL, 119)),
    "brave": ("BSA", (URL, 28)),
    "brave longer": ("BSA", (URL, 40)),
    "mem0": ("m0-", (WORD, 40)),
    "cartesia": ("sk_car_", (WORD, 22)),
    "devin personal": ("apk_user_", (WORD, 140)),
    "devin service": ("apk_", (WORD, 92)),
    "databento": ("db-", (WORD, 29)),
    "unkey": ("unkey_3Z", (WORD, 22)),
    "val town": ("vtwn_", (WORD, 28)),
    "zuplo": ("zpka_", (HEX, 32), "_", (HEX, 8)),
    "wakatime": ("waka_", *_UUID),
    "lichess": ("lip_", (WORD, 20)),
    "configcat": ("configcat-sdk-1/", (URL, 22), "/", (URL, 22)),
    "clickup": ("pk_", (DIGITS, 9), "_", (UPPER, 32)),
    "miro": ("eyJtaXJvLm9yaWdpbiI6ImV1MDEifQ_", (URL, 27)),
    "mapbox": ("sk.eyJ1Ijoi", (WORD, 72), ".", (URL, 22)),
    "dropbox": ("sl.u.", (URL, 1100)),
    "paddle": ("pdl_live_apikey_", (LOWER, 26), "_", (WORD, 22), "_", (WORD, 3)),
    "asaas": ("$aact_prod_000", (WORD, 160)),
    "mercury": ("secret-token:mercury_production_wma_", (WORD, 45), "_yrucrem"),
    "woocommerce": ("cs_", (HEX, 40)),
    "klaviyo": ("pk_", (HEX, 34)),
    "onesignal": ("os_v2_app_", (string.ascii_lowercase + "234567", 103)),
    "telnyx": ("KEY01", ("0123456789ABCDEF", 30), "_", (WORD, 22)),
    "persona": ("persona_sandbox_", *_UUID),
    "onfido": ("api_live.", (URL, 11), ".", (URL, 32)),
    "samsara": ("samsara_api_", (WORD, 30)),
    "one password account": (
        *("A3-", (UPPER, 6), "-", (UPPER, 6), "-", (UPPER, 5)),
        *("-", (UPPER, 5), "-", (UPPER, 5), "-", (UPPER, 5)),
    ),
    "elastic cloud": ("essu_", (BASE64, 83), "="),
    "aikido": ("AIK_CI_", (WORD, 64)),
    "alibaba session key": ("STS.N", (WORD, 24)),
    "alibaba older session key": ("STS.L", (WORD, 24)),
    "alibaba session": ("CAIS9wF1q6Ft5B2yfSjI", (BASE64, 500)),
    "yandex": ("AQVN", (URL, 36)),
    "yandex iam": ("t1.", (URL, 180), ".", (URL, 86)),
    "yandex iam, padded": ("t1.7euel", (URL, 92), "==.", (URL, 86)),
    "upcloud": ("ucat_01", (UPPER, 24)),
}

CONTEXTS: dict[str, Callable[[str], str]] = {
    "a sentence": lambda value: f"I tried it with {value} and it worked.",
    "json inside json": lambda value: json.dumps({"log": json.dumps({"line": f"got {value}"})}),
}

_PUBLIC = {
    "astra": 1,
    "slack": 2,
    "telegram": 1,
    "dynatrace": 1,
    "github app": 1,
    "terraform": 1,
    "snyk": 1,
    "harness": 2,
    "harness without account": 1,
    "sourcegraph": 1,
    "discord webhook": 1,
    "airtable": 1,
    "clickup": 1,
    "onfido": 1,
}
"""Formats whose first parts are ids: what follows them is the secret."""

redactor = Redactor(SecretRegistry())


def make(parts: Parts, chance: random.Random) -> tuple[str, list[str]]:
    """A value, and its random parts."""
    made = [
        part if isinstance(part, str) else "".join(chance.choices(part[0], k=part[1]))
        for part in parts
    ]
    drawn = [text for text, part in zip(made, parts, strict=True) if not isinstance(part, str)]
    return "".join(made), drawn


def shows(text: str, secrets: list[str]) -> bool:
    """Whether eight characters of one of them, or a shorter one whole, stand in a text."""
    return any(
        secret[at : at + VISIBLE] in text
        for secret in secrets
        for at in range(max(1, len(secret) - VISIBLE + 1))
    )


def missed(name: str, context: Callable[[str], str]) -> int:
    """How many of a format's samples are left, in whole or in part."""
    chance, left = random.Random(name), 0
    for _ in range(SAMPLES):
        value, drawn = make(FORMATS[name], chance)
        left += shows(redactor.text(context(value)), drawn[_PUBLIC.get(name, 0) :])
    return left


@pytest.mark.parametrize("context", CONTEXTS)
def test_at_least_ninety_eight_of_a_hundred_are_found(context: str) -> None:
    """Of a hundred and twenty-one formats that are issued, whatever stands around them."""
    left = {name: missed(name, CONTEXTS[context]) for name in FORMATS}
    assert len(FORMATS) == 121
    assert sum(left.values()) <= (1 - LEAST) * SAMPLES * len(FORMATS), left


def test_the_measure_sees_what_is_left() -> None:
    """A value that nothing redacts counts as missed, and so does one whose tail shows."""
    value, drawn = make(("zz_unknown_", (HEX, 40)), random.Random(1))
    assert shows(redactor.text(f"see {value}."), drawn)
    assert shows(f"[REDACTED:X]{drawn[0][-VISIBLE:]}", drawn)
    assert not shows("[REDACTED:X]", drawn)
