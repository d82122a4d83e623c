"""A real Chromium in front of the whole ``restnet serve --demo``."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.seeding import Seeded, seeded_site
from tests.browser.watching import Site, Watched, watched_tab
from tests.browser.web_alone import Service
from tests.service.api.serving import free_port, make_settings, migrated_database, serving, web_process

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]
# Without a graphics card WebGL is drawn by the processor.
DRAWING = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
VENDOR = REPOSITORY / "service" / "web" / "static" / "vendor" / "htmx.min.js"


def missing(reason: str) -> None:
    """Skip where a person runs the tests; fail where all of them must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def chromium() -> str:
    """Return the path of a Chromium, and see that the pages' packages are there."""
    program = next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    if program is None:
        missing("no Chromium here (apt-get install chromium)")
    if not VENDOR.is_file():
        missing("the pages' packages are not there (npm ci && npm run vendor)")
    return str(program)


# For a module: while it is open, playwright keeps an event loop running in this thread, where other tests
# start their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def drawing_browser() -> Iterator[Browser]:
    """A Chromium that draws in 3-D; a module has this one or :func:`browser`."""
    arguments = [argument for argument in CHROMIUM_ARGUMENTS if argument != "--disable-gpu"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=[*arguments, *DRAWING])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data_dir = tmp_path_factory.mktemp("serve")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    program = "from service.cli import main; main()"
    options = ["serve", "--demo", "--port", str(port), "--data-dir", str(data_dir)]
    environment = {**os.environ, "RESTNET_INFERENCE_THREADS": "2"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *options], cwd=REPOSITORY, env=environment
    ) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(address, process)
            login = json.loads((data_dir / "demo-credentials.json").read_text())
            yield Site(address, login["username"], login["password"], login["api_key"])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """A web process over predictions in each state, without a worker."""
    with seeded_site(tmp_path_factory.mktemp("seeded"), predictions=40) as running:
        yield running


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scan in the Athena geometry, as a person would have it on disk."""
    from training.simulation.scan_files import write_scan
    from training.simulation.simulator import simulate_subject

    scan = simulate_subject(0, seed=77)
    path = tmp_path_factory.mktemp("scans") / "sfnwmrda0000077_session_1_rest_1.nii.gz"
    write_scan(path, next(scan.blocks(frames_per_block=scan.n_frames)), affine=scan.affine, tr_s=scan.tr_s)
    return path


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Watched]:
    with watched_tab(browser, site) as opened:
        yield opened
        assert opened.complaints == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_database(tmp_path_factory.mktemp("database"))


@pytest.fixture
def service(tmp_path: Path, template: Path) -> Service:
    settings = make_settings(tmp_path / "data", template)
    with serving(settings) as served:
        served.user("doctor")
        return Service(settings, free_port(), served.key("doctor"))


@pytest.fixture
def running(service: Service) -> Iterator[Service]:
    with web_process(service.settings, port=service.port):
        yield service


def _wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "restnet serve ended"
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2) as answer:  # noqa: S310  (loopback)
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    message = "restnet serve was not ready within 90 s"
    raise TimeoutError(message)
