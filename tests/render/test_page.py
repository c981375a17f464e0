"""Markup that can't be forgotten to be escaped, and a chart that draws what it was given."""

from __future__ import annotations

import re

from kcfix.render.chart import Panel, figure
from kcfix.render.markup import Html, Markup
from kcfix.render.page import page
from kcfix.render.spark import sparkline

TICKS = ((0.0, "10:00"), (1.0, "11:00"))


def test_only_markup_goes_in_as_it_is() -> None:
    m = Markup()
    inner = m("b", "<i>&\"'")
    assert inner == "<b>&lt;i&gt;&amp;&quot;&#x27;</b>"
    assert m("p", inner, "<br>", None) == f"<p>{inner}&lt;br&gt;</p>"
    assert m("p", class_='x" onclick="y') == '<p class="x&quot; onclick=&quot;y"></p>'
    assert isinstance(inner, Html)


def test_markup_that_was_put_together_with_text_is_text_again() -> None:
    m = Markup()
    assert m("p", m("b", "x") + "<script>") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;script&gt;</p>"


def test_secrets_are_taken_out_before_the_text_is_escaped() -> None:
    m = Markup(lambda text: text.replace("p&ss<word", "***"))
    assert m("p", "it is p&ss<word") == "<p>it is ***</p>"
    assert "***" in page(m, "p&ss<word")


def test_a_curve_goes_through_its_points_and_stays_away_from_gaps() -> None:
    drawn = figure(Markup(), Panel("t", "things", ((0.0, 0), (0.5, 5), (1.0, 10)), gaps=((0.0, 0.25),)), TICKS)
    assert 'class="curve" d="M0 100L500 54L1000 8"' in drawn
    assert 'class="gap" x="0" y="0" width="250"' in drawn
    steps = figure(Markup(), Panel("t", "things", ((0.0, 0), (0.5, 5), (1.0, 10)), steps=True), TICKS)
    assert 'class="curve" d="M0 100H500V54H1000V8"' in steps


def test_nothing_given_is_nothing_drawn() -> None:
    drawn = figure(Markup(), Panel("t", "things"), TICKS)
    assert not re.search('class="(curve|area|dot|gap|most)"', drawn)


def test_a_sparkline_tells_nothing_from_little_and_from_unknown() -> None:
    assert sparkline([0, 1, None, 1000]) == "▁▂?█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([3, None], blocks=False) == "#?"
    assert sparkline([]) == ""
