"""Writing a cohort: series by series, and the index last, so that a reader finds a whole cohort or none."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from pydantic import JsonValue

from imaging import PreprocessingSpec
from imaging.words import encodable
from model.files import replace_file
from training.cohort.store.index import (
    COHORT_FILE,
    COHORT_SUBJECTS_FILE,
    SCAN_JSON,
    SCANS_FILE,
    SERIES_FOLDER,
    CohortRecord,
    StoredScan,
    maps_name,
    tissues_name,
)
from training.cohort.store.subject_table import format_subjects
from training.cohort.subjects import Subject


def series_name(*, subject_id: str, session: str, run: str, variant: str) -> str:
    """Name a series inside the cohort's folder."""
    return f"{SERIES_FOLDER}/{subject_id}_{session}_{run}_{variant}.npy"


def write_series(folder: Path, name: str, series: Float[np.ndarray, "T N"]) -> str:
    """Write one series in half precision, whole or not at all.

    Parameters
    ----------
    folder : Path
        The cohort's; its folder for series is made.
    name : str
        From :func:`series_name`.
    series : (T, N) float
        Of unit variance.

    Returns
    -------
    str
        sha256 of the file.
    """
    return _write_array(folder / name, np.ascontiguousarray(series, dtype="<f2"))


def write_maps(folder: Path, series_file: str, maps: Float32[np.ndarray, "M N"]) -> str:
    """Write the derived maps of one scan, whole or not at all.

    Parameters
    ----------
    folder : Path
        The cohort's; its folder for maps is made.
    series_file : str
        Of the same scan, from :func:`series_name`: the maps bear its name.
    maps : (M, N) float32

    Returns
    -------
    str
        sha256 of the file.
    """
    return _write_array(folder / maps_name(series_file), np.ascontiguousarray(maps, dtype="<f4"))


def write_tissues(folder: Path, series_file: str, tissues: Float32[np.ndarray, "3 K"]) -> str:
    """Write the tissue maps that go with one scan, whole or not at all.

    Parameters
    ----------
    folder : Path
        The cohort's; its folder for tissue maps is made.
    series_file : str
        Of the scan, from :func:`series_name`: the maps bear its name.
    tissues : (3, K) float32

    Returns
    -------
    str
        sha256 of the file.
    """
    return _write_array(folder / tissues_name(series_file), np.ascontiguousarray(tissues, dtype="<f4"))


def _write_array(path: Path, array: np.ndarray) -> str:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version=(1, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def write_index(
    folder: Path,
    *,
    subjects: Sequence[Subject],
    scans: Sequence[StoredScan],
    name: str,
    condition: str,
    simulated: bool,
    spec: PreprocessingSpec,
    source: Mapping[str, JsonValue],
    label_rule: Mapping[str, JsonValue],
    report: Mapping[str, JsonValue],
) -> None:
    """Write the tables and then ``cohort.json``, which makes the folder a cohort.

    Parameters
    ----------
    folder : Path
        Holds every scan's series already.
    subjects : sequence of Subject
        Each with a scan.
    scans : sequence of StoredScan
    name, condition, simulated, spec, source, label_rule, report
        As in `CohortRecord`.
    """
    order = {subject.subject_id: number for number, subject in enumerate(subjects)}
    ordered = sorted(scans, key=lambda scan: (order[scan.subject_id], scan.session, scan.run, scan.variant))
    subjects_text = encodable(format_subjects(subjects)).encode()
    scans_text = b"".join(SCAN_JSON.dump_json(scan) + b"\n" for scan in ordered)
    record = CohortRecord(
        name=encodable(name),
        condition=encodable(condition),
        simulated=simulated,
        spec=spec.to_json(),
        source=_encodable_fields(source),
        label_rule=_encodable_fields(label_rule),
        report=_encodable_fields(report),
        code_version=version("restnet"),
        subjects_sha256=hashlib.sha256(subjects_text).hexdigest(),
        scans_sha256=hashlib.sha256(scans_text).hexdigest(),
    )
    replace_file(folder / COHORT_SUBJECTS_FILE, subjects_text)
    replace_file(folder / SCANS_FILE, scans_text)
    replace_file(folder / COHORT_FILE, (record.model_dump_json(indent=2) + "\n").encode())


def _encodable_fields(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Write names of files, which are bytes and may be no text, so that JSON can hold them."""
    return {key: _encodable(value) for key, value in fields.items()}


def _encodable(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return list(map(_encodable, value))
    return _encodable_fields(value) if isinstance(value, dict) else value
