"""What pages may weigh, and how soon the list of many predictions is there."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.every_page import OF_THE_CLINICIAN
from tests.browser.figures import cost_of
from tests.browser.seeding import Seeded, seeded_site

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timed, pytest.mark.enable_socket]

MOST_BYTES = 150_000
# A second is what benchmarks/pages.py asks for on a quiet machine; these tests share theirs.
MOST_PAINT_MS = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    with seeded_site(tmp_path_factory.mktemp("many"), predictions=10_000) as running:
        yield running


def test_no_page_weighs_too_much_and_the_list_of_many_is_there_soon(browser: Browser, many: Seeded) -> None:
    pages = OF_THE_CLINICIAN | {f"prediction-{state}": path for state, path in many.pages.items()}
    costs = {name: cost_of(browser, many, path) for name, path in pages.items()}
    # A counter that counts nothing would let anything pass: the sheet and the fonts alone are more.
    assert all(30_000 < cost.bytes < MOST_BYTES for cost in costs.values()), costs
    assert costs["worklist"].first_paint_ms < MOST_PAINT_MS, costs
    assert costs["worklist"].largest_paint_ms < MOST_PAINT_MS, costs
