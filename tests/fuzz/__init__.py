"""Long random runs, replayable by their seed."""
