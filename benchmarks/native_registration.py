"""How well the template is laid over whole brains, what is refused: the tables of `docs/native-quality.md`.

The second table is of runs with a T1-weighted image. No real pair is at hand: heads are drawn from the
template bent at random, or a run is drawn of a measured T1-weighted head, so that it is known where each
head lies.

Usage::

    python benchmarks/native_registration.py [--data ../shared/data] [--write] [--only-t1w]

`--write` puts the tables into the document. The scans are not part of the repository.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from imaging.errors import ScanError  # noqa: E402
from imaging.native.registration import register  # noqa: E402
from imaging.native.sources import take_in  # noqa: E402
from imaging.native.structural import Structural, read_structural  # noqa: E402
from imaging.native.through_t1w import (  # noqa: E402
    T1wNotUsedError,
    find_head,
    find_way,
    judge_way,
)
from imaging.one_thread import one_blas_thread  # noqa: E402
from tests.imaging.native.heads import GRID, distance_mm, head, moved  # noqa: E402
from tests.imaging.native.people import draw_person, run_mean_of_head  # noqa: E402
from tests.imaging.native.storage import Stored, mirrored, permuted  # noqa: E402

T1W = "wrong_modality/T1w_defaced_104x150x133.nii.gz"
T1W_CROP = "wrong_modality/T1w_crop_33x41x25.nii"
CT = "wrong_modality/CT_head_175x248x58.nii.gz"
DOCUMENT = ROOT / "docs" / "native-quality.md"
MARKER = "<!-- measured by benchmarks/native_registration.py -->"
MARKER_T1W = "<!-- measured by benchmarks/native_registration.py with T1-weighted images -->"
HEADER_T1W = (
    "| run | T1-weighted image | laid over | left unexplained beside the template's | run to image (mm) "
    "| from the truth, direct / through it (mm) | overlap, direct / through it | seconds, direct / more |\n"
    "|---|---|---|---|---|---|---|---|"
)
# Of a head in its run beside its image.
BESIDE = (
    moved((0, 0, 0), (0, -5, 8)),
    moved((8, -5, 6), (6, -12, 10)),
    moved((-12, 4, -3), (-4, -8, 8)),
)
FAINT = (0.82, 0.78, 0.95)

HEADER = "| mean image | outcome | outline fit | similarity | overlap | coverage |\n|---|---|---|---|---|---|"


def mean_of(path: Path) -> Stored:
    """Return the mean over time of a scan, and its affine."""
    image = nib.load(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    return (values.mean(axis=3) if values.ndim == 4 else values), image.affine


def tilted(affine: np.ndarray) -> np.ndarray:
    """Lay the head otherwise in the scanner."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [18, -10, 12], degrees=True).as_matrix()
    pose[:3, 3] = [12.0, -25.0, 18.0]
    return pose @ affine


def cornered(affine: np.ndarray) -> np.ndarray:
    """Forget where the scanner's middle is."""
    moved = affine.copy()
    moved[:3, 3] = 0
    return moved


