"""A page that stands for itself: one file, no script, nothing loaded, fit for a phone and for a dark room."""

from __future__ import annotations

from kcfix.render.markup import Html, Markup, Part

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#59636e;--line:#d5dae0;--box:#f4f6f8;--bad:#b3261e;
--warn:#8a5a00;--good:#1a7f37;--curve:#0b62c4;--gap:#8a94a033}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e3e7eb;--faint:#9aa4af;--line:#333a42;--box:#1d2228;
--bad:#ff8a80;--warn:#f0b849;--good:#5fd07a;--curve:#6cb0ff;--gap:#8a94a03d}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.4rem;line-height:1.25;margin:.2rem 0 .6rem}
h2{font-size:1.15rem;margin:2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:0 0 .4rem}
p{margin:.4rem 0}
ul,ol{padding-left:1.3rem;margin:.4rem 0}
li{margin:.25rem 0}
code,pre,time{font-family:ui-monospace,monospace;font-size:.88em}
pre{background:var(--box);padding:.6rem .7rem;border-radius:6px;white-space:pre-wrap;margin:.5rem 0}
article{border:1px solid var(--line);border-left:4px solid var(--faint);border-radius:6px;padding:.7rem .9rem;
margin:.8rem 0}
article article{margin:.8rem 0 .2rem}
.error{border-left-color:var(--bad)}.caution{border-left-color:var(--warn)}
.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}.good{color:var(--good);font-weight:600}
dl{margin:.3rem 0;display:grid;grid-template-columns:5.5rem 1fr;gap:.25rem .6rem}
dt{color:var(--faint)}dd{margin:0}
@media (max-width:30rem){dl{grid-template-columns:1fr;gap:0}dt{margin-top:.3rem;font-size:.85rem}}
figure{margin:1.1rem 0}
figcaption{font-weight:600;margin-bottom:.35rem}
.plot{position:relative;height:7.5rem;margin:0 .5rem 0 3.2rem}
.plot.low{height:1.4rem}
.plot svg{display:block;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;right:calc(100% + .4rem);font-size:.8rem;line-height:1;color:var(--faint);
white-space:nowrap}
.most{top:8%;transform:translateY(-50%)}.least{bottom:-.4rem}
.ticks{position:relative;height:1.3rem;margin:.3rem .5rem 0 3.2rem;font-size:.8rem;color:var(--faint)}
.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.ticks span:last-child{transform:translateX(-100%)}.ticks span:first-child{transform:none}
.whole{white-space:nowrap}
.note{color:var(--faint);font-size:.88rem;margin:.2rem 0}
svg *{vector-effect:non-scaling-stroke}
.axis,.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--faint)}
.gap{fill:var(--gap)}
.area{fill:var(--curve);opacity:.16}
.curve{fill:none;stroke:var(--curve);stroke-width:2;stroke-linejoin:round}
.dot{stroke:var(--curve);stroke-width:9;stroke-linecap:round}
.mark{stroke:var(--warn);stroke-width:2}
details{margin:.3rem 0}summary{color:var(--faint);font-size:.88rem;cursor:pointer}
table{border-collapse:collapse;font-size:.88rem;width:100%;max-width:26rem}
th,td{text-align:left;padding:.15rem .4rem .15rem 0;border-bottom:1px solid var(--line);vertical-align:top;
font-weight:400}
th{color:var(--faint)}.right{text-align:right}
.line{list-style:none;padding-left:0}.line li{padding:.25rem 0;border-bottom:1px solid var(--line);margin:0}
.line time{color:var(--faint);display:block}
@media (min-width:45rem){.line li{display:grid;grid-template-columns:14rem 1fr;gap:.8rem}}
@media print{body{max-width:none}details{display:none}}
""".strip()
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The browser is told that there is nothing to run and nothing to load, whatever the page came to hold."""


def page(m: Markup, title: str, *parts: Part) -> str:
    """The whole file."""
    head = m(
        "head",
        m("meta", charset="utf-8"),
        m("meta", http_equiv="Content-Security-Policy", content=POLICY),
        m("meta", name="viewport", content="width=device-width, initial-scale=1"),
        m("meta", name="referrer", content="no-referrer"),
        m("title", title),
        m("style", Html(STYLE)),
    )
    return f'<!doctype html>\n<html lang="en">\n{head}\n{m("body", *parts)}\n</html>\n'
