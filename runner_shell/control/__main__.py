"""Ask a runner how it stands, without importing more than that needs.

    python -m runner_shell.control [STATE_DIR]

Without an argument RUNNER_STATE_DIR counts, else the user's own directory for SESSION_ID. It prints
the JSON object, and exits as `client` says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .client import ASKED_WRONGLY, NOBODY, NobodyAnswers, ask, exit_code
from .location import named_socket


def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if len(arguments) > 1 or arguments[:1] == ["--help"]:
        print(__doc__, file=sys.stderr)
        return ASKED_WRONGLY
    path = named_socket(Path(arguments[0]) if arguments else None, "", os.environ)
    if path is None:
        print("give a state directory, or set RUNNER_STATE_DIR or SESSION_ID", file=sys.stderr)
        return ASKED_WRONGLY
    try:
        status = ask(path)
    except NobodyAnswers as error:
        print(error, file=sys.stderr)
        return NOBODY
    print(json.dumps(status))
    return exit_code(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
