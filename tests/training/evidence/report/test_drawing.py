import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from training.evidence.estimates import Estimate
from training.evidence.report import figures, figures_across
from training.evidence.report.drawing import BLUE, canvas, to_svg

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


def points(svg, colour):
    """Where the line of a colour goes, and which way is up: x to the right, y downwards, in points."""
    paths = [
        path.get("d")
        for path in ET.fromstring(svg).iter(f"{SVG}path")  # noqa: S314 our own drawing
        if f"stroke: {colour}" in path.get("style", "")
    ]
    numbers = np.array(re.findall(r"-?[\d.]+", max(paths, key=len)), dtype=float)
    return numbers.reshape(-1, 2)


def test_precision_begins_with_the_first_that_was_found_and_encloses_its_area(reported):
    report = reported(n=120, auc=0.5)
    labels, scores = report.data.labels, report.data.scores.copy()
    scores[np.flatnonzero(labels == 0)[:4]] = scores.max() + 1.0  # the surest answers are wrong
    evaluation = replace(report.overall, average_precision=Estimate(0.5, 0.4, 0.6))
    x, y = points(figures.precision_recall(labels, scores, evaluation), BLUE).T
    assert len(set(y[x == x.min()])) == 1, "a stroke up or down where nobody is found"
    precision, recall, _ = precision_recall_curve(labels, scores)
    of_some = precision[recall > 0]
    drawn_precision = np.interp(-y, [-y.max(), -y.min()], [of_some.min(), of_some.max()])
    drawn_recall = (x - x.min()) / (x.max() - x.min())
    area = -np.trapezoid(drawn_precision, drawn_recall)
    assert abs(area - average_precision_score(labels, scores)) < 1e-3


@pytest.mark.parametrize("auc", [0.3, 0.5, 0.97])
def test_a_legend_covers_nothing_that_is_drawn(reported, auc):
    report = reported(n=120, auc=auc)
    labels, scores = report.data.labels, report.data.scores
    for svg in (
        figures.roc(labels, scores, report.overall),
        figures.precision_recall(labels, scores, report.overall),
        figures.reliability(report.overall, condition="ADHD"),
    ):
        root = ET.fromstring(svg)  # noqa: S314 our own drawing
        groups = {group.get("id", "").split("-")[-1]: group for group in root.iter(f"{SVG}g")}
        assert "legend_1" not in {
            one.get("id", "").split("-")[-1] for one in groups["axes_1"].iter(f"{SVG}g")
        }
        of_axes, of_legend = (
            [
                float(text.get("y"))
                for text in groups[name].iter(f"{SVG}text")
                if "rotate(-90" not in text.get("transform", "")
            ]
            for name in ("axes_1", "legend_1")
        )
        assert max(of_axes) < min(of_legend)


@pytest.mark.parametrize(("n_epochs", "numbers"), [(1, {"1"}), (3, {"1", "2", "3"})])
def test_epochs_are_whole_numbers_however_few_they_are(reported, n_epochs, numbers):
    data = reported(n=200).data
    epochs = {fold: records[:n_epochs] for fold, records in data.epochs.items()}
    drawn = words(figures.learning_curves(epochs, data.outcomes, title="C"))
    across = words(figures_across.convergence({"C": list(epochs.values())}, {"C": 1.0}, label="loss"))
    for texts in (drawn, across):
        assert {text for text in texts if text.replace(".", "").isdigit() and "." not in text} >= numbers
        assert not [text for text in texts if text.startswith(("0.9", "1."))]


def test_a_network_looks_the_same_in_every_figure_and_none_is_left_out(reported):
    folds = list(reported(n=200).data.epochs.values())

    def svg(*names):
        return figures_across.convergence(
            dict.fromkeys(names, folds), dict.fromkeys(names, 3.0), label="loss"
        )

    assert BLUE in svg("A", "C")
    assert BLUE in svg("C", "D")
    assert BLUE not in svg("A", "B", "D")
    five = [f"C (run {i})" for i in range(5)]
    assert {f"{name}, kept after 3.0" for name in five} <= set(words(svg(*five)))


def test_names_that_have_no_room_beside_each_other_lean():
    def svg(names):
        share = Estimate(0.6, 0.5, 0.7)
        groups = [
            figures_across.BarGroup(name=name, accuracy=share, sensitivity=share, specificity=share)
            for name in names
        ]
        drawn = ET.fromstring(figures_across.bars(groups, label="folds"))  # noqa: S314 our own drawing
        return {
            text.text: text.get("transform", "") + text.get("style", "") for text in drawn.iter(f"{SVG}text")
        }

    few, many = svg(["0", "1"]), svg([f"institution {i}" for i in range(17)])
    assert "rotate(-55" not in few["1"]
    assert "rotate(-55" in many["institution 3"]
