"""What a container starts: `python -m runner_shell`, configured by the environment alone."""

import gc


def start() -> None:
    """Run a runner; the process ends with it."""
    # The imports leave no garbage behind, and looking for some costs a twentieth of the start.
    # Collecting begins when the adapter is imported.
    gc.disable()
    from runner_shell.shell.process import main

    main()


if __name__ == "__main__":
    start()
