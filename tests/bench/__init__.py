"""The bench of the start: how long a runner takes to its first frame, and how much memory.

`python -m tests.bench` prints one table; `--markdown FILE` writes it as a page. Everything is
measured beside a bare client in the same round and told as a ratio: a machine's own speed says
nothing, and no test fails because a machine is slow.

Rooms: `bare` (the client to compare with), `gateway` (a server that notes when frames come),
`processes` (what the kernel counted), `measure` (rounds), `report` (the table and the page).
"""
