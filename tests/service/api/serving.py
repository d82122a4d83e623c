"""What the tests of REST and of the pages share: an application over a migrated database, and small scans."""

import atexit
import gzip
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from service import jobs
from service.api.app import create_app
from service.api.resources import Resources
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    CohortRow,
    ExplanationState,
    InvitationRow,
    ModelVersionRow,
    NormalisedScanRow,
    PredictionRow,
    PredictionState,
    ResultRow,
    ScanRow,
)
from service.enclosure import Enclosure
from service.explanations import pack
from service.identity.accounts import create_user, find_user, require_user
from service.identity.actor import Actor
from service.identity.api_keys import create_api_key
from service.identity.invitations import invite
from service.identity.organisations import create_organisation
from service.identity.roles import Role
from service.identity.scopes import SCOPES_OF_ROLE, Scope
from service.quarantine import open_quarantine
from service.settings import Settings
from service.storage import (
    NORMALISED_FIGURES,
    checkpoint_key,
    explanation_key,
    normalised_figure_key,
    normalised_key,
)
from tests.service.answering import let_answer
from tests.service.checkpoint_bytes import checkpoint_bytes

REPOSITORY = Path(__file__).resolve().parents[3]
PASSWORD = "correct horse battery"

CARD: dict[str, Any] = {
    "name": "RestNet demonstration",
    "version": "1",
    "network": "C",
    "rnn": "lstm",
    "members": 4,
    "trained_on": "simulated scans",
    "intended_use": "demonstration",
}


