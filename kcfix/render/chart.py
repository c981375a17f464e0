"""Panels of a chart over one span of time, as SVG inside a page. Words stand beside it, so that they keep their size.

All that is drawn was given: between two points of a curve lies a straight line, or a step; a gap is a grey field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kcfix.render.markup import Html, Markup

WIDTH, HEIGHT, TOP = 1000.0, 100.0, 92.0
"""Of the drawing in its own units, which the page stretches; the highest value reaches `TOP`."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve. Times are shares of the span: 0 its beginning, 1 its end."""

    title: str
    unit: str
    """What is counted, in the plural."""
    points: tuple[tuple[float, float], ...] = ()
    """In order of time; a value below 0 is not possible."""
    steps: bool = False
    """Whether each value holds until the next point, or is only joined with it."""
    dots: tuple[tuple[float, float], ...] = ()
    """Single values that are joined with nothing."""
    gaps: tuple[tuple[float, float], ...] = ()
    """From and to: nothing is known of this time."""
    notes: tuple[str, ...] = ()
    """What is drawn, and what is not."""
    table: tuple[tuple[str, str], ...] = ()
    """The same in numbers: a time and a value, or what is in its place."""


def figure(m: Markup, panel: Panel, ticks: Sequence[tuple[float, str]]) -> Html:
    """The panel with its words, its axis and its numbers."""
    highest = max((value for _, value in (*panel.points, *panel.dots)), default=0.0)
    shown = f"{highest:,.0f}"
    drawing = m(
        "svg",
        *(
            m("rect", class_="gap", x=_n(a * WIDTH), y="0", width=_n((b - a) * WIDTH), height=_n(HEIGHT))
            for a, b in panel.gaps
        ),
        m("line", class_="grid", x1="0", x2=_n(WIDTH), y1=_n(HEIGHT - TOP), y2=_n(HEIGHT - TOP)),
        m("line", class_="axis", x1="0", x2=_n(WIDTH), y1=_n(HEIGHT), y2=_n(HEIGHT)),
        *_curve(m, panel, highest),
        *(_dot(m, x, y, highest) for x, y in panel.dots),
        viewBox=f"0 0 {_n(WIDTH)} {_n(HEIGHT)}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{panel.title}; at most {shown} {panel.unit}",
    )
    return m(
        "figure",
        m("figcaption", panel.title),
        m(
            "div",
            m("span", shown, class_="most") if highest else None,
            m("span", "0", class_="least"),
            drawing,
            class_="plot",
        ),
        axis(m, ticks),
        *(m("p", note, class_="note") for note in panel.notes),
        _numbers(m, panel) if panel.table else None,
    )


def axis(m: Markup, ticks: Sequence[tuple[float, str]]) -> Html:
    """The times below a drawing."""
    return m("div", *(m("span", label, style=f"left:{share * 100:.1f}%") for share, label in ticks), class_="ticks")


def marks(m: Markup, title: str, at: Sequence[float], ticks: Sequence[tuple[float, str]]) -> Html:
    """A row of moments: one stroke for each."""
    drawing = m(
        "svg",
        m("line", class_="axis", x1="0", x2=_n(WIDTH), y1=_n(HEIGHT), y2=_n(HEIGHT)),
        *(m("line", class_="mark", x1=_n(x * WIDTH), x2=_n(x * WIDTH), y1="20", y2=_n(HEIGHT)) for x in at),
        viewBox=f"0 0 {_n(WIDTH)} {_n(HEIGHT)}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{title}: {len(at)}",
    )
    return m("figure", m("figcaption", title), m("div", drawing, class_="plot low"), axis(m, ticks))


def _curve(m: Markup, panel: Panel, highest: float) -> Sequence[Html]:
    if not panel.points:
        return ()
    if len(panel.points) == 1:
        return (_dot(m, *panel.points[0], highest),)
    places = [(_n(x * WIDTH), _n(_height(y, highest))) for x, y in panel.points]
    line = f"M{places[0][0]} {places[0][1]}"
    for x, y in places[1:]:
        line += f"H{x}V{y}" if panel.steps else f"L{x} {y}"
    ground = _n(HEIGHT)
    area = f"{line}V{ground}H{places[0][0]}Z"
    return m("path", class_="area", d=area), m("path", class_="curve", d=line)


def _dot(m: Markup, x: float, y: float, highest: float) -> Html:
    """A stroke without length and with a round end: a circle, however the drawing is stretched."""
    return m("path", class_="dot", d=f"M{_n(x * WIDTH)} {_n(_height(y, highest))}h0")


def _height(value: float, highest: float) -> float:
    return HEIGHT - (TOP * value / highest if highest else 0.0)


def _numbers(m: Markup, panel: Panel) -> Html:
    head = m("tr", m("th", "time"), m("th", panel.unit, class_="right"))
    rows = (m("tr", m("td", at), m("td", value, class_="right")) for at, value in panel.table)
    return m("details", m("summary", "in numbers"), m("table", head, *rows))


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
