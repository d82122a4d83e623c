"""The first answer of a new installation: one simulated scan, sent over REST as any client would send it."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import typer

from service.embedded.demo import FILE_NAME

POLL_S = 0.2
START_LIMIT_S = 120
ANSWER_LIMIT_S = 300
FAILED = ("failed", "cancelled")
FINISHED = ("succeeded", *FAILED)


def score_sample_when_ready(base_url: str, data_dir: Path) -> None:
    """Wait for the service, score the sample and say how to go on; a failure is told and stops nothing.

    Parameters
    ----------
    base_url : str
        ``http://host:port`` of a service that is starting.
    data_dir : Path
        Where it keeps the demonstration's credentials.
    """
    try:
        wait_until_ready(base_url)
        credentials = json.loads((data_dir / FILE_NAME).read_text())
        typer.echo("Sending a simulated scan over REST ...")
        scan = sample_scan(data_dir / "sample")
        key = sample_key(base_url, scan, api_key=credentials["api_key"])
        prediction = score(base_url, scan, api_key=credentials["api_key"], idempotency_key=key)
        typer.echo(summary(base_url, scan, prediction=prediction, credentials=credentials))
    except (OSError, LookupError, ValueError, StopIteration) as error:
        typer.secho(f"The sample scan was not scored: {error}", fg="red", err=True)


def score(base_url: str, scan: Path, *, api_key: str, idempotency_key: str | None = None) -> dict[str, Any]:
    """Send a scan to a running service and wait for its prediction to end, as REST gives it.

    With an ``idempotency_key`` a scan that was sent before is not kept a second time: its answer is given
    again, and tried again where it failed or was cancelled.
    """
    prediction_id = _upload(base_url, scan, api_key=api_key, idempotency_key=idempotency_key)
    address = f"{base_url}/api/v1/predictions/{prediction_id}"
    if idempotency_key is not None and _call(address, api_key=api_key)["status"] in FAILED:
        _call(f"{address}/retry", api_key=api_key, data=b"")
    return _wait(address, api_key=api_key)


def sample_key(base_url: str, scan: Path, *, api_key: str) -> str:
    """Name what is asked, the same at every start: these bytes of this model."""
    models = _call(f"{base_url}/api/v1/admin/models", api_key=api_key)["items"]
    active = next(model["sha256"] for model in models if model["active"])
    return f"sample-{hashlib.sha256(scan.read_bytes()).hexdigest()[:16]}-{active[:16]}"


def summary(base_url: str, scan: Path, *, prediction: dict[str, Any], credentials: dict[str, str]) -> str:
    """Say what came back, where to log in, and how to do it again."""
    authorization = f'-H "Authorization: Bearer {credentials["api_key"]}"'
    return f"""
Sample scan   {_outcome(prediction)}
Page          {base_url}/  user {credentials["username"]}, password {credentials["password"]}
REST          {base_url}/api/docs
Try it        curl {authorization} -F "scan=@{scan}" {base_url}/api/v1/scans
              curl {authorization} {base_url}/api/v1/predictions/{prediction["id"]}
Ctrl-C stops RestNet; what it was given is kept.
"""


def _outcome(prediction: dict[str, Any]) -> str:
    if prediction["status"] != "succeeded":
        return f"not scored ({prediction['status']}): {prediction['error']}"
    result = prediction["result"]
    interval = result["interval"]
    return (
        f"probability of ADHD {result['adhd_probability']:.3f}, "
        f"{interval['level']:.0%} interval {interval['low']:.3f} to {interval['high']:.3f}: "
        f"{result['decision']}"
    )


def sample_scan(folder: Path) -> Path:
    """Return a simulated scan of a person who does not exist; made once."""
    from training.simulation.simulator import simulate_cohort

    cohort = folder / "cohort"
    if not cohort.is_dir():
        simulate_cohort(cohort, n_subjects=1, effect_size=0.5, site_effect=0.0, seed=20)
    return next(cohort.rglob("*.nii.gz"))


def wait_until_ready(base_url: str) -> None:
    """Return when the service answers that it can work.

    Raises
    ------
    OSError
        If it does not within two minutes.
    """
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        # A pause first: a start that is refused must not take another service at this address for its own.
        time.sleep(POLL_S)
        try:
            with _open(Request(f"{base_url}/readyz"), timeout_s=5):  # noqa: S310  (the service of this process)
                return
        # Not ready, not listening, or listening and hanging up: all of them may still pass.
        except OSError:
            if time.monotonic() > deadline:
                raise


def _upload(base_url: str, scan: Path, *, api_key: str, idempotency_key: str | None) -> str:
    with scan.open("rb") as body:
        headers = {"X-Filename": scan.name, "Content-Type": "application/octet-stream"}
        headers["Content-Length"] = str(scan.stat().st_size)
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return str(
            _call(f"{base_url}/api/v1/scans", api_key=api_key, data=body, headers=headers)["prediction_id"]
        )


def _wait(address: str, *, api_key: str) -> dict[str, Any]:
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while True:
        prediction = _call(address, api_key=api_key)
        if prediction["status"] in FINISHED or time.monotonic() > deadline:
            return prediction
        time.sleep(POLL_S)


def _call(
    url: str, *, api_key: str, data: Any = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    every = {"Authorization": f"Bearer {api_key}", **(headers or {})}
    # The address is that of the service this process has just started.
    with _open(Request(url, data=data, headers=every), timeout_s=60) as answer:  # noqa: S310
        return dict(json.load(answer))


def _open(request: Request, *, timeout_s: float) -> Any:
    # Past any proxy of the environment: it could not reach this machine's loopback.
    return build_opener(ProxyHandler({})).open(request, timeout=timeout_s)
