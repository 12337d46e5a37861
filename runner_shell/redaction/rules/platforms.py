"""Smaller platforms whose tokens have one prefix and one alphabet: a table.

The prefixes are the vendors'; most of them document no length. The fewest characters here were
taken from an independent pack's expressions and have not been checked against a vendor's page:
`source` says where the vendor speaks of the token, not where its length stands.
"""

from __future__ import annotations

from ..rule import Rule
from .samples import hexadecimal, lower, mixed

_URL_WORD = r"[A-Za-z0-9_-]"

_TABLE: tuple[tuple[str, str, tuple[str, ...], int, str], ...] = (
    ("vercel-token", "Vercel", ("vcp_", "vck_", "vca_", "vcr_", "vci_"), 40,
     "https://vercel.com/docs/rest-api"),
    ("together-key", "Together AI", ("tgp_v1_",), 40,
     "https://docs.together.ai/docs/quickstart"),
    ("wandb-key", "Weights & Biases", ("wandb_v1_",), 40,
     "https://docs.wandb.ai/support/find_api_key/"),
    ("llama-cloud-key", "LlamaCloud", ("llx-",), 40,
     "https://docs.cloud.llamaindex.ai/api_key"),
    ("deno-token", "Deno Deploy", ("ddp_",), 36,
     "https://docs.deno.com/subhosting/api/authentication/"),
    ("cloudflare-token", "Cloudflare", ("cfut_", "cfat_"), 40,
     "https://developers.cloudflare.com/fundamentals/api/get-started/create-token/"),
    ("gemini-key", "Google", ("AQ.Ab",), 40,
     "https://ai.google.dev/gemini-api/docs/api-key"),
    ("apify-token", "Apify", ("apify_api_",), 32,
     "https://docs.apify.com/platform/integrations/api"),
    ("polar-token", "Polar", ("polar_oat_", "polar_pat_", "polar_at_"), 32,
     "https://polar.sh/docs/integrate/oat"),
    ("mailersend-token", "MailerSend", ("mlsn.",), 32,
     "https://developers.mailersend.com/general.html"),
    ("xendit-key", "Xendit", ("xnd_production_", "xnd_development_"), 32,
     "https://docs.xendit.co/docs/api-keys"),
    ("runpod-key", "Runpod", ("rpa_",), 40,
     "https://docs.runpod.io/get-started/api-keys"),
    ("nylas-key", "Nylas", ("nyk_",), 40,
     "https://developer.nylas.com/docs/v3/auth/"),
    ("render-key", "Render", ("rnd_",), 28,
     "https://render.com/docs/api"),
    ("astra-token", "DataStax Astra", ("AstraCS:",), 24,
     "https://docs.datastax.com/en/astra-db-serverless/administration/manage-application-tokens.html"),
    ("docker-swarm-token", "Docker", ("SWMTKN-1-", "SWMKEY-1-"), 40,
     "https://docs.docker.com/engine/swarm/join-nodes/"),
    ("cockroach-key", "CockroachDB Cloud", ("CCDB1_",), 40,
     "https://www.cockroachlabs.com/docs/cockroachcloud/managing-access"),
    ("readme-key", "ReadMe", ("rdme_",), 40,
     "https://docs.readme.com/main/reference/intro-to-the-readme-api"),
)  # fmt: skip
"""Name, vendor, prefixes, the fewest characters that follow, source."""

RULES = (
    *(
        Rule(
            name=name,
            vendor=vendor,
            anchors=prefixes,
            then=rf"[A-Za-z0-9_-]{{{fewest}}}",
            run=_URL_WORD,
            source=source,
            examples=tuple(prefix + mixed(fewest + 12) for prefix in prefixes),
            counter_examples=(prefixes[0] + "name", prefixes[0] + lower(fewest - 4)),
        )
        for name, vendor, prefixes, fewest, source in _TABLE
    ),
    Rule(
        name="harness-token",
        vendor="Harness",
        anchors=("pat.", "sat."),
        then=r"[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}",
        source="https://developer.harness.io/docs/platform/automation/api/add-and-manage-api-keys/",
        examples=(f"pat.{mixed(22)}.{hexadecimal(24)}.{mixed(20)}",),
        counter_examples=("pat.example", "sat.nav"),
    ),
    Rule(
        name="shippo-token",
        vendor="Shippo",
        anchors=("shippo_live_", "shippo_test_"),
        then=r"[0-9a-f]{40}",
        run=r"[0-9a-f]",
        source="https://docs.goshippo.com/docs/guides_general/authentication/",
        examples=(f"shippo_live_{hexadecimal(40)}",),
        counter_examples=("shippo_live_mode",),
    ),
)
