"""`kcfix config show`: every setting with its value and its origin."""

from __future__ import annotations

from tests.conftest import Run


def test_config_show_gives_every_value_with_its_origin(run: Run) -> None:
    ran = run("config", "show", "-o", "json", "--brokers", "one:9092", environ={"KCFIX_PROJECT": "kc"})
    assert ran.code == 0
    assert ran.err == "kcfix: warning: nothing could be discovered: docker: nothing is there\n"
    rows = {row["name"]: row for row in ran.document["data"]}
    assert rows["brokers"]["value"] == ["one:9092"]
    assert (rows["brokers"]["source"], rows["brokers"]["where"]) == ("flag", "--brokers")
    assert (rows["project"]["source"], rows["project"]["where"]) == ("environment", "KCFIX_PROJECT")
    assert rows["overdue"]["source"] == "default"
