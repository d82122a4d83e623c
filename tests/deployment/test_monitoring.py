"""Every figure that the dashboard and the alerts ask for is one that the service tells."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.deployment.compose import REPOSITORY
from tests.service.api.serving import make_settings, migrated_database, serving

DEPLOY = REPOSITORY / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "restnet.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]] + [
    rule["expr"] for rule in RULES
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each figure's labels, from `# TYPE` and from the samples, of a service that has had no job yet."""
    folder = tmp_path_factory.mktemp("monitoring")
    with serving(make_settings(folder / "data", migrated_database(folder))) as served:
        served.client.get("/healthz")
        text = served.client.get("/metrics").text
    names: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (restnet_\w+) (\w+)$", text, re.MULTILINE):
        endings = {"histogram": ("_bucket", "_count", "_sum")}.get(kind, ("",))
        names |= {name + ending: set() for ending in endings}
    return names


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_figure_exists(expression: str, told: dict[str, set[str]]) -> None:
    named = set(re.findall(r"\brestnet_\w+", expression)) - {"restnet"}
    assert named or "up{" in expression
    assert named <= set(told)


def test_the_dashboard_and_the_alerts_leave_no_figure_out(told: dict[str, set[str]]) -> None:
    asked = set(re.findall(r"\brestnet_\w+", " ".join(EXPRESSIONS)))
    told_of = {re.sub("_(bucket|count|sum)$", "", name) for name in told if not name.endswith("_created")}
    assert told_of == {re.sub("_bucket$", "", name) for name in asked}


def test_panels_do_not_lie_on_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_the_scraper_reads_the_alerts_and_asks_web() -> None:
    scraper = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert [Path(name).name for name in scraper["rule_files"]] == ["alerts.yml"]
    assert scraper["scrape_configs"][0]["dns_sd_configs"][0] == {
        "names": ["web"],
        "type": "A",
        "port": 8000,
        "refresh_interval": "15s",
    }
