"""The documents say what the code does: generated pages are fresh, links lead somewhere, nothing is left out."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

import kcfix
from kcfix import errors
from kcfix.cli.app import COMMANDS, PANELS, available
from kcfix.cli.documents import DOCUMENTS
from kcfix.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("*/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The script that writes the pages."""
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(generator: ModuleType) -> None:
    assert generator.stale() == []


def test_the_check_names_a_stale_page_and_fails(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "DOCS", tmp_path / "docs")
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    (tmp_path / "docs" / "errors.md").write_text("old")
    (tmp_path / "docs" / "schemas" / "gone.json").write_text("{}")
    assert generator.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "docs/errors.md" in said
    assert "docs/schemas/gone.json" in said


def test_every_command_of_the_table_is_there_and_documented() -> None:
    assert [entry.name for entry in available()] == [entry.name for entry in COMMANDS]
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert all(f"\n## kcfix {entry.name}\n" in text for entry in COMMANDS)
    assert {entry.panel for entry in COMMANDS} <= set(PANELS)


def test_every_subcommand_has_an_example() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for section in re.split(r"^##+ kcfix ", text, flags=re.MULTILINE)[1:]:
        name = section.partition("\n")[0]
        assert re.search(rf"^ +kcfix .*{re.escape(name.split()[-1])}", section, re.MULTILINE), name


def test_every_setting_and_every_error_is_documented() -> None:
    settings = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert all(f"`{s.name}`" in settings and f"`{s.variable}`" in settings for s in SETTINGS)
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.KcfixError) and kind is not errors.KcfixError:
            assert f"| {kind.code} | `{kind.kind}` |" in page


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_schema_is_a_valid_schema(name: str) -> None:
    schema = json.loads((DOCS / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"] == {"const": f"kcfix.{name}/v1"}


def test_the_table_has_just_the_schemas_that_commands_write() -> None:
    written = set()
    for path in (ROOT / "kcfix" / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        written |= set(re.findall(r'schema="([a-z-]+)"', text)) | set(re.findall(r'stream\("([a-z-]+)"\)', text))
    assert written == set(DOCUMENTS)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        aim = (page.parent / file) if file else page
        if not aim.exists():
            wrong.append(target)
        elif anchor and aim.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", aim.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in {_anchor(heading) for heading in headings}:
                wrong.append(target)
    assert wrong == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"({page.name})" not in index]
    assert missing == []


def test_the_newest_changelog_heading_is_this_version() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:1] == [kcfix.__version__]


def test_commands_in_the_documents_can_be_parsed() -> None:
    """Each `kcfix …` line of README and runbook has a command and options that exist."""
    lines = []
    for page in (ROOT / "README.md", DOCS / "runbook.md"):
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines += [line.lstrip("$ ").partition("   #")[0].strip() for line in block.splitlines()]
    calls = [part.strip() for line in lines for part in line.split("|") if part.strip().startswith("kcfix ")]
    assert calls
    code = (
        "import json, shlex, sys\n"
        "from kcfix.cli.app import root\n"
        "wrong = {}\n"
        "for call in json.loads(sys.argv[1]):\n"
        "    words = shlex.split(call)[1:]\n"
        "    try:\n"
        "        parser, ctx = root(), None\n"
        "        while True:\n"
        "            ctx = parser.make_context('kcfix', words, parent=ctx, obj=object())\n"
        "            rest = [*getattr(ctx, '_protected_args', []), *ctx.args]\n"
        "            if not hasattr(parser, 'get_command') or not rest:\n"
        "                break\n"
        "            _, parser, words = parser.resolve_command(ctx, rest)\n"
        "    except BaseException as error:\n"
        "        if getattr(error, 'exit_code', 1):\n"
        "            wrong[call] = repr(error) + str(error)\n"
        "print(json.dumps(wrong))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, json.dumps(calls)], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == {}
