"""The first answer of a new installation: one simulated scan, sent over REST as any client would send it."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import typer

from service.demo import FILE_NAME

POLL_S = 0.2
START_LIMIT_S = 120
ANSWER_LIMIT_S = 300
FINISHED = ("succeeded", "failed", "cancelled")


def score_sample_when_ready(base_url: str, data_dir: Path) -> None:
    """Wait for the service to be ready, then score the sample; a failure is told and stops nothing.

    Parameters
    ----------
    base_url : str
        ``http://host:port`` of a service that is starting.
    data_dir : Path
        Where it keeps the demonstration's credentials.
    """
    try:
        _wait_until_ready(base_url)
        api_key = json.loads((data_dir / FILE_NAME).read_text())["api_key"]
        score_sample(base_url, api_key=api_key, folder=data_dir / "sample")
    except (OSError, KeyError, ValueError) as error:
        typer.secho(f"The sample scan was not scored: {error}", fg="red", err=True)


def score_sample(base_url: str, *, api_key: str, folder: Path) -> None:
    """Send a simulated scan to the running service and print what came back, and how to do it again.

    Parameters
    ----------
    base_url : str
        ``http://host:port`` of a service that is ready.
    api_key : str
    folder : Path
        Where the sample is kept for the next time; made when missing.
    """
    scan = sample_scan(folder)
    typer.echo("Sending a simulated scan over REST ...")
    prediction = _wait(base_url, api_key=api_key, prediction_id=_upload(base_url, scan, api_key=api_key))
    if prediction["status"] == "succeeded":
        result = prediction["result"]
        low, high = result["interval"]["low"], result["interval"]["high"]
        typer.secho(
            f"  probability of ADHD {result['adhd_probability']:.3f}, "
            f"{result['interval']['level']:.0%} interval {low:.3f} to {high:.3f}: {result['decision']}",
            bold=True,
        )
    else:
        typer.secho(f"  not scored: {prediction['error']}", fg="red", err=True)
    typer.echo("Try it yourself:")
    typer.echo(
        f'  curl -H "Authorization: Bearer {api_key}" -F "scan=@{scan}" {base_url}/api/v1/scans\n'
        f'  curl -H "Authorization: Bearer {api_key}" {base_url}/api/v1/predictions/{prediction["id"]}'
    )


def sample_scan(folder: Path) -> Path:
    """Return a simulated scan of a person who does not exist; made once."""
    from training.simulator import simulate_cohort

    cohort = folder / "cohort"
    if not cohort.is_dir():
        simulate_cohort(cohort, n_subjects=1, effect_size=1.0, site_effect=0.0, seed=20)
    return next(cohort.rglob("*.nii.gz"))


def _wait_until_ready(base_url: str) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with urlopen(f"{base_url}/readyz", timeout=5):  # noqa: S310  (the service of this process)
                return
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def _upload(base_url: str, scan: Path, *, api_key: str) -> str:
    with scan.open("rb") as body:
        headers = {"X-Filename": scan.name, "Content-Type": "application/octet-stream"}
        headers["Content-Length"] = str(scan.stat().st_size)
        return str(
            _call(f"{base_url}/api/v1/scans", api_key=api_key, data=body, headers=headers)["prediction_id"]
        )


def _wait(base_url: str, *, api_key: str, prediction_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while True:
        prediction = _call(f"{base_url}/api/v1/predictions/{prediction_id}", api_key=api_key)
        if prediction["status"] in FINISHED or time.monotonic() > deadline:
            return prediction
        time.sleep(POLL_S)


def _call(
    url: str, *, api_key: str, data: Any = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    every = {"Authorization": f"Bearer {api_key}", **(headers or {})}
    # The address is that of the service this process has just started.
    with urlopen(Request(url, data=data, headers=every), timeout=60) as answer:  # noqa: S310
        return dict(json.load(answer))
