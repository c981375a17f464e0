"""The manual page: every command and setting is in it, roff has nothing to say against it, and the wheel brings it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kcfix import __version__
from kcfix.cli.app import COMMANDS
from kcfix.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "kcfix.1"


def test_every_command_option_of_every_command_and_setting_is_in_it() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    assert all(f'.SS "kcfix {entry.name}"' in text for entry in COMMANDS)
    assert '.SS "kcfix offsets skip-one"' in text
    assert all(f".B {setting.variable}" in text for setting in SETTINGS)
    assert all(f".B {option}" in text for option in ("-C, --context NAME", "--confirm NAME", "--version"))
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES"):
        assert f".SH {section}" in text
    assert re.search(rf'^\.TH KCFIX 1 "\d{{4}}-\d\d-\d\d" "kcfix {re.escape(__version__)}"', text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="no mandoc here")
def test_mandoc_has_nothing_to_say_against_it() -> None:
    ran = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(PAGE)], capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == ""


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here")
def test_what_groff_prints_can_be_pasted() -> None:
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c", "-rLL=200n", str(PAGE)], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    plain = re.sub(r".\x08", "", ran.stdout)
    assert "kcfix missing -q | kcfix repair -" in plain
    assert "`kcfix config show`" in plain
    assert "can't" in plain


def test_the_wheel_installs_it_where_man_looks(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (found,) = [name for name in archive.namelist() if name.endswith("share/man/man1/kcfix.1")]
        assert archive.read(found) == PAGE.read_bytes()
