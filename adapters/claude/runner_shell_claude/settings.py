"""What the environment says about Claude."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from runner_shell import AdapterSettings, ConfigurationError

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk", "auto"]
Policy = Literal["ask", "deny", "allow", "defer"]


def _listed(value: Any) -> Any:
    """A list as JSON, or with commas."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        import json

        return tuple(json.loads(text))
    return tuple(_split(text))


def _split(text: str) -> list[str]:
    """Cut at commas, but not in the brackets of a rule such as `Bash(git log, git show)`."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


def _named(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class ClaudeSettings(AdapterSettings):
    """The Claude adapter's settings.

    Attributes:
        anthropic_api_key: The key; not needed with Vertex or Bedrock. For a gateway that needs none
            it is any word: without one Claude Code does not begin.
        anthropic_base_url: A gateway in place of Anthropic's API.
        model: The model; the CLI's own default where empty.
        fallback_model: What to go on with while the model is overloaded.
        effort: How hard it thinks.
        thinking_tokens: Tokens it may think for; 0 turns thinking off, none lets the CLI decide.
        max_output_tokens: Tokens one reply may have.
        temperature: Not honoured: the CLI has no such setting. It warns once.
        max_turns: Steps of the model in one turn.
        max_budget_usd: What a session may cost; checked between steps, so it overshoots by one.
        system_prompt: Added to Claude Code's own.
        system_prompt_replaces: Take `system_prompt` instead of Claude Code's own.
        tools: The tools there are; all of Claude Code's where empty.
        allowed_tools: Permission rules that allow, such as `Read` or `Bash(git log:*)`.
        disallowed_tools: Permission rules that deny.
        permission_mode: What Claude Code asks for by itself.
        policy: What becomes of a request that nobody answers: `ask` waits, `deny` and `allow`
            decide, `defer` ends the turn and leaves the question open for a later process.
        answer_seconds: How long a person has to answer before the policy decides.
        agents: Sub-agents by name, as the SDK's `AgentDefinition`.
        skills: Skills that may be used, by name.
        plugins: Directories of plugins.
        setting_sources: Settings files to load: `user`, `project`, `local`. None by default: a
            repository must not bring hooks that run with the runner's rights.
        sandbox: The SDK's sandbox settings.
        add_dirs: More directories the agent may work in.
        mcp_config: A file with MCP servers, or the JSON itself.
        mcp_allow_workspace: Take such a file from the workspace.
        mcp_variables: The variables that an MCP configuration may refer to.
        mcp_servers: MCP servers that run in the runner's process, by the name of an entry point
            or as `name=package.module:attribute`.
        runner_tools: Give Claude the tools `artifact` and `ask`.
        pass_environment: More variables that the CLI and its tools are to have.
        file_checkpoints: Keep the files' earlier states, for `files.rewind`.
        transcripts: Where the conversation is kept: in Claude Code's own `files`, or in the
            `store` of this adapter, which the SDK cannot combine with file checkpoints.
        hook_events: Say what hooks do.
        cli: The CLI to run in place of the bundled one.
        start_seconds: How long the CLI may take to start.
        options: More of the SDK's options, as JSON.
    """

    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = ""
    model: str = Field(default="", validation_alias=_named("CLAUDE_MODEL", "LLM_MODEL"))
    fallback_model: str = Field(default="", validation_alias=_named("CLAUDE_FALLBACK_MODEL"))
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, validation_alias=_named("CLAUDE_EFFORT")
    )
    thinking_tokens: int | None = Field(
        default=None, ge=0, validation_alias=_named("CLAUDE_THINKING_TOKENS")
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, validation_alias=_named("CLAUDE_MAX_OUTPUT_TOKENS", "LLM_MAX_TOKENS")
    )
    temperature: str = Field(default="", validation_alias=_named("LLM_TEMPERATURE"))
    max_turns: int | None = Field(default=None, ge=1, validation_alias=_named("CLAUDE_MAX_TURNS"))
    max_budget_usd: float | None = Field(
        default=None, gt=0, validation_alias=_named("CLAUDE_MAX_BUDGET_USD")
    )
    system_prompt: str = Field(default="", validation_alias=_named("CLAUDE_SYSTEM_PROMPT"))
    system_prompt_replaces: bool = Field(
        default=False, validation_alias=_named("CLAUDE_SYSTEM_PROMPT_REPLACES")
    )
    tools: Names = Field(default=(), validation_alias=_named("CLAUDE_TOOLS"))
    allowed_tools: Names = Field(default=(), validation_alias=_named("CLAUDE_ALLOWED_TOOLS"))
    disallowed_tools: Names = Field(default=(), validation_alias=_named("CLAUDE_DISALLOWED_TOOLS"))
    permission_mode: PermissionMode = "default"
    policy: Policy = Field(default="ask", validation_alias=_named("NON_INTERACTIVE_POLICY"))
    answer_seconds: float | None = Field(
        default=None, gt=0, validation_alias=_named("CLAUDE_ANSWER_SECONDS")
    )
    agents: dict[str, Any] = Field(default_factory=dict, validation_alias=_named("CLAUDE_AGENTS"))
    skills: Names = Field(default=(), validation_alias=_named("CLAUDE_SKILLS"))
    plugins: Names = Field(default=(), validation_alias=_named("CLAUDE_PLUGINS"))
    setting_sources: Names = Field(default=(), validation_alias=_named("CLAUDE_SETTING_SOURCES"))
    sandbox: dict[str, Any] | None = Field(default=None, validation_alias=_named("CLAUDE_SANDBOX"))
    add_dirs: Names = Field(default=(), validation_alias=_named("CLAUDE_ADD_DIRS"))
    mcp_config: str = Field(default="", validation_alias=_named("MCP_CONFIG_PATH", "MCP_CONFIG"))
    mcp_allow_workspace: bool = Field(
        default=False, validation_alias=_named("CLAUDE_ALLOW_WORKSPACE_MCP")
    )
    mcp_variables: Names = Field(default=(), validation_alias=_named("CLAUDE_MCP_VARIABLES"))
    mcp_servers: Names = Field(default=(), validation_alias=_named("CLAUDE_MCP_SERVERS"))
    runner_tools: bool = Field(default=True, validation_alias=_named("CLAUDE_RUNNER_TOOLS"))
    pass_environment: Names = Field(default=(), validation_alias=_named("CLAUDE_PASS_ENVIRONMENT"))
    file_checkpoints: bool = Field(default=True, validation_alias=_named("CLAUDE_FILE_CHECKPOINTS"))
    transcripts: Literal["files", "store"] = Field(
        default="files", validation_alias=_named("CLAUDE_TRANSCRIPTS")
    )
    hook_events: bool = Field(default=True, validation_alias=_named("CLAUDE_HOOK_EVENTS"))
    cli: Path | None = Field(default=None, validation_alias=_named("CLAUDE_CLI"))
    start_seconds: float = Field(
        default=60.0, gt=0, validation_alias=_named("CLAUDE_START_SECONDS")
    )
    options: dict[str, Any] = Field(default_factory=dict, validation_alias=_named("CLAUDE_OPTIONS"))

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether files can be rewound."""
        return self.file_checkpoints and self.transcripts == "files"

    def warnings(self) -> list[tuple[str, str]]:
        """What is set and cannot be honoured, by code."""
        if not self.temperature:
            return []
        message = "LLM_TEMPERATURE is set, but Claude Code has no temperature to set"
        return [("variable_not_honoured", message)]

    def check(self) -> None:
        """Look for what cannot work, before anything is started.

        Raises:
            ConfigurationError: Every problem, with what would be right.
        """
        problems = []
        asked_for = self.file_checkpoints and "file_checkpoints" in self.model_fields_set
        if self.transcripts == "store" and asked_for:
            problems.append(
                "CLAUDE_FILE_CHECKPOINTS is on, which the SDK cannot combine with "
                "CLAUDE_TRANSCRIPTS=store: leave one of them out"
            )
        if self.cli is not None and not self.cli.is_file():
            problems.append(f"CLAUDE_CLI is '{self.cli}', where there is no file")
        if self.system_prompt_replaces and not self.system_prompt:
            problems.append(
                "CLAUDE_SYSTEM_PROMPT_REPLACES is set without CLAUDE_SYSTEM_PROMPT: that would be "
                "the empty prompt"
            )
        unknown = sorted(set(self.setting_sources) - {"user", "project", "local"})
        if unknown:
            problems.append(
                f"CLAUDE_SETTING_SOURCES has {', '.join(unknown)}; there are user, project, local"
            )
        if problems:
            raise ConfigurationError(*problems)