def images(data: Path) -> list[tuple[str, Stored]]:
    """Return what is registered, by name."""
    plain, affine = mean_of(data / "bold/ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz")
    half = plain.shape[0] // 2
    others = {
        "ds003, 12.5 x 12.5 x 16 mm": "bold/nipype_ds003_sub-01_16x16x9x20.nii.gz",
        "Siemens, 2.5 mm, 2 frames": "bold/Siemens_epi_human_86x86x39x2.nii.gz",
        "GE, 15 slices of 5 mm, 10 frames": "bold/GE_epi_human_64x64x15x10.nii.gz",
        "pCASL (refused before, for its signal)": "wrong_modality/ASL_pcasl_52x68x20x10.nii.gz",
        "T1-weighted head": "wrong_modality/T1w_defaced_104x150x133.nii.gz",
        "T1-weighted crop": "wrong_modality/T1w_crop_33x41x25.nii",
        "CT head": "wrong_modality/CT_head_175x248x58.nii.gz",
        "phantom, 8 slices": "wrong_modality/EPI_phantom_GE_64x64x8x8.nii.gz",
        "nipy, 3 slices": "bold/nipy_functional_17x21x3x20.nii.gz",
    }
    drawn = [
        ("ds205, 4 mm", (plain, affine)),
        ("ds205, tilted by 24 degrees and 33 mm", (plain, tilted(affine))),
        ("ds205, origin in a corner of the box", (plain, cornered(affine))),
        ("ds205, stored from the other side", mirrored(plain, affine, 0)),
        ("ds205, stored from front to back and upside down", mirrored(plain, affine, 1, 2)),
        ("ds205, axes permuted", permuted(plain, affine, (2, 0, 1))),
        ("ds205, permuted, mirrored and tilted", mirrored(*permuted(plain, tilted(affine), (1, 2, 0)), 0, 2)),
        ("ds205, one half from the side", (plain[:half], affine)),
        ("ds205, the front half", (plain[:, plain.shape[1] // 2 :], shifted(affine, 1, plain.shape[1] // 2))),
        ("ds205, the lower half", (plain[:, :, : plain.shape[2] // 2], affine)),
        ("drawn from the template itself", (head(), GRID)),
    ]
    return [
        *drawn,
        *of_dicom(data / "dicom/philips_epi_24vols_dicom.zip"),
        *((name, mean_of(data / path)) for name, path in others.items()),
    ]


def of_dicom(series: Path) -> list[tuple[str, Stored]]:
    """Return the Philips head, converted, in three kinds of storage."""
    with TemporaryDirectory() as folder:
        plain, affine = mean_of(take_in(series, Path(folder)).path)
    return [
        ("Philips from DICOM, 3 x 3 x 3.3 mm", (plain, affine)),
        ("Philips, stored from front to back and upside down", mirrored(plain, affine, 1, 2)),
        (
            "Philips, permuted, mirrored and tilted",
            mirrored(*permuted(plain, tilted(affine), (1, 2, 0)), 0, 2),
        ),
    ]


def shifted(affine: np.ndarray, axis: int, voxels: int) -> np.ndarray:
    """Return the affine of what begins some voxels later."""
    moved = affine.copy()
    moved[:3, 3] += voxels * affine[:3, axis]
    return moved


def row(name: str, stored: Stored) -> str:
    """Register one, and write its line."""
    mean, affine = stored
    try:
        found = register(np.ascontiguousarray(mean), affine)
    except ScanError as refusal:
        told = refusal.details()
        scores = [told.get(key) for key in ("outline_fit", "explained", "overlap")]
        figures = " | ".join(f"{score:.2f}" if score else "" for score in scores)
        return f"| {name} | `{refusal.code}` | {figures} | {told.get('found', '')} |"
    return (
        f"| {name} | registered | {found.outline_fit:.2f} | {found.explained:.2f} | {found.overlap:.2f} "
        f"| {found.coverage:.2f} |"
    )


def t1w_row(
    run: str,
    image: str,
    stored: Stored,
    structural: Structural,
    *,
    beside: np.ndarray | None = None,
    away_mm: Callable[[np.ndarray], float] | None = None,
) -> str:
    """Lay the template over one run without its image and by way of it, and write the line."""
    mean, affine = np.ascontiguousarray(stored[0]), stored[1]
    began = time.process_time()
    direct = register(mean, affine)
    between = time.process_time()
    outcome, left, run_to_image, overlaps = "template", "", "", f"{direct.overlap:.2f}"
    aways = "" if away_mm is None else f"{away_mm(direct.affine):.2f}"
    with suppress(T1wNotUsedError):
        way = find_way(mean, affine, direct=direct, structural=structural)
        left = f"{way.left:.2f}"
        if beside is not None:
            run_to_image = f"{distance_mm(way.beside @ way.head, beside @ way.head):.2f}"
        found = judge_way(mean, affine, way, direct=direct)
        outcome, overlaps = "the image", f"{overlaps} / {found.overlap:.2f}"
        if away_mm is not None:
            aways += f" / {away_mm(found.affine):.2f}"
    seconds = f"{between - began:.1f} / {time.process_time() - between:.1f}"
    line = f"| {run} | {image} | {outcome} | {left} | {run_to_image} | {aways} | {overlaps} | {seconds} |"
    # Half a minute each on a busy machine.
    print(line, flush=True)
    return line


def t1w_rows(data: Path) -> Iterator[str]:
    """Write the lines of the second table."""
    people = [draw_person(seed=seed) for seed in (3, 9, 4)]
    kinds: dict[str, dict[str, Any]] = {
        "": {},
        ", no signal lost": {"lost": 0.0},
        ", tissues hardly differ": {"brightness": FAINT},
    }
    for number, person in enumerate(people, start=1):
        # What a run may lack is tried on the first of them alone.
        for kind, drawn in kinds.items() if number == 1 else [("", {})]:
            beside = BESIDE[number - 1]
            mean = person.run_mean(beside=beside, seed=number, **drawn)
            away_mm = partial(person.distance_mm, beside=beside)
            structural = person.structural()
            yield t1w_row(
                f"drawn, {number}{kind}", "own", (mean, GRID), structural, beside=beside, away_mm=away_mm
            )
        other = people[number % len(people)].structural()
        yield t1w_row(f"drawn, {number}", "another's", (mean, GRID), other)
    measured = read_structural(data / T1W)
    ds205 = mean_of(data / "bold/ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz")
    _, pose = find_head(measured, register(*ds205))
    for beside in BESIDE:
        mean = run_mean_of_head(measured, pose=pose, beside=beside, seed=1)
        yield t1w_row("drawn of the T1-weighted head", "own", (mean, GRID), measured, beside=beside)
    yield t1w_row("ds205", "another's: the T1-weighted head", ds205, measured)
    for name, path in (
        ("Siemens, 2.5 mm, 2 frames", "bold/Siemens_epi_human_86x86x39x2.nii.gz"),
        ("pCASL", "wrong_modality/ASL_pcasl_52x68x20x10.nii.gz"),
    ):
        yield t1w_row(name, "another's: the T1-weighted head", mean_of(data / path), measured)
    for name, path in (("T1-weighted crop", T1W_CROP), ("CT head", CT)):
        yield t1w_row("ds205", name, ds205, read_structural(data / path))


def write_between(marker: str, table: str) -> None:
    """Put a table into the document."""
    before, _, after = DOCUMENT.read_text().split(marker)
    DOCUMENT.write_text(f"{before}{marker}\n{table}\n{marker}{after}")


@one_blas_thread()
def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only-t1w", action="store_true", help="the second table alone")
    given = parser.parse_args()
    tables = {}
    if not given.only_t1w:
        tables[MARKER] = [HEADER, *(row(name, stored) for name, stored in images(given.data))]
    tables[MARKER_T1W] = [HEADER_T1W, *t1w_rows(given.data)]
    for marker, lines in tables.items():
        table = "\n".join(lines)
        print(table)
        if given.write:
            write_between(marker, table)


if __name__ == "__main__":
    main()
