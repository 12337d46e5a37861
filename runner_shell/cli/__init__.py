"""The command line. Rooms: `app` (the commands), one module for each of them, and the terminal.

Imports are inside the commands, so that each loads only what it needs.
"""
