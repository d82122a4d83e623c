"""One explanation: what of a scan drove a prediction, and the pictures to judge the scan by.

It begins when the answer is stored and costs what is fixed in :mod:`model.explanation`, on one thread: on a
machine whose other cores answer for scans it must not keep them waiting.
"""

import gzip
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from imaging import NetworkInput, ScanPictures
from imaging.quality import MEANLESS_TSNR
from service import jobs
from service.db.rows import ExplanationRow, NormalisedScanRow, PredictionRow
from service.explanations import ATTRIBUTION, GRAD_CAM, pack
from service.registry import CheckpointMissingError, NoActiveModelError
from service.storage import EncryptionKeyMissingError, explanation_key
from service.worker.drawing import Drawn, draw_carpet, draw_map, draw_mosaic
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.kept_scans import fetched_to_read, stored_sha256
from service.worker.made_again import read_kept
from service.worker.picturing import picture_enclosed
from service.worker.runtime import Runtime
from service.worker.threads import one_thread

if TYPE_CHECKING:
    from model.explanation import Explanation

# What of the work is done when the scan is read, and when it is explained.
_READ, _EXPLAINED = 0.2, 0.95
_MAX_FILE_BYTES = 1 << 30
_GZIP_LEVEL = 6


def run_explanation(runtime: Runtime, explanation_id: str) -> None:
    """Claim an explanation and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(EXPLANATION, runtime, explanation_id)


def _explain(runtime: Runtime, row: ExplanationRow, owner: str, heartbeat: Heartbeat) -> Write:
    from model.explanation import explain, require_explainable  # noqa: PLC0415  (torch)

    with runtime.sessions() as session:
        prediction = session.scalars(
            select(PredictionRow)
            .where(PredictionRow.id == row.prediction_id)
            .options(joinedload(PredictionRow.scan), joinedload(PredictionRow.model_version))
        ).one()
    scan, version = prediction.scan, prediction.model_version
    if version is None:
        raise RuntimeError("a prediction without a model was to be explained")
    predictor = runtime.model_to_explain(version)
    require_explainable(predictor)

    def read(kept: NormalisedScanRow | None) -> tuple[NetworkInput, ScanPictures]:
        with fetched_to_read(runtime.storage, scan, kept, check=heartbeat.check) as path:
            runtime.storage_answered()
            return picture_enclosed(
                runtime.enclosure,
                path,
                predictor.spec,
                sha256=scan.sha256,
                stored_sha256=stored_sha256(scan, kept),
                limits=runtime.reader_limits(),
                progress=lambda done: heartbeat.report(_READ * done),
                check=heartbeat.check,
            )

    network_input, pictures = read_kept(runtime, scan, read, heartbeat=heartbeat)
    with one_thread():
        found = explain(
            predictor,
            network_input,
            progress=lambda done: heartbeat.report(_READ + (_EXPLAINED - _READ) * done),
        )
        heartbeat.report(_EXPLAINED)
        coarse = explain(predictor, network_input, method="grad_cam", progress=lambda _: heartbeat.check())
    members, facts = _draw(found, coarse, network_input, pictures)
    heartbeat.check()
    with runtime.storage.receive(max_bytes=_MAX_FILE_BYTES) as upload:
        upload.write(pack(members))
        runtime.storage.promote(upload, explanation_key(prediction.id))
    return lambda session: jobs.finish_explanation(session, row.id, owner=owner, facts=facts)


EXPLANATION = Work(
    kind=ExplanationRow,
    name="explanation",
    do=_explain,
    awaited=(NoActiveModelError, CheckpointMissingError, EncryptionKeyMissingError),
    out_of_reach="expected the service's own storage to answer, found it away",
    limited=True,
)


def _draw(
    found: "Explanation", coarse: "Explanation", network_input: NetworkInput, pictures: ScanPictures
) -> tuple[dict[str, bytes], dict[str, Any]]:
    from model.explanation import peaks, to_template  # noqa: PLC0415

    drawn = {
        "attribution.png": draw_map(found.map),
        "carpet.png": draw_carpet(pictures.carpet),
        **_mosaics(pictures, has_mean=network_input.quality.tsnr is not None),
    }
    maps = {ATTRIBUTION: found.map, GRAD_CAM: coarse.map}
    volumes = {
        name: gzip.compress(to_template(cube).to_bytes(), _GZIP_LEVEL, mtime=0) for name, cube in maps.items()
    }
    volumes["temporal_sd.nii.gz"] = _volume(pictures.temporal_sd, pictures)
    if network_input.quality.tsnr is not None:
        volumes["mean.nii.gz"] = _volume(pictures.mean, pictures)
    facts = {
        "method": found.method,
        "logit": found.logit,
        "baseline_logit": found.baseline_logit,
        "completeness_error": found.completeness_error,
        "accounts": found.accounts,
        "start_frames": list(found.start_frames),
        "members": found.members,
        "steps": found.steps,
        "peaks": [asdict(peak) for peak in peaks(found.map)],
        "strongest": {name: float(np.abs(cube).max()) for name, cube in maps.items()},
        "volumes": sorted(volumes),
        "pictures": {name: _described(picture) for name, picture in drawn.items()},
        "frames_per_column": pictures.frames_per_column,
        "global_signal": [round(float(value), 4) for value in np.nan_to_num(pictures.global_signal)],
    }
    return volumes | {name: picture.png for name, picture in drawn.items()}, facts


def _mosaics(pictures: ScanPictures, *, has_mean: bool) -> dict[str, Drawn]:
    """Draw what the scan has: one that was band-passed has no mean, and no ratio to it."""
    varying = pictures.temporal_sd[pictures.temporal_sd > 0]
    drawn = {"temporal_sd.png": _mosaic(pictures.temporal_sd, pictures, high=_quantile(varying))}
    if has_mean:
        tsnr = np.divide(
            np.abs(pictures.mean),
            pictures.temporal_sd,
            out=np.zeros_like(pictures.mean),
            where=pictures.temporal_sd > 0,
        )
        drawn["mean.png"] = _mosaic(pictures.mean, pictures, high=_quantile(pictures.mean[pictures.mean > 0]))
        drawn["tsnr.png"] = _mosaic(tsnr, pictures, high=_quantile(tsnr[tsnr > MEANLESS_TSNR]))
    return drawn


def _mosaic(volume: np.ndarray, pictures: ScanPictures, *, high: float) -> Drawn:
    return draw_mosaic(volume, pictures.affine, low=0.0, high=high)


def _quantile(values: np.ndarray) -> float:
    # The brightest half per cent are vessels and edges, beside which all else would be dark.
    return float(np.quantile(values, 0.995)) if values.size else 1.0


def _volume(volume: np.ndarray, pictures: ScanPictures) -> bytes:
    from model.explanation import in_template_space  # noqa: PLC0415

    return gzip.compress(in_template_space(volume, pictures.affine).to_bytes(), _GZIP_LEVEL, mtime=0)


def _described(picture: Drawn) -> dict[str, float]:
    return {
        "width": picture.width,
        "height": picture.height,
        "low": round(picture.low, 6),
        "high": round(picture.high, 6),
    }
