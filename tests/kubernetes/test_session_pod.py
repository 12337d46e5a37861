"""What a session's Job gives its runner: variables that are read, places to write, time to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from job_rules import quantity
from rendered_manifests import OVERLAYS, ROOT, Manifest, container, job, one, overlay, render
from runner_shell_claude.settings import ClaudeSettings
from runner_shell_langgraph.settings import LangGraphSettings

from runner_shell import AdapterSettings, __version__
from runner_shell.control.client import ANSWER_SECONDS
from runner_shell.shell.configuration import environment
from runner_shell.shell.guard.tree import ENDING_SECONDS
from runner_shell.shell.signals import LAST_RESORT_SECONDS

ADAPTERS: dict[str, type[AdapterSettings]] = {
    "claude": ClaudeSettings,
    "langgraph": LangGraphSettings,
}
OF_THE_SYSTEM = {"HOME"}


def pod(name: str) -> Manifest:
    """An overlay's pod."""
    found = job(name)["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def variables(manifests: list[Manifest]) -> dict[str, str]:
    """What a container finds in its environment, without the Secret's."""
    found = container(one(manifests, "Job"))
    [source] = [each["configMapRef"] for each in found["envFrom"] if "configMapRef" in each]
    told: dict[str, str] = dict(one(manifests, "ConfigMap", source["name"])["data"])
    own = found["env"]
    return told | {variable["name"]: variable["value"] for variable in own}


def names_read_by(settings: type[AdapterSettings]) -> Iterator[str]:
    """The variables that an adapter reads."""
    for name, field in settings.model_fields.items():
        alias: Any = field.validation_alias
        yield from alias.choices if alias is not None else (name.upper(),)


@pytest.mark.parametrize("name", [*OVERLAYS, "example"])
def test_every_variable_is_read(name: str, example: list[Manifest]) -> None:
    """Nothing is set in vain: the shell or the image's adapter reads each variable."""
    manifests = example if name == "example" else overlay(name)
    read = {name for variable in environment.VARIABLES for name in variable.names} | OF_THE_SYSTEM
    adapter = variables(manifests)["RUNNER_ADAPTER"]
    assert set(variables(manifests)) <= read | set(names_read_by(ADAPTERS[adapter]))


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_image_is_the_adapter_s_of_this_version(name: str) -> None:
    """An overlay takes the image that it is named after, as this version builds it."""
    image = name.partition("-")[0]
    found = container(job(name))
    assert found["image"] == f"runner-shell/{image}:{__version__}"
    assert variables(overlay(name))["RUNNER_ADAPTER"] == image


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_token_is_a_file_and_no_variable(name: str) -> None:
    """The token is mounted, readable by its group alone, where it can be replaced while in use."""
    told = variables(overlay(name))
    assert "BOT_TOKEN" not in told
    directory, _, file = told["BOT_TOKEN_FILE"].rpartition("/")
    [mount] = [each for each in container(job(name))["volumeMounts"] if each["name"] == "token"]
    [volume] = [each for each in pod(name)["volumes"] if each["name"] == "token"]
    assert mount == {"name": "token", "mountPath": directory, "readOnly": True}
    assert volume["secret"]["defaultMode"] == 0o440
    assert volume["secret"]["items"] == [{"key": file, "path": file}]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_cluster_is_not_handed_out(name: str) -> None:
    """No account token, no addresses of services, and an account that gives no token by itself."""
    found = pod(name)
    account = one(overlay(name), "ServiceAccount")
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert found["serviceAccountName"] == account["metadata"]["name"]
    assert account["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in found["volumes"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_workspace_state_and_tmp_can_be_written(name: str) -> None:
    """The root is read-only, and of the mounts three are not."""
    found = container(job(name))
    assert found["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {each["mountPath"] for each in found["volumeMounts"] if not each.get("readOnly")}
    assert writable == {"/workspace", "/state", "/tmp"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_state_outlives_the_pod_and_is_the_runner_s_own(name: str) -> None:
    """State and workspace lie apart on the session's claim; the state below what is root's."""
    told = variables(overlay(name))
    mounts = {mount["mountPath"]: mount for mount in container(job(name))["volumeMounts"]}
    state, workspace = mounts["/state"], mounts["/workspace"]
    assert told["RUNNER_STATE_DIR"].startswith("/state/")
    assert told["WORKSPACE_PATH"] == "/workspace"
    assert state["name"] == workspace["name"]
    assert state["subPath"] != workspace["subPath"]
    [volume] = [each for each in pod(name)["volumes"] if each["name"] == state["name"]]
    claim = one(overlay(name), "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) > 0


@pytest.mark.parametrize("name", OVERLAYS)
def test_two_pods_of_a_session_never_overlap(name: str) -> None:
    """One pod at a time, the next only when the one before has ended; the last is kept a day."""
    spec = job(name)["spec"]
    assert spec["ttlSecondsAfterFinished"] == 24 * 60 * 60
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec.get("parallelism", 1) == spec.get("completions", 1) == 1
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", OVERLAYS)
def test_there_is_time_to_end_in_order(name: str) -> None:
    """The kubelet waits longer than a runner takes that has to be ended by its guardian."""
    grace = float(variables(overlay(name))["RUNNER_GRACE_SECONDS"])
    longest = grace + LAST_RESORT_SECONDS + ENDING_SECONDS
    assert pod(name)["terminationGracePeriodSeconds"] > longest


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_session_that_is_out_of_time_says_so_itself(name: str) -> None:
    """TIMEOUT comes before the Job's deadline, with time to end in order and to get started."""
    told = variables(overlay(name))
    needed = float(told["TIMEOUT"]) + pod(name)["terminationGracePeriodSeconds"]
    assert needed < job(name)["spec"]["activeDeadlineSeconds"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_ending_is_read_from_where_it_is_written(name: str) -> None:
    """Kubernetes reads the termination log that the shell writes, and the logs if there is none."""
    [written] = [each for each in environment.VARIABLES if each.field == "termination_log"]
    told = variables(overlay(name))
    found = container(job(name))
    assert not set(written.names) & set(told)
    assert found["terminationMessagePath"] == str(environment.Settings().termination_log)
    assert found["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("name", OVERLAYS)
def test_memory_and_disk_are_bounded(name: str) -> None:
    """Requests and limits are there; /tmp fits into the limit; Claude Code has its 512 MiB."""
    resources = container(job(name))["resources"]
    [tmp] = [volume for volume in pod(name)["volumes"] if volume["name"] == "tmp"]
    assert quantity(tmp["emptyDir"]["sizeLimit"]) < quantity(
        resources["limits"]["ephemeral-storage"]
    )
    assert "cpu" in resources["requests"]
    least = "512Mi" if name.startswith("claude") else "256Mi"
    assert quantity(resources["requests"]["memory"]) >= quantity(least)


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_probe_ends_a_runner(name: str) -> None:
    """What is probed tells people; it restarts nobody that waits for a gateway."""
    found = container(job(name))
    assert "livenessProbe" not in found
    assert "startupProbe" not in found
    probe = found["readinessProbe"]
    assert probe["exec"]["command"] == ["python", "-m", "runner_shell.control"]
    assert probe["timeoutSeconds"] > ANSWER_SECONDS  # the probe's own word comes first
    assert probe["periodSeconds"] >= probe["timeoutSeconds"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_carries_the_recommended_labels(name: str) -> None:
    """Whatever is applied can be found, and taken away, by its labels; the pods too."""
    manifests = overlay(name)
    for labelled in [*manifests, one(manifests, "Job")["spec"]["template"]]:
        labels = labelled["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "runner-shell"
        assert labels["app.kubernetes.io/part-of"] == "runner-shell"


def test_a_session_of_its_own(example: list[Manifest]) -> None:
    """The example has names, a volume, a token and words of its own, and an exact image."""
    session = one(example, "Job", "runner-my-session")
    found = container(session)
    told = variables(example)
    assert told["SESSION_ID"] == "my-session"
    assert told["PROMPT"] == "Report on the repository in the workspace.\n"
    assert re.fullmatch(r"registry\.example\.org/agents/report@sha256:[0-9a-f]{64}", found["image"])
    volumes = {volume["name"]: volume for volume in session["spec"]["template"]["spec"]["volumes"]}
    claim = one(example, "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["session"]["persistentVolumeClaim"]["claimName"] == claim
    assert claim == "runner-session-my-session"
    assert volumes["token"]["secret"]["secretName"] == "runner-token-my-session"
    assert one(example, "Secret")["metadata"]["name"] == "runner-token-my-session"
    assert session["spec"]["template"]["spec"]["serviceAccountName"] == "runner"
    assert {each["metadata"]["namespace"] for each in example} == {"agents"}
    assert not [each for each in example if each["kind"] == "NetworkPolicy"]


def test_without_a_volume_nothing_is_tried_again(scratch: list[Manifest]) -> None:
    """A session that keeps nothing has no claim, fits its limits, and is given no second pod."""
    session = one(scratch, "Job")
    kinds = {each["kind"] for each in scratch}
    [volume] = [
        each for each in session["spec"]["template"]["spec"]["volumes"] if each["name"] == "session"
    ]
    assert "PersistentVolumeClaim" not in kinds
    assert set(volume) == {"name", "emptyDir"}
    assert session["spec"]["backoffLimit"] == 0
    limits = container(session)["resources"]["limits"]
    assert quantity(volume["emptyDir"]["sizeLimit"]) < quantity(limits["ephemeral-storage"])


def test_the_base_s_name_is_not_left(example: list[Manifest]) -> None:
    """Every directory that is meant to be applied has an image that runs an agent."""
    sessions = [render(ROOT / "sessions" / name) for name in OVERLAYS]
    for manifests in [*sessions, example]:
        assert "runner-shell/base" not in container(one(manifests, "Job"))["image"]
