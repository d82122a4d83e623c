"""Measure simulated scans beside real ones, and what each of the simulator's settings changes.

``python benchmarks/simulator_statistics.py [--data ../shared/data] [--out results.json]`` prints the tables
of docs/science.md. Two kinds of real scans stand beside the simulated ones: one functional run prepared like
Athena's files (voxels; a localiser task, not rest), and ABIDE's series of 626 people (averages over the
Harvard-Oxford regions, which the simulated scans are averaged over too; filtered to 0.01-0.1 Hz). Neither is
part of the repository; only means and ranges are written. No group or site effect unless said.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import signal
from sklearn.metrics import roc_auc_score

from imaging.template import template_brain
from training.simulation.brain_networks import NETWORKS, NODE_MM, NODE_NETWORK
from training.simulation.signals import ATHENA_AFFINE
from training.simulation.simulator import simulate_subject, subject_profile

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "athena_like",
    "abide/abide_ho_train.npz",
    "abide/ho111_athena_grid.nii.gz",
    "abide/ho111_labels.tsv",
)
SEED = 2024
N_SUBJECTS = 40
EFFECT_SIZES = (0.5, 1.0, 2.0)
SITE_EFFECTS = (0.5, 1.0)
BAND_HZ = (0.009, 0.08)
VOXEL_MM = 4.0
SHORTEST_S = 180.0  # what depends on a scan's length is measured over so much of each
NODE_RADIUS_MM = 8.0
OFF_MIDLINE_MM = 12.0  # nearer voxels share their smoothing with their mirror image
STRAY_ROI = 3455  # two stray voxels, no region

Array = NDArray[np.floating]
Row = dict[str, float]


@dataclass(frozen=True, eq=False)
class Brain:
    """The template's brain on the Athena grid, LAS as stored.

    Attributes
    ----------
    mask : (49, 58, 47) bool
    mm : (N, 3) float
        Of the voxels in the mask.
    nodes : list of (n,) int
        Voxels near each published node.
    regions : list of (n,) int
        Voxels of each Harvard-Oxford region, in the order of ABIDE's columns.
    left, right : (R,) int
        Pairs of regions that mirror each other.
    """

    mask: NDArray[np.bool_]
    mm: Array
    nodes: list[NDArray[np.integer]]
    regions: list[NDArray[np.integer]]
    left: NDArray[np.integer]
    right: NDArray[np.integer]

    def spread(self, values: Array) -> Array:
        """Put (N, T) back into space: (49, 58, 47, T), 0 outside."""
        volume = np.zeros((*self.mask.shape, values.shape[1]), dtype=values.dtype)
        volume[self.mask] = values
        return volume


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    absent = [name for name in NEEDED if not (options.data / name).exists()]
    if absent:
        sys.exit(f"expected {', '.join(absent)} in {str(options.data)!r} (see --data), found none")
    result = measure(options.data)
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(data: Path) -> dict[str, Any]:
    """Simulate, read, and measure; nothing of a single person is in what comes back."""
    brain = read_brain(data / "abide")
    plain = [simulated(brain, index) for index in range(N_SUBJECTS)]
    people = abide(data / "abide", brain)
    planted = {
        f"effect size {size:g}": [
            simulated(brain, one.index, effect_size=size) if one.label else one for one in plain
        ]
        for size in EFFECT_SIZES
    }
    shifted = {
        f"site effect {size:g}": [simulated(brain, one.index, site_effect=size) for one in plain]
        for size in SITE_EFFECTS
    }
    return {
        "command": "python benchmarks/simulator_statistics.py",
        "n_simulated": N_SUBJECTS,
        "seed": SEED,
        "voxels": {
            "athena_like": athena_like(data / "athena_like", brain),
            "simulated": summarised([one.voxels for one in plain]),
            "simulated lag-1 by TR": lag_1_by_tr(plain),
        },
        "regions": {
            f"ABIDE, {len(people)} people": region_table(people),
            f"simulated, {N_SUBJECTS}": region_table([one.regions for one in plain]),
        },
        "settings": {
            name: setting_row(found, plain)
            for name, found in ({"nothing planted": plain} | planted | shifted).items()
        },
    }


# Who and where


def read_brain(folder: Path) -> Brain:
    """Find the nodes' voxels and the regions' in the template's brain."""
    mask = template_brain().mask[::-1]
    mm = np.argwhere(mask) @ ATHENA_AFFINE[:3, :3].T + ATHENA_AFFINE[:3, 3]
    atlas = nibabel.load(folder / "ho111_athena_grid.nii.gz")
    if not np.array_equal(atlas.affine, ATHENA_AFFINE):
        sys.exit("expected the atlas on the Athena grid, found another affine")
    values = np.asarray(atlas.dataobj)[mask]
    kept = [number for number in region_ids(folder) if number != STRAY_ROI]
    place = {number: column for column, number in enumerate(kept)}
    # Cortical regions are 100 k + 1 on the right and 100 k + 2 on the left; the others are FreeSurfer's.
    cortical = [(number + 1, number) for number in kept if number % 100 == 1 and number + 1 in place]
    deep = [(left, left + 39) for left in (10, 11, 12, 13) if left + 39 in place]
    deep += [(left, right) for left, right in ((17, 53), (18, 54), (26, 58)) if {left, right} <= set(place)]
    pairs = np.array([(place[left], place[right]) for left, right in [*cortical, *deep]])
    return Brain(
        mask=mask,
        mm=mm,
        nodes=[np.flatnonzero(np.linalg.norm(mm - node, axis=1) < NODE_RADIUS_MM) for node in NODE_MM],
        regions=[np.flatnonzero(values == number) for number in kept],
        left=pairs[:, 0],
        right=pairs[:, 1],
    )


