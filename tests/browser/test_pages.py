"""What a person does in a browser: log in, hand a scan over, watch, read, look back."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from service.api.problems.remedies import REMEDIES
from tests.browser.watching import Site, Watched, watched_tab
from tests.service.web.test_second_factor import code_of

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

PREDICTION_S = 120_000


def keep_progress(tab: Watched) -> None:
    """Write progress down as it is shown, before the events can begin: `window.seen`."""
    tab.page.add_init_script(
        "window.seen = []; addEventListener('DOMContentLoaded', () => {"
        " const line = document.querySelector('[data-line]');"
        " if (!line) return; seen.push(line.textContent);"
        " new MutationObserver(() => seen.push(line.textContent)).observe(line, {childList: true}); });"
    )


def upload(tab: Watched, scan: Path, *, pseudonym: str = "") -> None:
    """Fill the form in and wait for the prediction's page."""
    tab.goto("/")
    tab.page.get_by_label("Choose a scan").set_input_files(scan)
    if pseudonym:
        tab.page.get_by_label("Pseudonym").fill(pseudonym)
    tab.page.get_by_role("button", name="Upload and predict").click()
    tab.page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"), timeout=60_000)


def test_from_the_login_to_the_result(tab: Watched, scan_file: Path) -> None:
    page = tab.page
    tab.log_in()
    keep_progress(tab)
    upload(tab, scan_file, pseudonym="P-77")
    expect(page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
    seen = page.evaluate("window.seen")
    assert seen[0].startswith(("Waiting", "Preparing", "Reading"))
    assert re.fullmatch(r"(<|>)? ?\d{1,3}\s?%", page.locator("#probability").inner_text())
    expect(page.locator(".interval")).to_contain_text(re.compile(r"90.% interval .*% to .*%"))
    headline = page.locator("#decision-heading")
    expect(headline).to_have_text(re.compile("Leans towards ADHD|Leans towards control|Uncertain"))
    expect(page.get_by_role("complementary", name="About the model")).to_contain_text("Demonstration model")
    expect(page.get_by_role("row", name=re.compile("Brain covered"))).to_contain_text("%")
    expect(page.locator(".hash")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    point = page.locator(".scale .point").bounding_box()
    scale = page.locator(".scale").bounding_box()
    assert point is not None
    assert scale is not None
    shown = float(re.sub(r"\D", "", page.locator("#probability").inner_text())) / 100
    middle = (point["x"] + point["width"] / 2 - scale["x"]) / scale["width"]
    assert abs(middle - shown) < 0.02
    # Quality is read first, and one jump leads from its verdict to the answer.
    assert page.locator(".verdict").bounding_box()["y"] < page.locator("#probability").bounding_box()["y"]
    page.get_by_role("link", name="To the probability").click()
    expect(page.locator("#probability")).to_be_in_viewport()
    expect(page.get_by_role("row", name=re.compile("^Age"))).to_contain_text("not given")
    expect(page.get_by_role("row", name=re.compile("^DVARS, largest"))).to_contain_text("nine in ten")
    tab.goto("/predictions")
    row = page.get_by_role("row", name=re.compile("P-77"))
    expect(row).to_contain_text("Finished")
    expect(row).to_contain_text("%")
    page.get_by_label("Pseudonym begins with").fill("P-78")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#list")).to_contain_text("No prediction matches")
    page.wait_for_url(re.compile("subject_id=P-78"))


def test_a_refused_file_says_why_and_stays_on_the_page(browser: Browser, site: Site, tmp_path: Path) -> None:
    # Nothing that the page reads by itself.
    image = nib.Nifti1Image(np.zeros((4, 4, 4, 20), np.int16), None)
    image.header["pixdim"][4] = 2
    scan = tmp_path / "lost.nii.gz"
    nib.save(image, scan)
    with watched_tab(browser, site) as tab:
        tab.log_in()
        tab.page.get_by_label("Choose a scan").set_input_files(scan)
        tab.page.get_by_role("button", name="Upload and predict").click()
        alert = tab.page.locator("#problem")
        expect(alert).to_contain_text("This file was not accepted.")
        expect(alert.locator(".code")).to_have_text("no_orientation")
        # What to do about it, as the page says it without JavaScript.
        expect(alert).to_contain_text(REMEDIES["no_orientation"])
        assert tab.page.url == site.address + "/"
        # Chromium itself reports the refused request; nothing else may be wrong.
        assert [line for line in tab.complaints if "422" not in line] == []


def test_a_scan_sent_after_logging_out_elsewhere_is_said_to_be_lost(
    browser: Browser, site: Site, scan_file: Path
) -> None:
    with watched_tab(browser, site) as tab:
        tab.log_in()
        tab.page.get_by_label("Choose a scan").set_input_files(scan_file)
        other = tab.page.context.new_page()
        other.goto(site.address + "/predictions")
        other.get_by_role("button", name="Log out").click()
        other.wait_for_url(re.compile("/login$"))
        tab.page.get_by_role("button", name="Upload and predict").click()
        expect(tab.page.get_by_role("alert")).to_contain_text("the scan was not taken")
        assert [line for line in tab.complaints if "401" not in line] == []


def test_a_file_that_cannot_be_a_scan_is_not_even_sent(tab: Watched, tmp_path: Path) -> None:
    tab.log_in()
    sent: list[str] = []
    tab.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    for name, content, words, code in (
        ("image.dcm", b"x", "ends in .nii", "not_nifti"),
        ("analyze75.img", b"x", "ends in .nii", "nifti_pair"),
        ("empty.nii.gz", b"", "an empty file", "empty_file"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        tab.page.get_by_label("Choose a scan").set_input_files(path)
        expect(tab.page.locator("#problem")).to_contain_text(words)
        expect(tab.page.locator("#problem")).to_contain_text(REMEDIES[code])
        tab.page.get_by_role("button", name="Upload and predict").click()
    assert sent == []


def test_a_dropped_file_is_taken(tab: Watched, scan_file: Path) -> None:
    tab.log_in()
    tab.page.evaluate(
        "() => { const transfer = new DataTransfer();"
        " transfer.items.add(new File(['x'.repeat(2048)], 'dropped.nii.gz'));"
        " document.getElementById('drop').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})); }"
    )
    expect(tab.page.locator("#chosen")).to_contain_text("dropped.nii.gz, 2 KiB")


def test_cancel_and_delete(tab: Watched, scan_file: Path) -> None:
    page = tab.page
    tab.log_in()
    upload(tab, scan_file, pseudonym="P-STOP")
    cancel = page.get_by_role("button", name="Cancel")
    if cancel.is_visible():
        cancel.click()
    expect(page.locator("#prediction")).to_have_attribute(
        "data-state", re.compile("cancelled|succeeded"), timeout=PREDICTION_S
    )
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete scan and result").click()
    page.wait_for_url(re.compile("/predictions$"))
    expect(page.locator("#list")).not_to_contain_text("P-STOP")


def test_going_back_to_a_deleted_scan_says_that_it_is_gone(
    browser: Browser, site: Site, scan_file: Path
) -> None:
    with watched_tab(browser, site) as tab:
        tab.log_in()
        upload(tab, scan_file)
        deleted = tab.page.url
        tab.page.on("dialog", lambda dialog: dialog.accept())
        tab.page.get_by_role("button", name="Delete scan and result").click(timeout=PREDICTION_S)
        tab.page.wait_for_url(re.compile("/predictions$"))
        tab.page.go_back()
        expect(tab.page.get_by_role("heading", name="Nothing here")).to_be_visible()
        assert tab.page.url == deleted
        # Chromium itself reports the page that is gone; nothing else may be wrong.
        assert [line for line in tab.complaints if "404" not in line] == []


def test_without_scripts_the_whole_way_works(browser: Browser, site: Site, scan_file: Path) -> None:
    with watched_tab(browser, site, java_script_enabled=False) as tab:
        tab.log_in()
        upload(tab, scan_file)
        # The page asks again by itself.
        expect(tab.page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        expect(tab.page.locator("#decision-heading")).to_be_visible()
        review(tab)
        # Chromium itself reports the refusal; nothing else may be wrong.
        assert [line for line in tab.complaints if "422" not in line] == []


def review(tab: Watched) -> None:
    """Override the answer, at first without saying why."""
    form = tab.page.get_by_role("form", name="Review this answer")
    # What the model says itself is not offered, and each of the others differs from it.
    form.get_by_label("I override it").last.check()
    form.get_by_label("Final clinical diagnosis").select_option("other")
    form.get_by_role("button", name="Save the review").click()
    reason = form.get_by_label("Reason")
    expect(reason).to_have_accessible_description(re.compile("Say why you override the answer"))
    expect(form.get_by_label("I override it").last).to_be_checked()
    expect(tab.page.locator("#reviews-heading")).to_be_in_viewport()
    reason.fill("Slept\n<script>")
    form.get_by_role("button", name="Save the review").click()
    tab.page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}#reviews$"))
    written = tab.page.locator(".reviews li")
    expect(written).to_have_count(1)
    expect(written).to_contain_text("Overridden: ")
    expect(written).to_contain_text("final diagnosis: another disorder")
    expect(written.locator(".reason")).to_have_text("Slept\n<script>")


def marks_lie_on_their_lines(tab: Watched) -> bool:
    """Whether every mark among the training scans is drawn, and none beside its line or off the screen."""
    strips = tab.page.locator(".strip:has(.scan-mark)").all()
    boxes = [(strip.bounding_box(), strip.locator(".scan-mark > *").bounding_box()) for strip in strips]
    return len(boxes) >= 7 and all(
        line and mark and mark["width"] > 5 and line["x"] - 12 <= mark["x"] <= line["x"] + line["width"] + 12
        for line, mark in boxes
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_everything(browser: Browser, site: Site, scheme: str, scan_file: Path) -> None:
    viewport = {"width": 360, "height": 740}
    with watched_tab(browser, site, viewport=viewport, color_scheme=scheme) as tab:
        tab.log_in()
        upload(tab, scan_file)
        expect(tab.page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        address = tab.page.url.removeprefix(site.address)
        for path in ("/", "/predictions", "/account", address):
            tab.goto(path)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360, path
        for width in (360, 390, 1440):
            tab.page.set_viewport_size({"width": width, "height": 800})
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            assert marks_lie_on_their_lines(tab), width
        assert tab.complaints == []


def test_an_authenticator_is_set_up_asked_for_and_removed_without_scripts(
    browser: Browser, site: Site
) -> None:
    with watched_tab(browser, site, java_script_enabled=False) as tab:
        page = tab.page
        tab.log_in()
        page.get_by_role("link", name=site.username).click()
        page.get_by_role("textbox", name="Password", exact=True).fill(site.password)
        page.get_by_role("button", name="Set up an authenticator").click()
        expect(page.get_by_role("img", name="The key as a picture for the app")).to_be_visible()
        assert page.locator("svg.qr").evaluate("svg => svg.getBoundingClientRect().width") > 150
        secret = page.locator("code.secret").inner_text()
        page.get_by_label("The code that it shows now").fill(code_of(secret))
        page.get_by_role("button", name="Confirm").click()
        recovery = page.locator(".recovery code").first.inner_text()
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("User name").fill(site.username)
        page.get_by_label("Password").fill(site.password)
        page.get_by_role("button", name="Log in").click()
        page.get_by_label("Code").fill(code_of(secret, steps=1))
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(site.address + "/")
        # As it was before, for the tests beside this one.
        tab.goto("/account")
        page.get_by_role("textbox", name="Password", exact=True).fill(site.password)
        page.get_by_label("Code, or a recovery code").fill(recovery)
        page.get_by_role("button", name="Remove the authenticator").click()
        expect(page.get_by_role("status")).to_contain_text("The authenticator is removed")
        assert tab.complaints == []


def test_the_reader_of_the_rest_document_works_from_here(tab: Watched) -> None:
    tab.goto("/api/docs")
    expect(tab.page.get_by_text("Upload a scan and queue its prediction")).to_be_visible()
    tab.page.get_by_role("link", name="Back to RestNet").click()
    tab.page.wait_for_url(re.compile("/login$"))


@pytest.mark.real_data
def test_a_real_scan_in_template_space(tab: Watched, shared_data: Path) -> None:
    [scan] = (shared_data / "athena_like").glob("*.nii.gz")
    tab.log_in()
    upload(tab, scan, pseudonym="REAL")
    expect(tab.page.locator("#prediction")).to_have_attribute("data-state", "succeeded", timeout=PREDICTION_S)
    expect(tab.page.locator("#decision-heading")).to_be_visible()
    # The demonstration has met simulated scans alone.
    expect(tab.page.locator(".verdict")).to_contain_text("Read it with care")
    covered = tab.page.get_by_role("row", name=re.compile("^Brain covered"))
    expect(covered).to_contain_text("Outside, below")


@pytest.mark.real_data
def test_a_real_scan_of_the_scanners_space_is_answered_and_said_to_be_one(
    tab: Watched, shared_data: Path
) -> None:
    [scan] = (shared_data / "bold").glob("ds205*.nii.gz")
    tab.log_in()
    upload(tab, scan)
    expect(tab.page.locator("#prediction")).to_have_attribute("data-state", "succeeded", timeout=PREDICTION_S)
    section = tab.page.get_by_role("region", name="Brought into template space by RestNet")
    expect(section).to_contain_text("4 at the beginning")
    expect(section.get_by_role("link", name="What was done (JSON)")).to_be_visible()


@pytest.mark.real_data
@pytest.mark.thorough
def test_a_real_scan_of_a_few_slices_is_refused_in_words(tab: Watched, shared_data: Path) -> None:
    tab.log_in()
    upload(tab, shared_data / "bold" / "nipy_functional_17x21x3x20.nii.gz")
    expect(tab.page.locator("#prediction")).to_have_attribute("data-state", "failed", timeout=PREDICTION_S)
    expect(tab.page.locator(".outcome")).to_contain_text("No prediction for this scan")
    expect(tab.page.locator(".outcome .code").first).to_have_text("brain_cut_off")
