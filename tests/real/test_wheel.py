"""The distributions, as a user gets them: built from this checkout and installed where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from kcfix import __version__

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    ran([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the wheel and what it asks for, and nothing else."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    ran([sys.executable, "-m", "venv", str(environment)])
    python = environment / "bin" / "python"
    [wheel] = dist.glob("*.whl")
    ran([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return environment / "bin"


def ran(argv: list[str], cwd: Path | None = None) -> str:
    """What it said on standard output; it must end well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_an_installed_kcfix_says_its_version_its_commands_and_its_rules(installed: Path, tmp_path: Path) -> None:
    kcfix = str(installed / "kcfix")
    assert ran([kcfix, "--version"], cwd=tmp_path).strip().endswith(__version__)
    shown = ran([kcfix, "--help"], cwd=tmp_path)
    assert all(command in shown for command in ("status", "lag", "repair", "restart", "doctor", "drill"))
    assert "W001" in ran([kcfix, "explain", "W001"], cwd=tmp_path)


@pytest.mark.timeout(600)
def test_an_installed_kcfix_is_complete_without_this_checkout(installed: Path, tmp_path: Path) -> None:
    python = str(installed / "python")
    where = ran([python, "-c", "import kcfix; print(kcfix.__file__)"], cwd=tmp_path).strip()
    assert not Path(where).is_relative_to(ROOT)
    imported = ran(
        [
            python,
            "-c",
            "import pkgutil, importlib, kcfix\n"
            "names = [m.name for m in pkgutil.walk_packages(kcfix.__path__, 'kcfix.') if '__main__' not in m.name]\n"
            "[importlib.import_module(name) for name in names]; print(len(names))",
        ],
        cwd=tmp_path,
    )
    assert int(imported) > 300, "not all modules were found"
    ran([python, "-m", "pip", "check"], cwd=tmp_path)


def test_the_wheel_has_every_file_of_the_package_and_nothing_beside_it(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("kcfix/")}
    tracked = ran(["git", "ls-files", "kcfix"], cwd=ROOT).split()
    assert inside == set(tracked)


def test_the_source_distribution_has_all_that_the_tests_need(dist: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(ran(["git", "ls-files"], cwd=ROOT).split())
    assert tracked - inside <= {".ci/run"} | {name for name in tracked if name.startswith(".git")}