def region_ids(folder: Path) -> list[int]:
    """Give the numbers of ABIDE's columns."""
    with np.load(folder / "abide_ho_train.npz", allow_pickle=False) as stored:
        return [int(number) for number in stored["roi_id"]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What is kept of one simulated scan.

    Attributes
    ----------
    voxels : dict of float
    regions : Regional
    log_deviation : (N,) float
        Of the voxels, after the scan's own is divided out, as preprocessing does.
    node_deviation : (36,) float
        Of the nodes' mean courses, likewise.
    coupling : (36, 36) float
        Correlations of the nodes' mean courses.
    """

    index: int
    label: int
    site: str
    tr_s: float
    voxels: Row
    regions: "Regional"
    log_deviation: Array
    node_deviation: Array
    coupling: Array


@dataclass(frozen=True, eq=False)
class Regional:
    """What is kept of one scan's regions: figures, deviations relative to each other, and correlations."""

    row: Row
    log_deviation: Array
    connectivity: Array


def simulated(brain: Brain, index: int, *, effect_size: float = 0.0, site_effect: float = 0.0) -> Measured:
    """Simulate one scan and measure it."""
    profile = subject_profile(index, seed=SEED)
    scan = simulate_subject(index, seed=SEED, effect_size=effect_size, site_effect=site_effect)
    series = np.concatenate(list(scan.blocks()), axis=3)[brain.mask]
    deviation = series.std(axis=1)
    overall = float(np.sqrt((deviation**2).mean()))
    nodes = np.array([series[voxels].mean(axis=0) for voxels in brain.nodes])
    regions = np.array([series[voxels].mean(axis=0) for voxels in brain.regions])
    return Measured(
        index=index,
        label=profile.label,
        site=profile.site.name,
        tr_s=profile.site.tr_s,
        voxels=voxel_row(series, brain, tr_s=profile.site.tr_s),
        regions=regional(regions, brain, tr_s=profile.site.tr_s),
        log_deviation=np.log(deviation / overall),
        node_deviation=nodes.std(axis=1) / overall,
        coupling=np.corrcoef(nodes),
    )


def athena_like(folder: Path, brain: Brain) -> Row:
    """Measure the real run on those of the brain's voxels that it covers."""
    image = nibabel.load(next(folder.glob("*.nii.gz")))
    series = np.asarray(image.dataobj, dtype=np.float32)[brain.mask]
    return voxel_row(series, brain, tr_s=float(image.header["pixdim"][4]))


def abide(folder: Path, brain: Brain) -> list[Regional]:
    """Measure every person's regional series; a region without data is left out of the figures."""
    kept = np.array(region_ids(folder)) != STRAY_ROI
    with np.load(folder / "abide_ho_train.npz", allow_pickle=False) as stored:
        ends = np.cumsum(stored["length"])
        scale, deviations, trs = float(stored["scale"]), stored["roi_sd"], stored["tr_nominal"]
        pieces = np.split(stored["ts_q"], ends[:-1])
    if trs.ndim == 0 or len(trs) != len(pieces):
        sys.exit("expected a repetition time for each person, found another number")
    return [
        regional((steps[:, kept].astype(np.float32) / scale * deviation[kept]).T, brain, tr_s=float(tr_s))
        for steps, deviation, tr_s in zip(pieces, deviations, trs, strict=True)
        if (deviation[kept] > 1e-6).all()
    ]


# Figures of one scan


def voxel_row(series: Array, brain: Brain, *, tr_s: float) -> Row:
    """Measure (N, T) series over the template's brain."""
    alive = series.std(axis=1) > 0
    seen = series[alive].astype(np.float64)
    deviation = seen.std(axis=1)
    centred = seen - seen.mean(axis=1, keepdims=True)
    homotopic, other = mirrored_correlations(series.astype(np.float64), alive, brain)
    return {
        "voxel mean / its deviation, median": float(np.median(np.abs(seen.mean(axis=1)) / deviation)),
        "power in band": power_in_band(centred, tr_s),
        "lag-1 autocorrelation at its TR": lag_1(centred),
        "FWHM, mm": smoothness_mm(series.astype(np.float64), alive, brain),
        "voxel deviations, SD / mean": float(deviation.std() / deviation.mean()),
        "voxel deviations, 95th / 5th percentile": float(np.divide(*np.quantile(deviation, [0.95, 0.05]))),
        "first component's share of variance": first_share(centred[:, : frames(tr_s)]),
        "voxel with its mirror image": homotopic,
        "voxel with others across": other,
    }


def regional(series: Array, brain: Brain, *, tr_s: float) -> Regional:
    """Measure (R, T) series of regions."""
    short = series[:, : frames(tr_s)].astype(np.float64)
    correlation = np.corrcoef(short)
    across = correlation[np.ix_(brain.left, brain.right)]
    pairs = np.eye(len(brain.left), dtype=bool)
    deviation = series.std(axis=1)
    row = {
        "region with its mirror image": float(across[pairs].mean()),
        "region with others across": float(across[~pairs].mean()),
        "first component's share of variance": first_share(short - short.mean(axis=1, keepdims=True)),
        "region deviations, SD / mean": float(deviation.std() / deviation.mean()),
    }
    upper = np.triu_indices(len(correlation), k=1)
    return Regional(row, np.log(deviation / deviation.mean()), np.arctanh(correlation[upper] * 0.999))


def frames(tr_s: float) -> int:
    """Say how many frames make up the shortest stretch."""
    return round(SHORTEST_S / tr_s)


def power_in_band(centred: Array, tr_s: float) -> float:
    """Give the share of the periodogram's power inside the pass band."""
    frequency_hz, power = signal.periodogram(centred, fs=1 / tr_s, axis=1)
    inside = (frequency_hz >= BAND_HZ[0]) & (frequency_hz <= BAND_HZ[1])
    return float(power[:, inside].sum() / power.sum())


def lag_1(centred: Array) -> float:
    """Give the autocorrelation of neighbouring frames, voxels weighted by their variance."""
    return float((centred[:, 1:] * centred[:, :-1]).sum() / (centred**2).sum())


def first_share(centred: Array) -> float:
    """Give the first principal component's share, every series standardised."""
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit.T @ unit)
    return float(values[-1] / values.sum())


