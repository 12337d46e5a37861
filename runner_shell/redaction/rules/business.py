"""A company's money and customers: payments, shops, messages to customers, identity, fleets."""

from __future__ import annotations

from ..rule import Rule
from .samples import UUID, hexadecimal, lower, mixed

_WORD = r"[A-Za-z0-9]"

RULES = (
    Rule(
        name="paddle-key",
        vendor="Paddle",
        anchors=("pdl_live_apikey_", "pdl_sdbx_apikey_"),
        then=r"[0-9a-z]{26}_[A-Za-z0-9]{22}_[A-Za-z0-9]{3}",
        run=_WORD,
        source="https://developer.paddle.com/api-reference/about/authentication/",
        evidence="vendor",
        examples=(f"pdl_live_apikey_{lower(26)}_{mixed(22)}_{mixed(3)}",),
        counter_examples=("pdl_live_apikey_...", f"pdl_live_apikey_{lower(26)}"),
    ),
    Rule(
        name="asaas-key",
        vendor="Asaas",
        anchors=("$aact_",),
        then=r"(?:prod_|hmlg_)?[A-Za-z0-9]{60}",
        run=r"[A-Za-z0-9=+/_-]",
        source="https://docs.asaas.com/docs/api-keys",
        evidence="observed",
        examples=(f"$aact_prod_000{mixed(160)}", f"$aact_hmlg_000{mixed(160)}=="),
        counter_examples=("$aact_prod_...", "$aact_prod_key"),
    ),
    Rule(
        name="mercury-token",
        vendor="Mercury",
        anchors=("mercury_production_", "mercury_sandbox_"),
        then=r"[a-z]{2,8}_[A-Za-z0-9]{40}",
        run=r"[A-Za-z0-9_]",
        source="https://docs.mercury.com/docs/getting-started",
        evidence="vendor",
        examples=(f"secret-token:mercury_production_wma_{mixed(45)}_yrucrem",),
        counter_examples=("mercury_production_token", "mercury_sandbox_api_url"),
    ),
    Rule(
        name="woocommerce-key",
        vendor="WooCommerce",
        anchors=("cs_", "ck_"),
        then=r"[0-9a-f]{40}",
        closed=True,
        source="https://developer.woocommerce.com/docs/apis/rest-api/authentication/",
        evidence="observed",
        examples=(f"cs_{hexadecimal(40)}", f"ck_{hexadecimal(40)}"),
        counter_examples=("cs_test_a1", f"cs_{hexadecimal(41)}", f"docs_{hexadecimal(40)}"),
    ),
    Rule(
        name="klaviyo-key",
        vendor="Klaviyo",
        anchors=("pk_",),
        then=r"[0-9a-f]{34}",
        closed=True,
        source="https://developers.klaviyo.com/en/docs/retrieve_api_credentials",
        evidence="observed",
        examples=(f"Klaviyo-API-Key pk_{hexadecimal(34)}",),
        counter_examples=("pk_column", f"pk_{hexadecimal(32)}", f"pk_{hexadecimal(40)}"),
    ),
    Rule(
        name="onesignal-key",
        vendor="OneSignal",
        anchors=("os_v2_app_", "os_v2_org_"),
        then=r"[a-z2-7]{60}",
        run=r"[a-z2-7]",
        source="https://documentation.onesignal.com/docs/en/keys-and-ids",
        evidence="observed",
        examples=(f"os_v2_app_{'q7wz3ertyxu' * 9}abcd", f"os_v2_org_{'k7w3mzxq2vb5nt' * 7}abcde"),
        counter_examples=("os_v2_app_key", "os_v2_org_..."),
    ),
    Rule(
        name="telnyx-key",
        vendor="Telnyx",
        anchors=("KEY01",),
        then=r"[0-9A-F]{30}_[A-Za-z0-9]{16}",
        run=_WORD,
        source="https://developers.telnyx.com/development/api-fundamentals/authentication",
        evidence="observed",
        examples=(f"TELNYX_API_KEY=KEY01{hexadecimal(30).upper()}_{mixed(22)}",),
        counter_examples=("KEY01", f"KEY01{hexadecimal(30).upper()}"),
    ),
    Rule(
        name="persona-key",
        vendor="Persona",
        anchors=("persona_production_", "persona_sandbox_"),
        then=r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
        source="https://docs.withpersona.com/api-keys",
        evidence="observed",
        examples=(f"Bearer persona_production_{UUID}",),
        counter_examples=("persona_sandbox_key", "persona_production_base_url"),
    ),
    Rule(
        name="onfido-token",
        vendor="Onfido",
        anchors=tuple(
            f"api_{kind}{region}." for kind in ("live", "sandbox") for region in ("", "_us", "_ca")
        ),
        # The first part is an id; a dotted name in code has no digit.
        then=r"[A-Za-z0-9_-]{11}\.(?=[A-Za-z_-]{0,31}[0-9])[A-Za-z0-9_-]{32}",
        before="A-Za-z0-9_",
        source="https://developers.onfido.com/guide/get-started-integrating/",
        evidence="observed",
        examples=(
            f"Token token=api_live.{mixed(11)}.{mixed(32)}",
            f"api_sandbox_us.{mixed(11)}.{mixed(32)}",
        ),
        counter_examples=("api_live.php", f"test_api_live.{mixed(11)}.{mixed(32)}"),
    ),
    Rule(
        name="samsara-token",
        vendor="Samsara",
        anchors=("samsara_api_",),
        then=r"[A-Za-z0-9]{28}",
        run=_WORD,
        source="https://developers.samsara.com/docs/authentication",
        evidence="observed",
        examples=(f"Bearer samsara_api_{mixed(30)}",),
        counter_examples=("samsara_api_rate_limit_hit",),
    ),
)
