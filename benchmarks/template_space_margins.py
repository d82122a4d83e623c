"""Measure how far accepted and refused scans lie from the thresholds of the template-space decision.

``python benchmarks/template_space_margins.py [--data ../shared/data] [--write]`` prints the tables of
``docs/template-space.md``; ``--write`` puts them there. The real scans are not part of the repository.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from imaging import template_space
from imaging.left_right import left_right_evidence
from imaging.template import template_brain
from imaging.template_fit import brain_map, fit_template

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "template-space.md"
MARKER = "<!-- measured by benchmarks/template_space_margins.py -->"

Array = NDArray[np.floating]
GRIDS = {
    "3 mm, 61x73x61": ((61, 73, 61), nibabel.affines.from_matvec(np.diag([3.0, 3, 3]), (-90, -126, -72))),
    "2 mm, 91x109x91": ((91, 109, 91), nibabel.affines.from_matvec(np.diag([-2.0, 2, 2]), (90, -126, -72))),
}


@dataclass(frozen=True)
class Maps:
    """What the decision reads."""

    mean: Array
    sd: Array
    affine: Array

    @classmethod
    def of(cls, series: Array, affine: Array) -> "Maps":
        """Mean and standard deviation over the last axis; a 3-D image is its own mean."""
        if series.ndim == 3:
            return cls(series.astype(np.float32), np.zeros(series.shape, np.float32), affine)
        return cls(
            series.mean(-1, dtype=np.float64).astype(np.float32), series.std(-1).astype(np.float32), affine
        )

    def moved(self, motion: Array) -> "Maps":
        """Return the same voxels with a header that puts them elsewhere."""
        return Maps(self.mean, self.sd, motion @ self.affine)

    def mirrored(self, axis: int) -> "Maps":
        """Return the voxels mirrored under an unchanged header."""
        return Maps(np.flip(self.mean, axis), np.flip(self.sd, axis), self.affine)


@dataclass(frozen=True)
class Row:
    """One decision."""

    name: str
    outcome: str
    scores: dict[str, float]


def decide(name: str, maps: Maps) -> Row:
    """Take the decision and keep its scores either way."""
    try:
        decision = template_space.decide_template_space(
            mean=np.ascontiguousarray(maps.mean),
            temporal_sd=np.ascontiguousarray(maps.sd),
            affine=maps.affine,
        )
    except template_space.NotInTemplateSpaceError as refusal:
        scores = {key: float(str(value)) for key, value in refusal.details().items()}
        return Row(name, "refused", scores)
    codes = ", ".join(warning.code for warning in decision.warnings)
    return Row(name, f"accepted; {codes}" if codes else "accepted", decision.scores)


def shift(axis: int, by_mm: float) -> Array:
    """Return a translation along a world axis."""
    motion = np.eye(4)
    motion[axis, 3] = by_mm
    return motion


def turn(axis: int, degrees: float) -> Array:
    """Return a rotation about a world axis through the origin."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    return motion


def regridded(series: Array, affine: Array, shape: tuple[int, int, int], target: Array) -> Array:
    """Interpolate every frame linearly onto another grid."""
    to_voxel = np.linalg.inv(affine) @ target
    grid = np.indices(shape).reshape(3, -1)
    where = to_voxel[:3, :3] @ grid + to_voxel[:3, 3:]
    frames = [ndimage.map_coordinates(series[..., t], where, order=1) for t in range(series.shape[-1])]
    return np.stack([frame.reshape(shape) for frame in frames], axis=-1)


def simulated(seed: int) -> Maps:
    """Return smooth noise inside the template's brain, smoothed after masking as Athena does."""
    template, rng = template_brain(), np.random.default_rng(seed)
    noise = rng.standard_normal((*template.mask.shape, 30)).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0.6, 1.5)) * template.mask[..., None]
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0.6, 0))
    return Maps.of(noise - noise.mean(-1, keepdims=True), template.affine)


