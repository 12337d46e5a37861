"""Draws a Mermaid state diagram as SVG, so that the site needs nothing that must be fetched.

No layout of any graph: the states that something leaves stand in a row, in their order, the last
ones in a second row below. What leads on goes straight, what leads back in arcs above, and what
ends goes down. A last state has one cause whichever way it is reached, so the cause stands in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape

CHARACTER = 7.2
"""Width of a character, a little generous: the reader's font is not known."""

PADDING, GAP, HEIGHT = 16, 44, 44
ARC, DROP, SMALL = 30, 90, 6.2

_STYLE = (
    "text{font:14px sans-serif;fill:currentColor;text-anchor:middle}.why{font-size:12px;opacity:.8}"
    "rect,.edge{fill:none;stroke:currentColor}.edge{opacity:.55}"
)
_ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
    ' orient="auto"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker>'
)


@dataclass
class Diagram:
    """What the lines of a diagram say.

    Attributes:
        names: What is written in each state.
        edges: From, to and cause, in their order.
    """

    names: dict[str, str] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def going(self) -> list[str]:
        """The states that something leaves."""
        left = {start for start, _, _ in self.edges}
        return [state for state in self.names if state in left]

    @property
    def last(self) -> list[str]:
        """The states that nothing leaves."""
        return [state for state in self.names if state not in self.going]

    def causes(self, state: str) -> str:
        """What leads to a state."""
        return ", ".join(dict.fromkeys(why for _, end, why in self.edges if end == state))


def read(text: str) -> Diagram | None:
    """Read a diagram; None where it is of another kind.

    Raises:
        ValueError: A line is none that a state diagram of ours has.
    """
    head, *lines = text.strip().splitlines()
    if head.strip() != "stateDiagram-v2":
        return None
    diagram = Diagram()
    for line in map(str.strip, lines):
        if named := re.fullmatch(r'state "(.+)" as (\w+)', line):
            diagram.names[named[2]] = named[1]
        elif edge := re.fullmatch(r"(\w+) --> (\w+): (.+)", line):
            diagram.edges.append((edge[1], edge[2], edge[3]))
        elif "[*]" not in line:
            raise ValueError(f"no line of a state diagram: {line!r}")
    return diagram


def svg(diagram: Diagram) -> str:
    """Draw it; as wide as it needs, in the colour of the text around it."""
    return _Drawing(diagram).whole()


class _Drawing:
    """Places the boxes, then draws what is between them."""

    def __init__(self, diagram: Diagram) -> None:
        self._diagram = diagram
        self._parts: list[str] = []
        self._middle: dict[str, float] = {}
        self._half: dict[str, float] = {}
        self._arcs = [edge for edge in diagram.edges if self._is_arc(*edge[:2])]
        self._top = ARC * len(self._arcs) + HEIGHT / 2
        self._bottom = self._top + HEIGHT + DROP
        rows = (diagram.going, diagram.last)
        widths = [self._place(row) for row in rows]
        self._width = max(widths)
        for width, row in zip(widths, rows, strict=True):
            for state in row:
                self._middle[state] += (self._width - width) / 2

    def whole(self) -> str:
        for state in self._diagram.names:
            self._box(state)
        for start, end, why in self._diagram.edges:
            self._edge(start, end, why)
        self._draw_arcs()
        size = f"0 0 {self._width:.0f} {self._bottom + HEIGHT + 4:.0f}"
        named = escape(", ".join(self._diagram.names.values()), quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img"'
            f' aria-label="States: {named}" style="max-width:{self._width:.0f}px;width:100%">'
            f"<style>{_STYLE}</style><defs>{_ARROW}</defs>{''.join(self._parts)}</svg>"
        )

    def _is_arc(self, start: str, end: str) -> bool:
        going = self._diagram.going
        return end in going and going.index(end) != going.index(start) + 1

    def _place(self, row: list[str]) -> float:
        """Give each state of a row its place; returns the row's width."""
        at = 2.0
        for state, after in zip(row, [*row[1:], ""], strict=True):
            half = self._half[state] = self._half_of(state)
            self._middle[state] = at + half
            between = [why for a, b, why in self._diagram.edges if (a, b) == (state, after)]
            at += 2 * half + max([GAP, *(len(why) * SMALL + 2 * PADDING for why in between)])
        return at - GAP + 2

    def _half_of(self, state: str) -> float:
        width = len(self._diagram.names[state]) * CHARACTER
        if state in self._diagram.last:
            width = max(width, len(self._diagram.causes(state)) * SMALL)
        return width / 2 + PADDING

    def _box(self, state: str) -> None:
        is_last = state in self._diagram.last
        x, half = self._middle[state], self._half[state]
        y = self._bottom if is_last else self._top
        self._parts.append(
            f'<rect x="{x - half:.1f}" y="{y:.1f}" width="{2 * half:.1f}" height="{HEIGHT}"'
            ' rx="9"/>'
        )
        self._text(x, y + (19 if is_last else 27), self._diagram.names[state])
        if is_last:
            self._text(x, y + 36, self._diagram.causes(state), small=True)

    def _edge(self, start: str, end: str, why: str) -> None:
        if end in self._diagram.last:
            x, to = self._middle[start], self._middle[end]
            self._line(f"M{x:.1f} {self._top + HEIGHT:.1f} {to:.1f} {self._bottom:.1f}")
        elif not self._is_arc(start, end):
            x = self._middle[start] + self._half[start]
            to, y = self._middle[end] - self._half[end], self._top + HEIGHT / 2
            self._line(f"M{x:.1f} {y:.1f} {to:.1f} {y:.1f}")
            self._text((x + to) / 2, y - 7, why, small=True)

    def _draw_arcs(self) -> None:
        for number, (start, end, why) in enumerate(self._arcs, 1):
            x, to, y = self._middle[start], self._middle[end] + 8 * number, self._top
            high = y - ARC * number
            self._line(f"M{x:.1f} {y:.1f}C{x:.1f} {high:.1f} {to:.1f} {high:.1f} {to:.1f} {y:.1f}")
            if not any(arc[1:] == (end, why) for arc in self._arcs[number:]):
                self._text((x + to) / 2, y - ARC * number * 0.75 - 6, why, small=True)

    def _line(self, path: str) -> None:
        self._parts.append(f'<path class="edge" d="{path}" marker-end="url(#arrow)"/>')

    def _text(self, x: float, y: float, text: str, *, small: bool = False) -> None:
        kind = ' class="why"' if small else ""
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{escape(text)}</text>')
