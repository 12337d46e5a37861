"""What a runner was given in confidence is in no image, and before no tool of the agent's."""

from __future__ import annotations

import json

import pytest
from containers import PROJECT, ROOT, Session, code_of, engine, ours
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell.images import building, inspection, lock
from runner_shell.images.catalogue import IMAGES, Image

pytestmark = pytest.mark.slow

LOCK = lock.parse((ROOT / "uv.lock").read_text())

EVERY = "/proc/[0-9]*/environ /proc/[0-9]*/cmdline"
LOOK = f"(cat {EVERY} 2>&1 | tr '\\0' '\\n'; env; echo done) >seen"


@pytest.mark.bounded
@pytest.mark.parametrize("in_file", [False, True], ids=["BOT_TOKEN", "BOT_TOKEN_FILE"])
def test_no_tool_sees_the_token_in_any_process(session: Session, in_file: bool) -> None:
    """Claude's Bash reads every process's environment, the first one's too: no token is there."""
    replies = [Reply("I look.", tools=[ToolUse("Bash", {"command": LOOK})]), Reply("Done.")]
    with ScriptedModel(replies) as model:
        given = {**model.environment(), "PROMPT": "go", "NON_INTERACTIVE_POLICY": "allow"}
        container = session.start(ours("claude"), given, token_in_file=in_file)
        assert container.wait() == 0, container.said
    seen = session.file("seen")
    assert seen.endswith("done\n")
    assert "RUNNER_INSTANCE=" in seen or "PATH=" in seen
    assert session.token not in seen
    assert session.token not in container.said + container.log.read_text()


@pytest.mark.parametrize(
    "image",
    [pytest.param(one, marks=pytest.mark.bounded if one.name == "base" else ()) for one in IMAGES],
    ids=lambda one: one.name,
)
def test_no_secret_lies_in_an_image_and_nothing_but_what_was_locked(image: Image) -> None:
    """Every file of every layer, the history, the labels, and the environment beside the lock."""
    with building.saved(engine(), ours(image.name)) as opened:
        seen = inspection.inspect(opened, LOCK)
    assert list(seen.problems()) == []


@pytest.mark.bounded
@pytest.mark.parametrize("image", IMAGES, ids=lambda one: one.name)
def test_an_image_says_which_versions_are_in_it(image: Image) -> None:
    """Of the adapter, its framework and the bundled CLI: as locked, as labelled, as in the bill."""
    text = "print(open('/opt/runner-shell/versions.json').read())"
    said = json.loads(code_of(ours(image.name), text))
    assert (said["image"], said["runner-shell"]) == (image.name, PROJECT.version)
    folder = PROJECT.output / image.name
    labels = json.loads((folder / "labels.json").read_text())
    bill = json.loads((folder / "sbom.cdx.json").read_text())
    versions = {one["name"]: one["version"] for one in bill["components"]}
    if image.framework:
        locked = LOCK.package(image.framework).version
        assert said["framework"] == {"name": image.framework, "version": locked}
        assert labels["runner-shell.framework"] == f"{image.framework} {locked}"
        assert versions[image.framework] == locked
    assert bool(said.get("cli")) == (image.name == "claude")
    if image.name == "claude":
        assert said["cli"] in versions.values()