def smoothness_mm(series: Array, alive: NDArray[np.bool_], brain: Brain) -> float:
    """Estimate the full width at half maximum of the smoothing from neighbouring voxels' differences.

    Forman et al. 1995 (doi:10.1002/mrm.1910330508), the classic estimate of AFNI's 3dFWHMx: with r the
    spatial correlation of neighbours at distance d, d sqrt(-2 ln 2 / ln r). Frames are centred over the
    brain, sums taken over all of them; the geometric mean of the three axes. Whatever else is alike in
    neighbours, such as networks, counts as smoothing.
    """
    inside = brain.spread(alive[:, None].astype(np.float64))[..., 0] > 0
    volume = brain.spread(np.where(alive[:, None], series - series[alive].mean(axis=0), 0.0))
    variance = float((volume[inside] ** 2).mean())
    widths = []
    for axis in range(3):
        first = tuple(slice(None, -1) if one == axis else slice(None) for one in range(3))
        second = tuple(slice(1, None) if one == axis else slice(None) for one in range(3))
        both = inside[first] & inside[second]
        difference = volume[second][both] - volume[first][both]
        widths.append(
            VOXEL_MM * np.sqrt(-2 * np.log(2) / np.log(1 - (difference**2).mean() / (2 * variance)))
        )
    return float(np.exp(np.mean(np.log(widths))))


