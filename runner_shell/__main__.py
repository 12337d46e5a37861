"""What a container starts: `python -m runner_shell`, configured by the environment alone."""

from runner_shell.shell.process import main

if __name__ == "__main__":
    main()