def make_settings(folder: Path, template: Path, **values: Any) -> Settings:
    """Settings over a copy of a migrated SQLite file, everything else in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, folder / "restnet.db")
    return Settings(data_dir=folder, **values)


def migrated_database(folder: Path) -> Path:
    """Migrate a SQLite file once; each test copies it."""
    path = folder / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


def scan_bytes(*, shape: tuple[int, ...] = (12, 12, 10, 40), seed: int = 0, tr_s: float = 2.0) -> bytes:
    """A small sound NIfTI: the header passes; whether a worker would accept it is another matter."""
    samples = np.random.default_rng(seed).integers(0, 1000, size=shape, dtype=np.int16)
    image = nib.Nifti1Image(samples, np.diag([4.0, 4.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    if len(shape) > 3:
        image.header["pixdim"][4] = tr_s
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def sample_result(probability: float = 0.61, low: float = 0.44, high: float = 0.75) -> dict[str, Any]:
    """An object as a worker stores it."""
    decision = "uncertain" if low <= 0.5 <= high else "adhd" if low > 0.5 else "control"
    return {
        "scan": {
            "name": "scan.nii.gz",
            "sha256": "9f" * 32,
            "shape": [49, 58, 47, 172],
            "zooms_mm": [4.0, 4.0, 4.0],
            "tr_s": 2.0,
            "n_frames": 172,
        },
        "model": CARD,
        "adhd_probability": probability,
        "interval": {"level": 0.9, "low": low, "high": high},
        "decision": decision,
        "decision_rule": "interval",
        "threshold": 0.5,
        "windows": [{"start_frame": start, "probability": probability} for start in (0, 20, 40)],
        "quality": {
            "n_frames": 172,
            "tr_s": 2.0,
            "duration_s": 344.0,
            "tsnr": None,
            "mean_intensity": None,
            "temporal_sd": 0.83,
            "dvars_mean": 1.0,
            "dvars_max": 1.9,
            "dvars": [1.0, 1.9, 0.8],
            "spikes": 3,
            "template_coverage": 0.97,
            "in_band_power": 0.92,
            "template_space": {"overlap": 0.9},
        },
        "warnings": [{"code": "coverage_partial", "message": "expected the whole brain, found 97 % of it"}],
        "timing_ms": {"read": 1.0, "preprocess": 400.0, "classify": 600.0, "total": 1001.0},
    }


def sample_summary() -> dict[str, Any]:
    """What a worker says of a scan that it has brought into template space."""
    return {
        "version": 1,
        "dropped_frames": 4,
        "n_frames": 168,
        "slice_timing": False,
        "displacement_mm": {"mean": 0.073, "max": 0.16},
        "frames_standing_out": 0.06,
        "tsnr": 65.6,
        "degrees_of_freedom": 29.4,
        "registration": {"outline_fit": 0.97, "explained": 0.865, "coverage": 0.893, "overlap": 0.93},
        "registered_through": "template",
        "input": {
            "origin": "nifti",
            "tr_s": 2.0,
            "tr_from": "sidecar",
            "slice_times_from": None,
            "t1w_available": False,
        },
    }


def sample_native_quality() -> dict[str, Any]:
    """What is measured of a scan on its way into template space, without its lists of a value a frame."""
    return {
        "n_frames": 168,
        "frames_standing_out": {
            "displaced": 0.01,
            "dvars_spikes": 0.02,
            "outlying_voxels": 0.05,
            "signal": 0.05,
            "any": 0.06,
        },
        "dvars_before": [1.0, 1.9, 1.1],
        "dvars_after": [0.9, 1.4, 1.0],
        "tsnr": 65.6,
    }


def sample_facts() -> dict[str, Any]:
    """What a worker stores of an explanation."""
    peak = {
        "mni_mm": [-4.0, 52.0, 8.0],
        "value": 0.012,
        "nearest_region": "vmPFC",
        "nearest_network": "default",
        "distance_mm": 3.2,
    }
    picture = {"width": 686, "height": 348, "low": -0.01, "high": 0.01}
    return {
        "method": "integrated_gradients",
        "logit": 0.8,
        "baseline_logit": -0.1,
        "completeness_error": 0.05,
        "accounts": True,
        "start_frames": [0, 51, 101, 152],
        "members": 5,
        "steps": 16,
        "peaks": [peak],
        "strongest": {"attribution.nii.gz": 0.02, "grad_cam.nii.gz": 3.0},
        "volumes": ["attribution.nii.gz", "grad_cam.nii.gz", "temporal_sd.nii.gz"],
        "pictures": dict.fromkeys(SAMPLE_PICTURES, picture),
        "frames_per_column": 1,
        "global_signal": [0.1, -0.2, 0.1],
    }


def _png() -> bytes:
    file = BytesIO()
    Image.new("L", (8, 4), 90).save(file, "PNG")
    return file.getvalue()


SAMPLE_PNG = _png()
SAMPLE_FIGURE = {
    "width": 8,
    "height": 4,
    "size_bytes": len(SAMPLE_PNG),
    "sha256": hashlib.sha256(SAMPLE_PNG).hexdigest(),
}
SAMPLE_PICTURES = ("attribution.png", "carpet.png", "temporal_sd.png")


@dataclass(frozen=True)
class Serving:
    """An application in this process, with the ways to reach it and its database."""

    app: FastAPI
    client: TestClient

    @property
    def resources(self) -> Resources:
        resources: Resources = self.app.state.resources
        return resources

    @property
    def sessions(self) -> sessionmaker[Session]:
        """See the rows of every organisation."""
        return self.resources.unrestricted_sessions

    def organisation(self, name: str) -> str:
        """Add an organisation and return its id."""
        with self.sessions.begin() as session:
            return create_organisation(session, name=name).id

    def user(
        self,
        username: str = "doctor",
        role: Role = Role.CLINICIAN,
        organisation_id: str = DEFAULT_ORGANISATION_ID,
    ) -> str:
        """Add an account with the common password and return its name."""
        with self.sessions.begin() as session:
            create_user(
                session,
                username=username,
                password=PASSWORD,
                role=role,
                organisation_id=organisation_id,
                by_owner=True,
            )
        return username

    def key(
        self,
        username: str = "machine",
        role: Role = Role.CLINICIAN,
        organisation_id: str = DEFAULT_ORGANISATION_ID,
        scopes: Collection[Scope] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a program that may do all of its role; its account is added when missing."""
        with self.sessions.begin() as session:
            known = find_user(session, username=username)
        if known is None:
            self.user(username, role, organisation_id)
        with self.sessions.begin() as session:
            user = require_user(session, username=username)
            allowed = SCOPES_OF_ROLE[Role(user.role)] if scopes is None else scopes
            key = create_api_key(session, user=user, name="test", scopes=allowed)
            return {"Authorization": f"Bearer {key}"}

    def invite(self, username: str, *, by: str, role: Role = Role.CLINICIAN) -> tuple[InvitationRow, str]:
        """Invite somebody in an administrator's name; gives the invitation and its token."""
        with self.sessions.begin() as session:
            inviting = require_user(session, username=by)
            actor = Actor(f"user:{inviting.id}", "testclient")
            return invite(session, username=username, role=role, by=inviting, actor=actor)

    def log_in(self, username: str) -> str:
        """Log in over the page, instead of whoever was, and return the login's token for changes."""
        self.client.cookies.clear()
        answer = self.client.post("/login", data={"username": username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', self.client.get("/").text))
        return token

    def upload(self, headers: dict[str, str], content: bytes | None = None, **fields: str) -> dict[str, Any]:
        """Upload a small scan and return the answer of 202."""
        file = ("scan.nii.gz", scan_bytes() if content is None else content)
        answer = self.client.post("/api/v1/scans", headers=headers, files={"scan": file}, data=fields)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def register_model(self, card: dict[str, Any] = CARD) -> str:
        """Make a model version the active one and return its id."""
        with self.sessions.begin() as session:
            row = ModelVersionRow(
                name=card["name"], version="1", sha256="a" * 64, storage_key="models/a.st", card=card
            )
            return let_answer(session, row).id

    def add_model(self, version: str, card: dict[str, Any] = CARD) -> str:
        """Register a model with a file of its own, which does not answer, and return its id."""
        content = checkpoint_bytes(f"the weights of version {version}")
        with self.resources.storage.receive(max_bytes=len(content)) as upload:
            upload.write(content)
            sha256 = upload.sha256
            self.resources.storage.promote(upload, checkpoint_key(sha256))
        with self.sessions.begin() as session:
            row = ModelVersionRow(
                name=card["name"],
                version=version,
                sha256=sha256,
                storage_key=checkpoint_key(sha256),
                card=card | {"version": version},
                added_by="command-line",
            )
            session.add(row)
            session.flush()
            return row.id

    def lose_model(self, model_version_id: str) -> None:
        """Take a model's file away."""
        with self.sessions() as session:
            self.resources.storage.delete(session.get_one(ModelVersionRow, model_version_id).storage_key)

    def register_cohort(self, name: str = "tiny", **values: Any) -> str:
        """Add a cohort of twenty cases and twenty controls and return its id."""
        with self.sessions.begin() as session:
            row = CohortRow(
                **{
                    "name": name,
                    "folder": f"/cohorts/{name}",
                    "fingerprint": "b" * 64,
                    "index_sha256": "c" * 64,
                    "condition": "ADHD",
                    "simulated": True,
                    "n_subjects": 40,
                    "n_cases": 20,
                    "n_controls": 20,
                    "n_scans": 41,
                    "sites": {"NYU": {"cases": 20, "controls": 20}},
                    "preprocessing": {"tr_s": 2.0},
                    "registered_by": "command-line",
                    **values,
                }
            )
            session.add(row)
            session.flush()
            return row.id

    def train(self, headers: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
        """Ask for training and return the runs."""
        asked = {"cohort": "tiny", **asked}
        answer = self.client.post("/api/v1/admin/training-runs", headers=headers, json=asked)
        assert answer.status_code == 202, answer.text
        runs: list[dict[str, Any]] = answer.json()["runs"]
        return runs

    def finish(self, prediction_id: str, result: dict[str, Any], *, model_version_id: str) -> None:
        """Store a result as a worker would."""
        with self.sessions.begin() as session:
            row = session.get_one(PredictionRow, prediction_id)
            row.state, row.progress, row.finished_at = PredictionState.SUCCEEDED, 1.0, datetime.now(UTC)
            session.add(
                ResultRow(
                    organisation_id=row.organisation_id,
                    prediction_id=prediction_id,
                    model_version_id=model_version_id,
                    adhd_probability=result["adhd_probability"],
                    interval_low=result["interval"]["low"],
                    interval_high=result["interval"]["high"],
                    decision=result["decision"],
                    result=result,
                )
            )

    def explain(self, prediction_id: str, **changes: Any) -> None:
        """Store an explanation of a finished prediction as a worker would."""
        members = {"attribution.nii.gz": b"a map"} | dict.fromkeys(SAMPLE_PICTURES, SAMPLE_PNG)
        content = pack(members)
        with self.resources.storage.receive(max_bytes=len(content)) as upload:
            upload.write(content)
            self.resources.storage.promote(upload, explanation_key(prediction_id))
        with self.sessions.begin() as session:
            row = jobs.enqueue_explanation(session, session.get_one(PredictionRow, prediction_id))
            row.state, row.progress, row.finished_at = ExplanationState.SUCCEEDED, 1.0, datetime.now(UTC)
            row.facts = sample_facts() | changes

    def normalise(self, prediction_id: str) -> str:
        """Store a scan in template space as a worker would; returns its key."""
        content = b"in template space"
        with self.sessions.begin() as session:
            scan_id = session.get_one(PredictionRow, prediction_id).scan_id
            key = normalised_key(scan_id, 1)
            session.add(
                NormalisedScanRow(
                    organisation_id=session.get_one(ScanRow, scan_id).organisation_id,
                    scan_id=scan_id,
                    version=1,
                    storage_key=key,
                    sha256=hashlib.sha256(content).hexdigest(),
                    size_bytes=len(content),
                    summary=sample_summary(),
                    provenance={
                        "version": 1,
                        "dropped_frames": 4,
                        "band_hz": [0.009, 0.08],
                        "quality": sample_native_quality(),
                        "figures": dict.fromkeys(NORMALISED_FIGURES, SAMPLE_FIGURE),
                    },
                    took_ms=9000.0,
                    finished_at=datetime.now(UTC),
                )
            )
        with self.resources.storage.receive(max_bytes=len(content)) as upload:
            upload.write(content)
            self.resources.storage.promote(upload, key)
        for name in NORMALISED_FIGURES:
            with self.resources.storage.receive(max_bytes=len(SAMPLE_PNG)) as upload:
                upload.write(SAMPLE_PNG)
                self.resources.storage.promote(upload, normalised_figure_key(scan_id, 1, name))
        return key

    def set_state(self, prediction_id: str, state: PredictionState, **values: Any) -> None:
        """Put a prediction into a state, as a worker would."""
        with self.sessions.begin() as session:
            row = session.get_one(PredictionRow, prediction_id)
            row.state = state
            for name, value in values.items():
                assert hasattr(row, name)
                setattr(row, name, value)


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Return every method and path that the application answers, the pages' too; not the static files."""
    return [
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        if route.methods is not None
        # Pages answer HEAD beside GET; one route answers nothing else.
        for method in sorted(route.methods - {"HEAD"} or route.methods)
    ]


@cache
def _quarantine() -> Enclosure:
    """One for all applications of this process: its server takes a second to start."""
    shared = open_quarantine()
    atexit.register(shared.close)
    return shared


@contextmanager
def serving(settings: Settings) -> Iterator[Serving]:
    """Run an application in this process."""
    app = create_app(settings)
    app.state.resources = replace(app.state.resources, quarantine=_quarantine())
    with TestClient(
        app, base_url="http://testserver", follow_redirects=False, client=("127.0.0.1", 50000)
    ) as client:
        yield Serving(app, client)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def web_process(
    settings: Settings, *, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """Run the real web process; gives its address, itself, and the seconds until it answered /healthz."""
    port = port or free_port()
    command = [sys.executable, "-m", "service.api.main", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **settings.environment()}
    began = time.monotonic()
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            yield address, process, _until_healthy(address, process) - began
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_healthy(address: str, process: subprocess.Popen[bytes]) -> float:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the web process ended"
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=1) as answer:  # noqa: S310  (loopback)
                if answer.status == 200:
                    return time.monotonic()
        except OSError:
            time.sleep(0.02)
    message = "the web process did not answer within 30 s"
    raise TimeoutError(message)
