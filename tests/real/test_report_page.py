"""The incident report in a real browser: at the width of a phone nothing runs over the edge, and no script runs."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.ward import MINUTE, Ward

pytestmark = pytest.mark.real
LONG = "x" * 400
RUNNING = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"


@pytest.fixture(scope="module")
def browser() -> str:
    """The browser's program."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "chromium is missing: scripts/setup all"
    return found


@pytest.fixture
def report(run: Run, tmp_path: Path) -> Path:
    """The report of a stopped worker, with texts that are long and hostile."""
    ward = Ward()
    ward.end()
    ward.happened("kill", signal="15")
    for n in range(1, 40):
        ward.pay(n, ago=n * MINUTE)
    ward.log(f"{RUNNING} {LONG}")
    ward.kafkajs(f"[Consumer] Crash: KafkaJSNumberOfRetriesExceeded: {RUNNING} {LONG}")
    ward.dead_letter(0, 0, f"{RUNNING} {LONG}")
    file = tmp_path / "incident.html"
    run("doctor", "--sample", "60s", "--report", str(file), "--utc", **ward.parts)
    return file


def seen(browser: str, folder: Path, report: Path, width: int) -> dict[str, object]:
    """What the browser says of the report in a frame of that width; the frame's own policy stays in force."""
    frame = folder / "frame.html"
    frame.write_text(
        f'<iframe id="f" style="border:0;width:{width}px;height:800px" srcdoc="{html.escape(report.read_text())}">'
        "</iframe><script>onload=()=>{const d=document.getElementById('f').contentDocument;"
        "const e=d.documentElement;"
        "const over=[...d.querySelectorAll('*')].filter(x=>x.getBoundingClientRect().right>e.clientWidth+1"
        "&&!x.closest('svg')).map(x=>x.tagName+'.'+x.className);"
        "const h=[...d.querySelectorAll('.plot')].map(x=>x.getBoundingClientRect().height);"
        "document.body.dataset.seen=JSON.stringify({wide:e.scrollWidth,client:e.clientWidth,title:d.title,over,h,"
        "size:getComputedStyle(d.querySelector('.note')).fontSize,"
        "paper:getComputedStyle(d.body).backgroundColor})}</script>",
        encoding="utf-8",
    )
    ran = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={folder / 'profile'}",
         frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (found,) = re.findall(r'data-seen="([^"]*)"', ran.stdout)
    return dict(json.loads(html.unescape(found)))


@pytest.mark.parametrize("width", [320, 360, 1200])
def test_nothing_runs_over_the_edge_and_nothing_runs(browser: str, tmp_path: Path, report: Path, width: int) -> None:
    found = seen(browser, tmp_path, report, width)
    assert found["client"] == width or found["client"] == width - 15, "a scroll bar takes 15"
    assert found["over"] == []
    assert found["wide"] == found["client"]
    assert str(found["title"]).startswith("Incident report")
    assert len(found["h"]) >= 3  # type: ignore[arg-type]
    assert min(found["h"]) > 15  # type: ignore[call-overload]


def test_the_check_sees_what_is_too_wide(browser: str, tmp_path: Path, report: Path) -> None:
    wide = report.read_text(encoding="utf-8").replace("<body>", '<body><div style="width:500px">wide</div>')
    report.write_text(wide, encoding="utf-8")
    found = seen(browser, tmp_path, report, 360)
    assert found["over"] == ["DIV."]


@pytest.mark.parametrize(("blink", "light"), [("preferredColorScheme=1", True), ("preferredColorScheme=0", False)])
def test_it_is_drawn_light_and_dark(browser: str, tmp_path: Path, report: Path, blink: str, light: bool) -> None:
    shot = tmp_path / "shot.png"
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={shot}", "--window-size=600,900",
         f"--blink-settings={blink}", f"--user-data-dir={tmp_path / 'profile'}", report.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    red, green, blue = corner(shot)
    assert (min(red, green, blue) > 200) is light


def corner(png: Path) -> tuple[int, int, int]:
    """The first pixel of a picture of eight bits a colour."""
    import zlib

    data, at, body = png.read_bytes(), 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":
            body += data[at + 8 : at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(body)
    assert raw[0] in range(5), "the filter of the first line; for its first pixel all of them leave it as it is"
    return raw[1], raw[2], raw[3]
