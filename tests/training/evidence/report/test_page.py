import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from training.evidence.report.page import render

VOID = {"meta", "br", "use", "path", "link"}
HEADINGS = (
    "Confusion table",
    "ROC",
    "Precision and recall",
    "Reliability",
    "Conformal sets",
    "By site",
    "By fold",
    "By sex",
    "By age",
    "Learning curves",
    "How to read this",
)
SVG_NAMESPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")


class Page(HTMLParser):
    """What a reader of the page gets, and whether its elements are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.references, self.words, self._open = set(), [], [], [], []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src", "xlink:href"}:
                self.references.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def one(reported):
    return render([reported(n=200)])


@pytest.fixture(scope="module")
def two(reported):
    return render([reported(n=200), reported(n=200, auc=0.55, phenotype_effect=1.2)])


def test_the_page_loads_nothing(one):
    page = Page(one)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert all(reference.startswith("#") for reference in page.references)
    assert "@import" not in one
    assert not re.search(r"url\((?!#)", one)
    rest = one
    for namespace in SVG_NAMESPACES:
        rest = rest.replace(f'"{namespace}"', "")
    assert "http" not in rest


def test_every_reference_has_its_target_and_every_id_is_one(two):
    page = Page(two)
    assert len(page.ids) == len(set(page.ids))
    wanted = {reference[1:] for reference in page.references} | set(re.findall(r"url\(#([^)]+)\)", two))
    assert wanted
    assert wanted <= set(page.ids)


def test_the_same_runs_give_the_same_page(one, reported):
    assert render([reported(n=200)]) == one


def test_the_answer_stands_before_every_figure(one, reported):
    overall = reported(n=200).overall
    first = one[: one.index("<svg")]
    assert f"{100 * overall.accuracy.value:.1f}\N{NO-BREAK SPACE}%" in first
    assert f"AUC {overall.auc.value:.2f}" in first.replace("\N{NO-BREAK SPACE}", " ")


def test_banners_stand_before_the_answer(reported):
    html = render([reported(n=80, auc=0.97, simulated=True)])
    assert html.index("Simulated scans") < html.index("was right on")
    assert 'class="banner danger"' in html


def test_every_part_of_the_evidence_is_there(one, reported):
    report, text = reported(n=200), Page(one).text
    for heading in HEADINGS:
        assert heading in text
    for count in (report.overall.tp, report.overall.fn, report.overall.fp, report.overall.tn):
        assert str(count) in text
    assert f"Expected calibration error {report.overall.ece:.3f}" in text
    for baseline in ("majority", "site", "phenotype", "motion", "connectivity"):
        assert f"network minus {baseline}" in text
    assert f"{100 * report.coverage.overall.value:.1f} [" in text


def test_what_the_folds_were_trained_with_is_said_once_each(reported):
    report = reported(n=200)
    used = {"threads": 2, "precision": "float32", "torch_version": "2.13.0"}
    outcomes = [outcome.model_copy(update=used) for outcome in report.data.outcomes]
    outcomes[-1] = outcomes[-1].model_copy(update={"device": "cuda", "precision": "bfloat16"})
    text = Page(render([replace(report, data=replace(report.data, outcomes=tuple(outcomes)))])).text
    on_cpu = "device cpu, threads 2, precision float32, torch 2.13.0"
    assert f"machine {on_cpu}; device cuda, threads 2, precision bfloat16, torch 2.13.0 planned with" in text
    assert text.count(on_cpu) == 1


def test_published_rows_are_marked_and_ours_is_not_among_them(one):
    rows = re.findall(r"<tr[^>]*>.*?</tr>", one[one.index("Beside what others printed") :], re.DOTALL)
    of_paper = next(row for row in rows if "the paper, network C + Bi-LSTM" in row)
    assert ">published<" in of_paper
    assert "76.56" in of_paper
    assert "cannot be true together" in of_paper
    ours = next(row for row in rows if ">C + Bi-LSTM<" in row)
    assert ">measured here<" in ours
    assert ">published<" not in ours
    assert sum(">published<" in row for row in rows) == 8


def test_published_rows_of_adhd_do_not_stand_beside_another_condition(reported):
    report = reported(n=120, condition="autism")
    html = render([report])
    assert "76.56" not in html
    assert "called autism" in html
    assert "<title>Autism from" in html
    assert "adhd" not in html.casefold()
    both = render([report, reported(n=120, network="A")])
    assert "Published on ADHD, not measured here" in both
    assert "76.56" in both


def test_names_from_a_run_cannot_become_markup(reported):
    report = reported(n=200)
    record = report.data.record.model_copy(update={"cohort_name": "<script>alert(1)</script>"})
    fold_names = ["<b>0</b>", "1", "2", "3", "4"]
    record = record.model_copy(update={"fold_names": fold_names})
    folds = (replace(report.folds[0], name="<b>0</b>"), *report.folds[1:])
    sites = (replace(report.sites[0], name='"><i>$\\frac{NYU$'), *report.sites[1:])
    html = render([replace(report, data=replace(report.data, record=record), folds=folds, sites=sites)])
    assert not Page(html).tags & {"script", "b", "i"}
    assert "&lt;script&gt;" in html


def test_several_runs_have_an_overview_and_the_figures_of_the_paper(two):
    page = Page(two)
    runs = two[two.index("<h2>The runs</h2>") : two.index("<h2>Networks side by side</h2>")]
    assert "AUC, minus ridge on connectivity" in runs
    assert "on the same subjects and folds" not in runs, "the two runs have people of other ages"
    for words in ("2 runs", "The runs", "Networks with a Bi-LSTM", "Folds of C + Bi-LSTM", "Memory and time"):
        assert words in page.text
    assert [reference for reference in page.references if reference.startswith("#run-")] == [
        "#run-1",
        "#run-2",
    ]
    assert {"run-1", "run-2"} <= set(page.ids)


def test_a_grid_has_its_baselines_below_its_runs(reported):
    html = render([reported(n=200), reported(n=200, network="A")])
    runs = html[html.index("<h2>The runs</h2>") : html.index("<h3>Published on ADHD")]
    rows = re.findall(r'<th scope="row"[^>]*>(?:<a[^>]*>)?([^<]+)<', runs)
    baselines = ["majority", "site", "phenotype", "motion", "connectivity"]
    assert rows == ["A + Bi-LSTM", "C + Bi-LSTM", "chosen in each fold", *baselines]


def test_sites_that_were_left_out_stand_in_one_table(reported):
    report = reported(n=200, leave_site_out=True)
    text = Page(render([report])).text
    assert "By site, each left out once" in text
    assert "By site left out" not in text
    of_institution = replace(report.folds[0], name="an institution")
    text = Page(render([replace(report, folds=(of_institution, *report.folds[1:]))])).text
    assert "By site left out" in text


def test_folds_that_leave_sites_out_are_named_by_them(reported):
    html = render([reported(n=200, leave_site_out=True)])
    training = html[html.index("<h3>Training</h3>") :]
    assert ">site left out, C + Bi-LSTM<" in training
    table = training[training.index("<table>") : training.index("</table>")]
    assert table.split("</th>")[0].endswith('<th scope="col">left out')
    assert re.findall(r'<th scope="row">([^<]+)<', table) == ["NYU", "NeuroIMAGE", "Peking"]


def test_a_site_of_one_class_says_so_instead_of_an_auc(reported):
    shares = {"NYU": 0.5, "Peking": 0.5, "NeuroIMAGE": 0.0}
    report = reported(n=120, auc=0.8, site_cases=shares)
    rows = re.findall(r"<tr>.*?</tr>", render([report]), re.DOTALL)
    site = next(Page(row).text for row in rows if '"row">NeuroIMAGE<' in row)
    (group,) = (group for group in report.sites if group.name == "NeuroIMAGE")
    assert f"{100 * group.specificity.value:.1f} [" in site
    assert site.count("\N{EN DASH}") == 3
    assert "one class only" in Page(render([report])).text


def test_an_auc_of_few_people_is_marked(reported):
    shares = {"NYU": 0.5, "Peking": 0.5, "NeuroIMAGE": 0.1}
    html = render([reported(n=120, auc=0.8, site_cases=shares)])
    assert "the AUC means little" in html
    assert "NeuroIMAGE *" in html, "in the figure too"
    assert "NYU *" not in html


def test_a_run_without_connectivity_says_how_to_get_it(reported):
    html = render([reported(n=200, connectivity_auc=None)])
    assert html.count("--cohort COHORT") == 2
    assert "network minus connectivity" not in html