def painted(data: Path) -> Iterator[Maps]:
    """Yield every ABIDE subject's standard deviations, painted onto the Athena grid."""
    with np.load(data / "abide" / "abide_ho_train.npz", allow_pickle=False) as stored:
        series, lengths, sds, roi_ids = (stored[key] for key in ("ts_q", "length", "roi_sd", "roi_id"))
        scale = float(stored["scale"])
    atlas = nibabel.load(data / "abide" / "ho111_athena_grid.nii.gz")
    labels = np.asarray(atlas.dataobj)
    column = np.zeros(labels.max() + 1, int)
    column[roi_ids] = np.arange(len(roi_ids))
    for index, end in enumerate(np.cumsum(lengths)):
        spread = series[end - lengths[index] : end].astype(np.float32).std(0) / scale * sds[index]
        values = np.where(labels > 0, spread[column[labels]], 0).astype(np.float32)
        yield Maps(np.zeros_like(values), values, atlas.affine)


def load(path: Path) -> tuple[Array, Array]:
    """Read a file and its affine."""
    image = nibabel.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), image.affine.astype(np.float64)


def cells(row: Row) -> str:
    """Format one row of a table."""
    shown = (("coverage", ".2f"), ("fit", ".3f"), ("displacement_mm", ".1f"), ("flip_gain", "+.3f"))
    numbers = [format(row.scores[key], form) for key, form in shown]
    side = row.scores.get("left_right_evidence")
    return " | ".join([f"| {row.name}", *numbers, "" if side is None else f"{side:+.3f}", f"{row.outcome} |"])


HEADER = (
    "| scan | coverage | fit | displacement mm | flip gain | left-right | outcome |\n"
    "|---|---|---|---|---|---|---|"
)


def summary(name: str, rows: list[Row]) -> str:
    """Format many decisions as one row of ranges."""
    low_high = []
    for key, form in (("coverage", ".2f"), ("fit", ".3f"), ("displacement_mm", ".1f"), ("flip_gain", "+.3f")):
        values = [row.scores[key] for row in rows]
        low_high.append(f"{min(values):{form}} to {max(values):{form}}")
    sides = [row.scores["left_right_evidence"] for row in rows if "left_right_evidence" in row.scores]
    low_high.append(f"{min(sides):+.3f} to {max(sides):+.3f}" if sides else "")
    accepted = [row.outcome for row in rows if row.outcome.startswith("accepted")]
    outcome = f"{len(accepted)} of {len(rows)} accepted"
    for code in ("template_fit_poor", "left_right_unverified", "left_right_suspect"):
        count = sum(code in one for one in accepted)
        outcome += f", {count} {code}" if count else ""
    return " | ".join([f"| {name}", *low_high, f"{outcome} |"])


def accepted_table(data: Path, series: Array, affine: Array) -> list[str]:
    """Decide on scans that lie in template space."""
    half = series.shape[-1] // 2
    variants = {
        "athena_like": Maps.of(series, affine),
        "its first half": Maps.of(series[..., :half], affine),
        "its second half": Maps.of(series[..., half:], affine),
        "smoothed by 6 mm more": Maps.of(ndimage.gaussian_filter(series, (0.64, 0.64, 0.64, 0)), affine),
    }
    for name, (shape, target) in GRIDS.items():
        variants[f"regridded, {name}"] = Maps.of(regridded(series, affine, shape, target), target)
    turned = nibabel.Nifti1Image(series, affine).as_reoriented(
        nibabel.orientations.axcodes2ornt(("P", "I", "R"))
    )
    variants["stored with other axes"] = Maps.of(np.asarray(turned.dataobj), turned.affine)
    rows = [HEADER, *(cells(decide(name, maps)) for name, maps in variants.items())]
    people = [decide("", maps) for maps in painted(data)]
    rows.append(summary(f"ABIDE, painted ({len(people)} people)", people))
    noise = [decide("", simulated(seed)) for seed in range(40)]
    return [*rows, summary("simulated noise (40 seeds)", noise)]


