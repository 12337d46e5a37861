"""Smaller platforms whose tokens have one prefix and one alphabet: a table.

The prefixes are the vendors'. Most of these vendors state no length; the fewest characters here are
no more than what was seen, or, where nothing was, few enough to be safe.
"""

from __future__ import annotations

from ..rule import Evidence, Rule
from .samples import hexadecimal, lower, mixed

_URL_WORD = r"[A-Za-z0-9_-]"

_TABLE: tuple[tuple[str, str, tuple[str, ...], int, Evidence, str], ...] = (
    ("vercel-token", "Vercel", ("vcp_", "vck_", "vca_", "vcr_", "vci_"), 32, "observed",
     "https://vercel.com/changelog/new-token-formats-and-secret-scanning"),
    ("together-key", "Together AI", ("tgp_v1_",), 40, "observed",
     "https://docs.together.ai/docs/quickstart"),
    ("wandb-key", "Weights & Biases", ("wandb_v1_",), 40, "observed",
     "https://docs.wandb.ai/support/models/articles/why-does-my-api-key-fail-with-must-be-40-characters"),
    ("llama-cloud-key", "LlamaCloud", ("llx-",), 40, "observed",
     "https://developers.llamaindex.ai/python/cloud/api_key/"),
    ("deno-token", "Deno Deploy", ("ddo_", "ddp_"), 36, "vendor",
     "https://docs.deno.com/subhosting/api/authentication"),
    ("cloudflare-token", "Cloudflare", ("cfk_", "cfut_", "cfat_"), 40, "vendor",
     "https://developers.cloudflare.com/fundamentals/api/get-started/token-formats"),
    ("gemini-key", "Google", ("AQ.Ab",), 40, "observed",
     "https://ai.google.dev/gemini-api/docs/api-key"),
    ("apify-token", "Apify", ("apify_api_",), 32, "observed",
     "https://docs.apify.com/platform/integrations/api"),
    ("polar-token", "Polar",
     ("polar_oat_", "polar_pat_", "polar_at_", "polar_rt_", "polar_cs_", "polar_crt_"), 32,
     "observed",
     "https://github.com/polarsource/polar/blob/main/server/polar/kit/crypto.py"),
    ("mailersend-token", "MailerSend", ("mlsn.",), 32, "observed",
     "https://www.mailersend.com/help/managing-api-tokens"),
    ("xendit-key", "Xendit", ("xnd_production_", "xnd_development_"), 32, "observed",
     "https://docs.xendit.co/api-integration/api-keys/"),
    ("runpod-key", "Runpod", ("rpa_",), 40, "observed",
     "https://docs.runpod.io/get-started/api-keys"),
    ("nylas-key", "Nylas", ("nyk_",), 40, "observed",
     "https://developer.nylas.com/docs/v3/auth/nylas-app-credentials/"),
    ("readme-key", "ReadMe", ("rdme_",), 40, "observed",
     "https://github.com/readmeio/rdme"),
)  # fmt: skip
"""Name, vendor, prefixes, the fewest characters that follow, how they are known, source."""

RULES = (
    *(
        Rule(
            name=name,
            vendor=vendor,
            anchors=prefixes,
            then=rf"[A-Za-z0-9_-]{{{fewest}}}",
            run=_URL_WORD,
            source=source,
            evidence=evidence,
            examples=tuple(prefix + mixed(fewest + 12) for prefix in prefixes),
            counter_examples=(prefixes[0] + "name", prefixes[0] + lower(fewest - 4)),
        )
        for name, vendor, prefixes, fewest, evidence, source in _TABLE
    ),
    Rule(
        name="astra-token",
        vendor="DataStax Astra",
        anchors=("AstraCS:",),
        then=r"[A-Za-z0-9]{16,40}:[0-9a-f]{40}",  # the secret is what follows the second colon
        run=r"[0-9a-f]",
        source="https://github.com/datastax/astra-cli/blob/main/src/main/java/com/dtsx/astra/cli/core/models/AstraToken.java",
        evidence="observed",
        examples=(f"AstraCS:{mixed(24)}:{hexadecimal(64)}",),
        counter_examples=("AstraCS:token", f"AstraCS:{mixed(24)}"),
    ),
    Rule(
        name="docker-swarm-token",
        vendor="Docker",
        anchors=("SWMTKN-1-", "SWMKEY-1-"),
        then=r"[A-Za-z0-9+/-]{40}",
        run=r"[A-Za-z0-9+/-]",
        source="https://github.com/moby/swarmkit/blob/master/ca/config.go",
        evidence="observed",
        examples=(f"SWMTKN-1-{lower(50)}-{lower(25)}", f"SWMKEY-1-{mixed(20)}+/{mixed(21)}"),
        counter_examples=("SWMTKN-1-token", "SWMKEY-1-..."),
    ),
    Rule(
        name="cockroach-key",
        vendor="CockroachDB Cloud",
        anchors=("CCDB1_",),
        then=r"[A-Za-z0-9]{22}_[A-Za-z0-9]{40}",  # without the second part it is an id
        run=r"[A-Za-z0-9]",
        source="https://www.cockroachlabs.com/docs/cockroachcloud/cloud-api",
        evidence="observed",
        examples=(f"CCDB1_{mixed(22)}_{mixed(40)}",),
        counter_examples=(f"CCDB1_{mixed(22)}", "CCDB1_name"),
    ),
    Rule(
        name="render-key",
        vendor="Render",
        anchors=("rnd_",),
        then=r"[A-Za-z0-9]{24}",
        run=r"[A-Za-z0-9]",
        source="https://render.com/docs/api",
        evidence="observed",
        examples=(f"rnd_{mixed(28)}",),
        counter_examples=("rnd_generator_of_the_distribution", "rnd_seed"),
    ),
    Rule(
        name="harness-token",
        vendor="Harness",
        anchors=("pat.", "sat."),
        # The account comes first; the vendor's older tokens name none.
        then=r"(?:[A-Za-z0-9_-]{8,32}\.)?[0-9a-f]{24}\.[A-Za-z0-9]{20}",
        source="https://developer.harness.io/harness-platform/use-harness-platform/automation/api/add-and-manage-api-keys",
        evidence="observed",
        examples=(
            f"pat.{mixed(22)}.{hexadecimal(24)}.{mixed(20)}",
            f"sat.{hexadecimal(24)}.{mixed(20)}",
        ),
        counter_examples=("pat.example", "sat.nav"),
    ),
    Rule(
        name="shippo-token",
        vendor="Shippo",
        anchors=("shippo_live_", "shippo_test_"),
        then=r"[0-9a-f]{40}",
        run=r"[0-9a-f]",
        source="https://docs.goshippo.com/guides/authentication",
        evidence="observed",
        examples=(f"shippo_live_{hexadecimal(40)}",),
        counter_examples=("shippo_live_mode",),
    ),
)
