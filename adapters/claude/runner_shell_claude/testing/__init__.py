"""A scripted Messages API, so that the real CLI runs without a key, a network or a model.

Public, for whoever tests an agent on this adapter. Rooms: `script` (what a reply is), `wire` (a
reply as the API's events), `catalogue` (the list of models), `server` (the API on loopback).

```python
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

with ScriptedModel([Reply(tools=[ToolUse("Bash", {"command": "ls"})]), Reply("Done.")]) as model:
    environment = model.environment()  # for `ClaudeAgentOptions.env`, or the adapter's settings
```
"""

from __future__ import annotations

from .script import ApiError, Model, Reply, ToolUse
from .server import ModelRequest, ScriptedModel

__all__ = ["ApiError", "Model", "ModelRequest", "Reply", "ScriptedModel", "ToolUse"]
