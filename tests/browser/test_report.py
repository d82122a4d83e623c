"""The page of a report as a browser shows it: nothing but the page itself is loaded."""

import io

import matplotlib.image
import pytest

from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence.report.assembling import assemble
from training.evidence.report.page import render
from training.evidence.report.reading import read_run_data

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]

WHITE = 0.99


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    run = made_up_run(tmp_path_factory.mktemp("runs") / "run", n=120)
    return render([assemble(read_run_data(run), n_draws=50)])


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder, people = tmp_path_factory.mktemp("runs"), {"n": 60, "people_seed": 1}
    runs = [
        made_up_run(folder / "C-lstm", **people),
        made_up_run(folder / "ridge", method="ridge-connectivity", **people, seed=1),
        made_up_run(folder / "tangent", method="tangent-logistic", **people, seed=2),
    ]
    return render([assemble(read_run_data(run), n_draws=50) for run in runs])


@pytest.fixture
def shown(browser, html):
    """Show the page in a window of a given width."""
    pages = []

    def show(width, content=html):
        pages.append(browser.new_page(viewport={"width": width, "height": 900}))
        pages[-1].set_content(content)
        return pages[-1]

    yield show
    for page in pages:
        page.close()


def edges(table):
    """How bright the darkest of the first and of the last columns of pixels is, above the table's words."""
    pixels = matplotlib.image.imread(io.BytesIO(table.screenshot(animations="disabled")))[:4, :, :3]
    columns = pixels.mean(axis=(0, 2))
    return columns[:8].min(), columns[-8:].min()


def test_a_table_that_scrolls_says_on_which_side_there_is_more_of_it(shown):
    table = shown(390).locator(".scroll").first
    assert table.evaluate("one => one.scrollWidth > one.clientWidth")
    left, right = edges(table)
    assert left > WHITE > right
    table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    left, right = edges(table)
    assert left < WHITE < right


@pytest.mark.parametrize("width", [390, 1440])
def test_only_tables_scroll_and_none_hangs_over_on_one_side(shown, width):
    page = shown(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overhangs = page.evaluate(
        """[...document.querySelectorAll(".scroll")].map(one => {
            const [inner, outer] = [one.getBoundingClientRect(), one.parentElement.getBoundingClientRect()]
            return [outer.left - inner.left, inner.right - outer.right]
        })"""
    )
    assert all(abs(left - right) < 1 for left, right in overhangs)


def test_a_table_with_room_has_no_shadow(shown):
    tables = shown(1440).locator(".scroll").all()
    assert len(tables) > 5
    assert all(min(edges(table)) > WHITE for table in tables)


@pytest.mark.parametrize("width", [390, 1440])
def test_the_table_of_several_runs_scrolls_within_itself_under_their_names(shown, several, width):
    page = shown(width, several)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator(".comparison")
    name = table.locator("tbody th").nth(1)
    before = name.bounding_box()["x"]
    table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1)
    assert name.inner_text().startswith("Ridge on connectivity")
    last = table.locator("tbody tr").nth(1).locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= width
    assert last["x"] > before + name.bounding_box()["width"]
