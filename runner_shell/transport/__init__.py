"""Carries the link's effects out: sockets, back-off, and the loop that drives a runner's link."""
