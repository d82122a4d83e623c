import xml.etree.ElementTree as ET

import pytest

from training.evidence.metrics import Estimate
from training.evidence.report import figures
from training.evidence.report.drawing import canvas, to_svg

SVG = "{http://www.w3.org/2000/svg}"


def words(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 our own drawing


@pytest.fixture
def line():
    with canvas() as (figure, axes):
        axes.plot([0, 1], [0, 1], marker="o")
        axes.set_title("A $name$ & <tag>")
        return figure


def test_text_stays_text_and_cannot_become_markup_or_mathematics(line):
    svg = to_svg(line, says="a <line>")
    root = ET.fromstring(svg)  # noqa: S314 our own drawing
    assert root.get("aria-label") == "a <line>"
    assert root.get("role") == "img"
    assert "A $name$ & <tag>" in words(svg)


def test_the_page_decides_how_wide_a_figure_is(line):
    root = ET.fromstring(to_svg(line, says="a line"))  # noqa: S314 our own drawing
    assert root.get("width") is None
    assert root.get("height") is None
    assert root.get("viewBox")


def test_the_same_figure_gives_the_same_bytes_and_another_has_other_ids(line):
    first = to_svg(line, says="a line")
    assert to_svg(line, says="a line") == first
    ids = {element.get("id") for element in ET.fromstring(first).iter() if element.get("id")}  # noqa: S314
    other = ET.fromstring(to_svg(line, says="another"))  # noqa: S314 our own drawing
    assert ids
    assert not ids & {element.get("id") for element in other.iter() if element.get("id")}


def test_an_interval_plot_names_every_row_and_says_it_in_words():
    rows = [
        figures.IntervalRow(name="network", estimate=Estimate(0.62, 0.55, 0.69), ours=True),
        figures.IntervalRow(name="phenotype", estimate=Estimate(0.81, 0.77, 0.85)),
    ]
    svg = figures.intervals(rows, label="AUC")
    assert {"network", "phenotype", "AUC"} <= set(words(svg))
    label = ET.fromstring(svg).get("aria-label")  # noqa: S314 our own drawing
    assert label == "AUC: network 0.62 (0.55 to 0.69); phenotype 0.81 (0.77 to 0.85)"
