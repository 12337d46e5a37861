"""The container images: how they are built, what is in them, and what must not be.

Pure rooms: `catalogue` (which images there are), `project` (what the checkout says),
`requirements` (what each installs), `plan` (the builds in their order), `engine` (podman, buildah
or docker, and their command lines), `debian_base` (a base without a registry), `hardening` (how
an image is run), `sizes` (what each megabyte is), `labels`, `sbom`, `secrets`, `vulnerabilities`.
A saved image is read by `archive`, `contents` and `inspection`, with `distributions`, `debian`
and `bundled` (what records say is installed) beside `lock` and `target` (what should be) and
`versions`. Carried out by `context`, `building`, `checks` and `audit`.
"""
