"""The bench of the Claude adapter: what it costs beside the Claude Agent SDK alone.

`python -m tests.bench.claude` prints two tables; `--markdown FILE` writes them as a page. The real
Claude Code runs everywhere, against one scripted model, so that the same messages come to all.

Rooms: `model` (the scripted model, a process of its own), `messages` (what a message costs, all
ways in one process), `bare` (the SDK alone as a process), `starts` (that process beside a real
runner: its first event, its peak memory), `report` (the tables and the page).
"""
