"""What pages and reports say a model is, where it is no network and where it is."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from model.methods.catalogue import METHODS
from service.identity.roles import Role
from service.methods import architecture_of, is_explainable
from service.report.charts import windows_chart
from service.web.language import Language, spoken
from service.web.methods import TITLES, kind_of, members_of, reads_whole_run, title_of
from tests.service.api.serving import CARD, Serving, sample_result

HTML = {"Accept": "text/html"}
RIDGE = CARD | {"method": "ridge-connectivity", "name": "a ridge"}


def whole_run(model: dict[str, Any] = RIDGE) -> dict[str, Any]:
    windows = [{"start_frame": 0, "probability": 0.61}]
    said = model | {"network": None, "rnn": None}
    return sample_result() | {"model": said, "windows": windows}


def test_every_method_has_its_title_of_the_catalogue() -> None:
    assert dict(TITLES) == {name: method.title for name, method in METHODS.items() if name != "network"}


def test_a_card_from_before_methods_had_names_is_a_network() -> None:
    assert architecture_of(CARD) == {"method": "network", "network": "C", "rnn": "lstm"}
    assert (kind_of(CARD), members_of(CARD)) == ("Network", "C with Bi-LSTM, 4 members")
    assert members_of(CARD | {"members": 1}) == "C with Bi-LSTM, 1 member"
    assert is_explainable(CARD)
    assert members_of({}) == members_of({"members": 2}) == ""


def test_another_method_is_called_by_its_title_whatever_network_its_card_names() -> None:
    assert architecture_of(RIDGE) == {"method": "ridge-connectivity", "network": None, "rnn": None}
    assert (kind_of(RIDGE), members_of(RIDGE)) == ("Method", "Ridge on connectivity, 4 members")
    assert not is_explainable(RIDGE)
    with spoken(Language.CHINESE):
        assert members_of(RIDGE) == "功能连接的岭回归，4 个成员"
    # One of a later version has no title here.
    assert title_of({"method": "of-tomorrow"}) == "of-tomorrow"


@pytest.mark.parametrize(
    ("n_windows", "method", "whole"), [(1, None, False), (1, "other", True), (3, "other", False)]
)
def test_one_window_of_another_method_is_the_whole_run(
    n_windows: int, method: str | None, *, whole: bool
) -> None:
    windows = [{"start_frame": start, "probability": 0.5} for start in range(n_windows)]
    assert reads_whole_run({"model": {"method": method}, "windows": windows}) is whole


def test_the_report_draws_one_point_amid_the_run() -> None:
    chart = windows_chart(whole_run())
    [point] = ET.fromstring(chart.svg).findall("{http://www.w3.org/2000/svg}circle")  # noqa: S314  (ours)
    assert (float(str(point.get("cx"))), point.get("cy")) == (239.0, "51.0")
    assert (
        chart.alt == "Probability of ADHD of the whole run. 0:00 to 5:44: 61\N{NARROW NO-BREAK SPACE}%"
        or ("0:00 to 5:44: 61" in chart.alt)
    )
    assert "which the model reads at once" in chart.caption
    assert "disagree" not in chart.caption


@pytest.fixture
def page(served: Serving) -> str:
    token = served.log_in(served.user())
    prediction_id = served.upload({"X-CSRF-Token": token})["prediction_id"]
    served.finish(prediction_id, whole_run(), model_version_id=served.register_model(RIDGE))
    return f"/predictions/{prediction_id}"


def test_the_page_of_its_answer_names_it_and_offers_no_map(served: Serving, page: str) -> None:
    text = served.client.get(page, headers=HTML).text
    assert "<dt>Method</dt><dd>Ridge on connectivity, 4 members</dd>" in text
    assert "Bi-LSTM" not in text
    assert "The model reads the whole run at once" in text
    assert "Stretches that disagree" not in text
    assert "Probability of ADHD of the whole run; dashed" in text
    assert "There is no map of this answer" in text
    assert "the model is another: Ridge on connectivity." in text
    assert "Make the map" not in text
    assert f"{page}/explanation" not in text


def test_the_page_says_it_in_chinese(served: Serving, page: str) -> None:
    text = served.client.get(page, headers=HTML | {"Accept-Language": "zh-CN"}).text
    assert "<dt>方法</dt><dd>功能连接的岭回归，4 个成员</dd>" in text
    assert "模型一次判读整段扫描" in text
    assert "此结果没有归因图" in text


def test_the_page_of_the_model_names_it(served: Serving) -> None:
    version = served.add_model("2", RIDGE)
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    text = served.client.get(f"/models/{version}", headers=HTML).text
    assert "<dt>Method</dt><dd>Ridge on connectivity, 4 members</dd>" in text
    assert "Bi-LSTM" not in text