def refused_table(data: Path, athena: Maps, abide: Maps) -> list[str]:
    """Decide on scans that do not."""
    rows = [HEADER]
    for name, maps in (("athena_like", athena), ("ABIDE", abide)):
        groups = {
            "shifted 25 mm (6 ways)": [maps.moved(shift(a, s * 25)) for a in range(3) for s in (-1, 1)],
            "rotated 30 degrees (6 ways)": [maps.moved(turn(a, s * 30)) for a in range(3) for s in (-1, 1)],
        }
        rows += [
            summary(f"{name} {how}", [decide("", one) for one in copies]) for how, copies in groups.items()
        ]
        rows += [
            cells(decide(f"{name} mirrored along {'xyz'[axis]}", maps.mirrored(axis))) for axis in range(3)
        ]
    files = sorted((data / "bold").glob("*.nii*")) + sorted((data / "wrong_modality").glob("*.nii*"))
    return rows + [cells(decide(path.name.split(".")[0], Maps.of(*load(path)))) for path in files]


def dose_table(athena: Maps) -> list[str]:
    """Find how much displacement it takes."""
    rows = [
        "| displaced by | displacement found, mm | of six copies: silent / warned / refused |",
        "|---|---|---|",
    ]
    doses = [(f"{mm} mm", shift, mm) for mm in (2, 5, 7, 10, 12, 15, 20, 25)]
    doses += [(f"{degrees} degrees", turn, degrees) for degrees in (2, 5, 7, 10, 12, 15, 20, 25, 30)]
    for name, motion, size in doses:
        found = [decide("", athena.moved(motion(a, s * size))) for a in range(3) for s in (-1, 1)]
        spread = [row.scores["displacement_mm"] for row in found]
        refused = sum(row.outcome == "refused" for row in found)
        warned = sum("template_fit_poor" in row.outcome for row in found)
        outcomes = f"{6 - refused - warned} / {warned} / {refused}"
        rows.append(f"| {name} | {min(spread):.1f} to {max(spread):.1f} | {outcomes} |")
    return rows


def sides_table(data: Path, athena: Maps) -> list[str]:
    """Measure the left-right evidence of people whose sides are known, each in its best pose."""
    people = {"athena_like (ds205 sub-03), SD": (athena.sd, athena.affine)}
    for name in (
        "bold/ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz",
        "bold/nipype_ds003_sub-01_16x16x9x20.nii.gz",
        "bold/GE_epi_human_64x64x15x10.nii.gz",
        "bold/Siemens_epi_human_86x86x39x2.nii.gz",
        "wrong_modality/ASL_pcasl_52x68x20x10.nii.gz",
        "wrong_modality/T1w_defaced_104x150x133.nii.gz",
    ):
        maps = Maps.of(*load(data / name))
        people[f"{name.split('/')[1].split('.')[0]}, mean"] = (maps.mean, maps.affine)
    rows = ["| scan | fit | left-right evidence |", "|---|---|---|"]
    for name, (values, affine) in people.items():
        brain = brain_map(values, affine)
        if brain is None:
            continue
        pose = fit_template(brain)
        side = left_right_evidence(values, affine, pose.affine)
        rows.append(f"| {name} | {pose.correlation:.3f} | {side:+.3f} |")
    return rows


def timing(athena: Maps) -> str:
    """Median time of a decision once the template is loaded."""
    taken = []
    for _ in range(15):
        start = time.perf_counter()
        decide("", athena)
        taken.append(1e3 * (time.perf_counter() - start))
    best, median = min(taken), np.median(taken)
    return f"One decision on the Athena grid: {best:.0f} ms at best, {median:.0f} ms in the median of 15."


def main() -> None:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    data: Path = arguments.data
    series, affine = load(next((data / "athena_like").glob("*.nii.gz")))
    athena = Maps.of(series, affine)
    sections = {
        "Scans in template space": accepted_table(data, series, affine),
        "Scans elsewhere": refused_table(data, athena, next(painted(data))),
        "How much it takes (athena_like, each axis, both ways)": dose_table(athena),
        "Left and right: people whose sides are known": sides_table(data, athena),
        "Time": [timing(athena)],
    }
    text = "\n\n".join(f"### {title}\n\n" + "\n".join(rows) for title, rows in sections.items())
    if arguments.write:
        document = DOCUMENT.read_text()
        before = document[: document.index(MARKER) + len(MARKER)]
        DOCUMENT.write_text(f"{before}\n\n{text}\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
