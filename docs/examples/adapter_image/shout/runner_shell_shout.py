"""An adapter that shouts what it is told."""

from runner_shell import Adapter, Ending, Turn


class Shout(Adapter):
    """Says everything in capitals."""

    name = "shout"

    async def turn(self, turn: Turn) -> Ending:
        """One message."""
        async with turn.message("answer") as message:
            await message.text(turn.input.text().upper())
        return Ending("completed")