def mirrored_correlations(series: Array, alive: NDArray[np.bool_], brain: Brain) -> tuple[float, float]:
    """Correlate left voxels with their mirror images, and with right voxels drawn at random."""
    # The grid's 49 columns lie evenly about x = 0.
    place = np.full(brain.mask.shape, -1)
    place[brain.mask] = np.where(alive, np.arange(len(alive)), -1)
    mirror = place[::-1][brain.mask]
    left = np.flatnonzero(alive & (mirror >= 0) & (brain.mm[:, 0] <= -OFF_MIDLINE_MM))
    right = mirror[left]
    others = np.random.default_rng(0).permutation(right)

    def mean_correlation(one: NDArray[np.integer], two: NDArray[np.integer]) -> float:
        first, second = (series[which] - series[which].mean(axis=1, keepdims=True) for which in (one, two))
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        return float(((first * second).sum(axis=1) / norms).mean())

    return mean_correlation(left, right), mean_correlation(left, others)


# Figures of many scans


def summarised(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Give mean, lowest and highest of each figure."""
    return {
        name: [float(one([row[name] for row in rows])) for one in (np.mean, np.min, np.max)]
        for name in rows[0]
    }


def lag_1_by_tr(scans: Sequence[Measured]) -> dict[str, float]:
    """Give the mean autocorrelation at each repetition time."""
    name = "lag-1 autocorrelation at its TR"
    return {
        f"{tr_s:g} s": float(np.mean([one.voxels[name] for one in scans if one.tr_s == tr_s]))
        for tr_s in sorted({one.tr_s for one in scans})
    }


def region_table(scans: Sequence[Regional]) -> dict[str, Any]:
    """Summarise scans, and say how alike different people are."""
    return summarised([one.row for one in scans]) | {
        "two people's deviation maps, correlation": alike([one.log_deviation for one in scans]),
        "two people's connectivity, correlation": alike([one.connectivity for one in scans]),
    }


def alike(maps: Sequence[Array]) -> float:
    """Give the mean correlation of the maps of two different people."""
    correlation = np.corrcoef(np.array(maps))
    return float(correlation[np.triu_indices(len(maps), k=1)].mean())


def setting_row(found: Sequence[Measured], plain: Sequence[Measured]) -> Row:
    """Say what differs between the groups and between the sites."""
    labels = np.array([one.label for one in found])
    deviations = np.array([one.node_deviation for one in found])
    coupling = np.array([one.coupling for one in found])
    default, attention = (
        np.flatnonzero(NETWORKS.index(name) == NODE_NETWORK) for name in ("default_mode", "dorsal_attention")
    )
    apart = ~np.eye(len(default), dtype=bool)
    within = coupling[:, default][:, :, default][:, apart].mean(axis=1)
    between = coupling[:, default][:, :, attention].mean(axis=(1, 2))
    spread = np.array([one.voxels["voxel deviations, SD / mean"] for one in found])
    amplitude = {name: deviations[:, NETWORKS.index(name) == NODE_NETWORK].mean(axis=1) for name in NETWORKS}

    def gap(of: Callable[..., Any], values: Array) -> float:
        return float(of(values[labels == 1].mean(), values[labels == 0].mean()))

    return {
        "default mode amplitude, ADHD / control": gap(np.divide, amplitude["default_mode"]),
        "executive amplitude, ADHD / control": gap(np.divide, amplitude["executive_control"]),
        "visual amplitude, ADHD / control": gap(np.divide, amplitude["visual"]),
        "default mode correlation, ADHD - control": gap(np.subtract, within),
        "default mode with attention, ADHD - control": gap(np.subtract, between),
        # Nothing is fitted: each score is taken in the direction in which the effect is planted.
        "AUC of the default mode's weakness": float(roc_auc_score(labels, -amplitude["default_mode"])),
        "AUC of the default mode's incoherence": float(roc_auc_score(labels, -within)),
        "AUC of the spread of voxel deviations": float(roc_auc_score(labels, spread)),
        "share of the deviation maps' variance between sites": between_sites(found),
        "log deviation maps, root mean square of the change": float(
            np.mean(
                [
                    np.sqrt(((one.log_deviation - other.log_deviation) ** 2).mean())
                    for one, other in zip(found, plain, strict=True)
                ]
            )
        ),
    }


def between_sites(found: Sequence[Measured]) -> float:
    """Give the share of the variance between people's log deviation maps that lies between sites' means."""
    maps = np.array([one.log_deviation for one in found])
    sites = np.array([one.site for one in found])
    counted = [site for site in np.unique(sites) if (sites == site).sum() > 1]
    chosen = np.isin(sites, counted)
    maps, sites = maps[chosen], sites[chosen]
    total = ((maps - maps.mean(axis=0)) ** 2).sum()
    groups = [maps[sites == site] for site in counted]
    explained = sum(len(group) * ((group.mean(axis=0) - maps.mean(axis=0)) ** 2).sum() for group in groups)
    # Means of few people differ by chance: what is expected of that is taken off, as in omega squared.
    error = (total - explained) / (len(maps) - len(groups))
    return float((explained - (len(groups) - 1) * error) / (total + error))


def show(result: dict[str, Any]) -> None:
    """Print the tables of docs/science.md."""
    voxels = result["voxels"]
    print(f"| voxels | athena_like | simulated, {result['n_simulated']}: mean (range) |\n|---|---|---|")
    for name, value in voxels["athena_like"].items():
        print(f"| {name} | {value:.3g} | {cell(voxels['simulated'][name])} |")
    print(
        "lag-1 of simulated by TR:",
        {tr: round(one, 3) for tr, one in voxels["simulated lag-1 by TR"].items()},
    )
    print("\n| regions | " + " | ".join(result["regions"]) + " |\n|---|---|---|")
    first, second = result["regions"].values()
    for name in first:
        print(f"| {name} | {cell(first[name])} | {cell(second[name])} |")
    print("\n| setting | " + " | ".join(result["settings"]) + " |")
    print("|---" * (1 + len(result["settings"])) + "|")
    for name in result["settings"]["nothing planted"]:
        values = " | ".join(f"{row[name]:.3f}" for row in result["settings"].values())
        print(f"| {name} | {values} |")


def cell(value: float | list[float]) -> str:
    """Format a figure, or a mean with its range."""
    if isinstance(value, float):
        return f"{value:.2f}"
    mean, low, high = value
    return f"{mean:.3g} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    main()
