"""The shell: hosts one adapter in one runner, from start to exit code."""
