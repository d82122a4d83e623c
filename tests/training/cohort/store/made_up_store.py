"""A cohort of series that are in memory, written as ingestion would write it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imaging import PreprocessingSpec
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.store.writing import series_name, write_index, write_maps, write_series, write_tissues
from training.cohort.subjects import Subject


def write_store(
    folder: Path,
    *,
    subjects: Sequence[Subject],
    series: Mapping[str, Sequence[Float[np.ndarray, "T N"]]],
    spec: PreprocessingSpec,
    maps: Mapping[str, Sequence[Float32[np.ndarray, "M N"]]] | None = None,
    tissues: Mapping[str, Sequence[Float32[np.ndarray, "3 K"]]] | None = None,
    name: str = "made up",
    simulated: bool = True,
) -> CohortStore:
    """Write the cohort and open it; each subject's series are its runs 1, 2, ... of session 1.

    Maps and tissues, where there are any, are those of the same runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scans = []
    for subject in subjects:
        for number, values in enumerate(series[subject.subject_id], start=1):
            file = series_name(
                subject_id=subject.subject_id, session="1", run=str(number), variant="simulated"
            )
            digest = write_series(folder, file, values)
            of_subject = None if maps is None else maps.get(subject.subject_id)
            of_head = None if tissues is None else tissues.get(subject.subject_id)
            scans.append(
                StoredScan(
                    subject_id=subject.subject_id,
                    session="1",
                    run=str(number),
                    variant="simulated",
                    tr_s=2.0,
                    n_frames=len(values),
                    n_stored_frames=len(values),
                    dvars_mean=None,
                    spikes=None,
                    quality={},
                    warnings=(),
                    source_name=f"{subject.subject_id}, run {number}",
                    source_sha256=digest,
                    source_stamp="",
                    series_file=file,
                    series_sha256=digest,
                    maps_sha256=of_subject and write_maps(folder, file, of_subject[number - 1]),
                    tissues_sha256=of_head and write_tissues(folder, file, of_head[number - 1]),
                )
            )
    write_index(
        folder,
        subjects=subjects,
        scans=scans,
        name=name,
        condition="ADHD",
        simulated=simulated,
        spec=spec,
        source={},
        label_rule={},
        report={},
    )
    return CohortStore.open(folder)
