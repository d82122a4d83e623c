"""The phenotype table of a simulated cohort, with the column names and the gaps of the real one.

Sex, IQ and symptom scales differ between the groups as they do in ADHD-200, so that a phenotype-only
baseline has something to find. The scans know nothing of it: they depend on the diagnosis only, and at
effect size 0 not even on that.
"""

import csv
import io
from collections.abc import Iterable

from numpy.random import Generator

from training.simulation.sites import Site

TABLE_NAME = "adhd200_preprocessed_phenotypics.tsv"
COLUMNS = (
    "ScanDir ID",
    "Site",
    "Gender",
    "Age",
    "Handedness",
    "DX",
    "Secondary Dx",
    "ADHD Measure",
    "ADHD Index",
    "Inattentive",
    "Hyper/Impulsive",
    "IQ Measure",
    "Verbal IQ",
    "Performance IQ",
    "Full2 IQ",
    "Full4 IQ",
    "Med Status",
    "QC_Athena",
    "QC_NIAK",
)

NOT_AVAILABLE = "N/A"
MISSING = "-999"

_MALE_SHARE = (0.53, 0.78)
_MEAN_IQ = (111.0, 106.0)
_MEAN_SYMPTOMS = (45.0, 70.0)
_SUBTYPES = ((1, 2, 3), (0.59, 0.04, 0.37))  # combined, hyperactive/impulsive, inattentive
_SYMPTOM_MEASURE = {"Peking": "1", "KKI": "2", "NYU": "2", "OHSU": "3"}
_IQ_MEASURE = {"Peking": "3", "KKI": "1", "NYU": "2", "OHSU": "2", "Pittsburgh": "2", "WashU": "4"}
_QUESTIONABLE_SHARE = 0.05
_MISSING_SHARE = 0.03


def phenotype_row(*, scan_dir_id: str, site: Site, label: int, generator: Generator) -> dict[str, str]:
    """Draw one subject's row.

    Parameters
    ----------
    scan_dir_id : str
        Not padded.
    site : Site
    label : int
        0 control, 1 ADHD of some subtype.
    generator : numpy.random.Generator

    Returns
    -------
    dict
        A text for every one of ``COLUMNS``; what a site never measured is ``N/A``, what is missing ``-999``.
    """
    age = max(7.1, float(generator.normal(site.mean_age_years, site.sd_age_years)))
    subtype = int(generator.choice(_SUBTYPES[0], p=_SUBTYPES[1]))
    symptoms = [_score(generator, _MEAN_SYMPTOMS[label], 8.0, low=40, high=90) for _ in range(3)]
    iq = [_score(generator, _MEAN_IQ[label], 13.0, low=73, high=153) for _ in range(3)]
    row = {
        "ScanDir ID": scan_dir_id,
        "Site": str(site.code),
        "Gender": str(int(generator.random() < _MALE_SHARE[label])),
        "Age": f"{age:.2f}",
        "Handedness": _handedness(site, generator),
        "DX": str(subtype if label else 0),
        "Secondary Dx": "",
        "ADHD Measure": _SYMPTOM_MEASURE.get(site.name, NOT_AVAILABLE),
        "IQ Measure": _IQ_MEASURE.get(site.name, NOT_AVAILABLE),
        "Full2 IQ": NOT_AVAILABLE,
        "Med Status": NOT_AVAILABLE
        if site.name == "NeuroIMAGE"
        else "2"
        if label and iq[0] % 3 == 0
        else "1",
        "QC_Athena": str(int(generator.random() >= _QUESTIONABLE_SHARE)),
        "QC_NIAK": str(int(generator.random() >= _QUESTIONABLE_SHARE)),
    }
    lost_symptoms, lost_iq = generator.random(2) < _MISSING_SHARE
    for column, value in zip(("ADHD Index", "Inattentive", "Hyper/Impulsive"), symptoms, strict=True):
        row[column] = _measured(value, on=row["ADHD Measure"], lost=bool(lost_symptoms))
    for column, value in zip(("Verbal IQ", "Performance IQ", "Full4 IQ"), iq, strict=True):
        row[column] = _measured(value, on=row["IQ Measure"], lost=bool(lost_iq))
    return row


def phenotype_table(rows: Iterable[dict[str, str]]) -> str:
    """Write rows as the tab-separated text of the table, header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _measured(value: int, *, on: str, lost: bool) -> str:
    if on == NOT_AVAILABLE:
        return NOT_AVAILABLE
    return MISSING if lost else str(value)


def _score(generator: Generator, mean: float, sd: float, *, low: int, high: int) -> int:
    return int(min(max(round(float(generator.normal(mean, sd))), low), high))


def _handedness(site: Site, generator: Generator) -> str:
    right = generator.random() < 0.95
    if site.name == "NYU":
        # The only site with the Edinburgh inventory's score instead of a side.
        return f"{generator.uniform(0.4, 1.0) if right else generator.uniform(-0.9, 0.0):.2f}"
    return str(int(right))
