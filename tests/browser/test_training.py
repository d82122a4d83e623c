"""The page of a training run while it goes on: what is read stays where it is while news come in."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from service import jobs
from service.db.rows import RunState, TrainingRunRow
from tests.browser.seeding import ADMINISTRATOR, Seeded
from tests.browser.watching import Watched, watched_tab
from tests.service.api.training_rows import epochs

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

PLACE = """log => {
  const top = log.getBoundingClientRect().top;
  const line = [...log.children].find((line) => line.getBoundingClientRect().top >= top);
  return [line.id, Math.round(line.getBoundingClientRect().top - top), log.scrollTop > 0];
}"""


@pytest.fixture
def tab(browser: Browser, seeded: Seeded) -> Iterator[Watched]:
    with watched_tab(browser, seeded.site) as opened:
        opened.type_password(ADMINISTRATOR)
        opened.page.wait_for_url(seeded.site.address + "/")
        yield opened
        assert opened.complaints == []


@pytest.fixture
def run_id(seeded: Seeded) -> str:
    return seeded.training[RunState.TRAINING].rpartition("/")[2]


def note_epochs(seeded: Seeded, run_id: str, *, number: int) -> None:
    with seeded.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, run_id)
        for epoch in epochs(number):
            jobs.note(session, run, "epoch", fold=2, details=epoch)


def bring_news(seeded: Seeded, run_id: str, log: Locator, *, number: int) -> None:
    newest = log.locator("li").first.get_attribute("id") or ""
    note_epochs(seeded, run_id, number=number)
    expect(log.locator("li").first).not_to_have_attribute("id", newest, timeout=15_000)
    # The times are written anew a moment after that.
    log.page.wait_for_timeout(200)


def test_a_reader_of_the_log_keeps_the_place_while_news_come_in(
    tab: Watched, seeded: Seeded, run_id: str
) -> None:
    note_epochs(seeded, run_id, number=40)
    tab.goto(f"/training/{run_id}")
    log = tab.page.locator("#log")
    log.evaluate("log => { log.scrollTop = 200; }")
    place = log.evaluate(PLACE)
    bring_news(seeded, run_id, log, number=3)
    assert log.evaluate(PLACE) == place
    # What is read may be among the oldest lines, and those are cut off.
    bring_news(seeded, run_id, log, number=60)
    assert log.evaluate("log => log.scrollHeight - log.clientHeight - log.scrollTop") <= 1


def test_who_looks_at_the_newest_line_goes_on_doing_so(tab: Watched, seeded: Seeded, run_id: str) -> None:
    note_epochs(seeded, run_id, number=40)
    tab.goto(f"/training/{run_id}")
    log = tab.page.locator("#log")
    bring_news(seeded, run_id, log, number=3)
    assert log.evaluate("log => log.scrollTop") == 0
    assert log.evaluate(PLACE)[0] == log.locator("li").first.get_attribute("id")


def test_the_log_shows_seconds_in_the_readers_own_zone(tab: Watched, run_id: str) -> None:
    tab.goto(f"/training/{run_id}")
    times = tab.page.locator("#log time")
    expect(times.first).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d UTC$"))
    expect(times.first).to_have_text(re.compile(r"\b\d\d:\d\d:\d\d$"))
    asked_for = tab.page.locator(".title time")
    expect(asked_for).to_have_text(re.compile(r", \d\d:\d\d$"))


def test_back_from_a_training_that_was_started_leads_to_what_was_asked(tab: Watched) -> None:
    page = tab.page
    tab.goto("/training/new")
    page.get_by_role("combobox", name="Cohort").select_option(index=1)
    page.get_by_label("Who takes part").select_option("all")
    page.get_by_label("A", exact=True).check()
    page.get_by_label("Seeds").fill("7")
    page.get_by_label("Epochs at most").fill("3")
    page.get_by_label("C", exact=True).uncheck()
    page.get_by_role("button", name="Start the training").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A with LSTM, seed 7")
    page.go_back()
    expect(page.get_by_label("Seeds")).to_have_value("7")
    expect(page.get_by_label("Epochs at most")).to_have_value("3")
    expect(page.get_by_label("Who takes part")).to_have_value("all")
    expect(page.get_by_label("A", exact=True)).to_be_checked()
    expect(page.get_by_label("C", exact=True)).not_to_be_checked()
    assert page.get_by_role("combobox", name="Cohort").input_value() != ""
    assert "csrf" not in page.url
    assert "form_id" not in page.url
    # It is another form: what is changed in it is asked for as well.
    page.get_by_label("Seeds").fill("8")
    page.get_by_role("button", name="Start the training").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A with LSTM, seed 8")
