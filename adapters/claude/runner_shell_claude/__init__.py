"""The Claude Agent SDK adapter of runner-shell.

Reserved: the distribution has its room, its adapter is not written yet, so it registers none.
"""
