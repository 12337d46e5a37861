"""One session with everything in this process's network namespace: gateway, model, container.

`python cut_off.py DIRECTORY IMAGE ALONE` prints what came of it, as JSON; ALONE is the container
whose network namespace it is.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from containers import Confinement, Session, ours  # noqa: E402
from outbound import unreachable  # noqa: E402
from real_processes import RealGateway, launcher  # noqa: E402
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse  # noqa: E402

GRAPH = Path(__file__).parents[2] / "docs/examples/langgraph_image/graph.py"


def main(directory: Path, image: str, alone: str) -> None:
    """Run the session."""
    replies = [Reply("I look.", tools=[ToolUse("Bash", {"command": "ls"})]), Reply("Done.")]
    with ExitStack() as stack, launcher(directory) as launched, ScriptedModel(replies) as model:
        session = Session(directory, RealGateway(launched, directory), stack)
        given = {"PROMPT": "go", "NON_INTERACTIVE_POLICY": "allow"}
        given |= {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "any"}
        given |= {"GRAPH": "./graph.py:graph"}
        container = session.start(
            ours(image),
            given,
            confinement=Confinement(network=f"container:{alone}"),
            files={"/app/graph.py": GRAPH},
        )
        code = container.wait()
        said = {"code": code, "said": container.said, "asked": len(model.requests)}
    print(json.dumps({**said, "unreachable": unreachable()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
