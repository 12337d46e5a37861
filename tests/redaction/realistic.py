"""By hand: what no expression tells of the independent pack's formats."""

from __future__ import annotations

from base64 import b64encode

from runner_shell.redaction.rules.samples import UUID, digits, hexadecimal, mixed, upper

_JWT = f"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{mixed(120)}.{mixed(86)}"

TOKENS: dict[str, str] = {
    "alibaba-sts-access-key-id": f"STS.N{mixed(24)}",
    "alibaba-sts-security-token": f"CAIS9wF1q6Ft5B2yfSjI{mixed(500)}",
    "asaas-api-token": f"$aact_prod_000{mixed(160)}",
    "atlassian-api-token": f"ATATT3xFfGF0{mixed(170)}={upper(8)}",
    "aws-amazon-bedrock-api-key-long-lived": f"ABSKQmVkcm9ja0FQSUtleS{mixed(110)}",
    "aws-amazon-bedrock-api-key-short-lived": f"bedrock-api-key-{mixed(400)}",
    "circleci-personal-token": f"CCIPAT_{mixed(22)}_{hexadecimal(40)}",
    "clickup-personal-api-token": f"pk_{digits(8)}_{upper(32)}",
    "clojars-api-token": f"CLOJARS_{hexadecimal(60)}",
    "datastax-astra-application-token": f"AstraCS:{mixed(24)}:{hexadecimal(64)}",
    "devin-personal-api-key": f"apk_user_{mixed(140)}",
    "devin-service-api-key": f"apk_{mixed(92)}",
    "dropbox-short-lived-api-token": f"sl.u.{mixed(300)}",
    "flyio-access-token": f"FlyV1 fm2_{mixed(300)}",
    "gcp-application-default-credentials": (
        f'{{"client_secret": "d-FL95{mixed(18)}", "refresh_token": "1//0{mixed(99)}"}}'
    ),
    "gcp-service-account": (
        f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{mixed(64)}\\n{mixed(64)}\\n"'
    ),
    "grafana-cloud-api-token": f"glc_eyJ{mixed(150)}=",
    "jwt": _JWT,
    "jwt-base64": b64encode(_JWT.encode()).decode(),
    "klaviyo-api-key": f"pk_{hexadecimal(34)}",
    "lichess-personal-access-token": f"lip_{mixed(20)}",
    "mem0-api-key.1": f"m0-{mixed(40)}",
    "microsoft-teams-webhook": (
        f"https://acme.webhook.office.com/webhookb2/{UUID}@{UUID}/IncomingWebhook/"
        f"{hexadecimal(32)}/{UUID}"
    ),
    "miro-access-token": f"eyJtaXJvLm9yaWdpbiI6ImV1MDEifQ_{mixed(27)}",
    "monday-api-token.1": _JWT,
    "onfido-live-api-token-ca": f"api_live_ca.{mixed(11)}.{mixed(32)}",
    "onfido-live-api-token-eu": f"api_live.{mixed(11)}.{mixed(32)}",
    "onfido-live-api-token-us": f"api_live_us.{mixed(11)}.{mixed(32)}",
    "persona-production-api-key": f"persona_production_{UUID}",
    "polar-oauth-access-token": f"polar_at_u_{mixed(43)}",
    "polar-organization-access-token": f"polar_oat_{mixed(43)}",
    "polar-personal-access-token": f"polar_pat_{mixed(43)}",
    "private-key": f"-----BEGIN RSA PRIVATE KEY-----\n{mixed(64)}\n{mixed(64)}\n",
    "sendinblue-api-token": f"xkeysib-{hexadecimal(64)}-{mixed(16)}",
    "shippo-api-token": f"shippo_live_{hexadecimal(40)}",
    "slack-app-token": f"xapp-1-A0{upper(9)}-{digits(13)}-{hexadecimal(64)}",
    "slack-legacy-token": f"xoxs-{digits(11)}-{digits(11)}-{digits(12)}-{hexadecimal(32)}",
    "slack-legacy-workspace-token": f"xoxa-2-{digits(12)}-{digits(12)}-{hexadecimal(32)}",
    "stripe-access-token": f"rk_live_{mixed(99)}",
    "telegram-bot-api-token": f"{digits(10)}:AA{mixed(33)}",
    "telnyx-api-v2-key.1": f"KEY01{hexadecimal(30).upper()}_{mixed(22)}",
    "temporal-cloud-api-key.1": _JWT,
    "upcloud-api-token": f"ucat_01{upper(24)}",
    "val-town-api-token.1": f"vtwn_{mixed(28)}",
    "wakatime-api-key.2": f"waka_{UUID}",
    "workato-developer-api-token.1": f"wrkaus-{_JWT}",
    "yandex-access-token": f"t1.9euel{mixed(180)}.{mixed(86)}",
    "yandex-api-key": f"AQVN{mixed(36)}",
}
"""By the pack's id: a token as it is issued, where ours asks more than the pack; invented."""

PUBLIC = frozenset(
    {
        "devcycle-client-sdk-key",
        "devcycle-mobile-sdk-key",
        "mailgun-pub-key",
        "mapbox-api-token",
        "new-relic-browser-api-token",
        "posthog-project-api-key",
    }
)
"""Keys that vendors mean to stand in pages and apps."""

OTHERS = frozenset({"redirect-pizza-api-token.1", "segment-public-api-token.1"})
"""Formats that share a beginning with another vendor's, which ours finds."""
