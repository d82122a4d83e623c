"""Whether a run that we bring into template space agrees with the same run brought there by others.

The run is ds205 in `../shared/data/bold` (40 frames of 82, of which the first four are dropped); the other is
`athena_like`, made of all 82 frames by other code (`../shared/data/README.md`): affine to the template,
linear interpolation, 6 mm inside the mask, trend and mean white matter taken out, 0.009 to 0.08 Hz. Its
frames 5 to 40 are compared, voxel by voxel, by the correlation in time; then one difference between the two
ways after another is taken away, so that what is left says how much each of them is worth. Last, a model's
answer to both.
Usage::

    python benchmarks/native_agreement.py [--data ../shared/data] [--subjects 24] [--models FILE ...]
        [--out results.json]
"""

import argparse
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.fft import dct, idct
from scipy.ndimage import distance_transform_edt

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from recording import report  # noqa: E402

from imaging import BoldScan, open_scan  # noqa: E402
from imaging.native.motion import Motion  # noqa: E402
from imaging.native.normalise import BAND_HZ, Normalised, _pure_tissues, normalise  # noqa: E402
from imaging.native.nuisance import nuisance_columns, regress_nuisance  # noqa: E402
from imaging.native.placing import SMOOTHING_FWHM_MM  # noqa: E402
from imaging.native.resampling import resample  # noqa: E402
from imaging.pipeline import preprocess  # noqa: E402
from imaging.smoothing import gaussian_smooth  # noqa: E402
from imaging.template import template_brain  # noqa: E402
from imaging.temporal import filter_in_time  # noqa: E402
from model import demonstration_checkpoint  # noqa: E402
from model.decision import calibrated_probability  # noqa: E402
from model.predictor import Predictor  # noqa: E402
from training.simulation.simulator import simulate_subject  # noqa: E402

RUN = "bold/ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz"
REFERENCE = "athena_like/sfnwmrda9990002_session_1_rest_1.nii.gz"
FRAMES = slice(4, 40)
SHELLS_MM = (0, 6, 12, 20, np.inf)
SEED = 70_101


@dataclass(frozen=True, eq=False)
class Pair:
    """The run in the scanner's space, what became of it, and the reference."""

    frames: np.ndarray
    affine: np.ndarray
    tr_s: float
    found: Normalised
    whole_reference: np.ndarray
    compared: np.ndarray
    """Voxels of the template's brain that both show."""

    @property
    def reference(self) -> np.ndarray:
        """(N, 36), the frames that ours has."""
        return self.whole_reference[self.compared][:, FRAMES].astype(np.float64)

    @property
    def ours(self) -> np.ndarray:
        """(N, 36), as it is handed out."""
        return samples(self.found.scan)[self.compared].astype(np.float64)


def samples(scan: BoldScan) -> np.ndarray:
    return np.concatenate(list(scan.blocks()), axis=3)


def load(data: Path) -> Pair:
    scan = open_scan(data / RUN)
    template = template_brain()
    image = nib.load(data / REFERENCE)
    # Stored from right to left, on the same grid.
    reference = np.asarray(image.dataobj, dtype=np.float32)[::-1]
    stored = image.affine.copy()
    stored[:3, 3] += stored[:3, 0] * (reference.shape[0] - 1)
    stored[:3, 0] *= -1
    if not np.array_equal(stored, template.affine):
        raise SystemExit("the reference is not on the template's grid")
    found = normalise(scan)
    if found.provenance["dropped_frames"]["dropped"] != FRAMES.start:
        raise SystemExit("other frames were dropped than the reference leaves out here")
    pair = Pair(
        frames=samples(scan)[..., FRAMES],
        affine=scan.affine,
        tr_s=scan.tr_s,
        found=found,
        whole_reference=reference,
        compared=template.mask & (reference.std(axis=3) > 0),
    )
    # Smoothing reaches beyond what the scan shows.
    seen = template.mask.copy()
    seen[template.mask] = resampled(pair).std(axis=1) > 0
    return replace(pair, compared=pair.compared & seen)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each row."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    return (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))


def in_band(series: np.ndarray, tr_s: float) -> np.ndarray:
    """Take a line out and keep the band, over these frames alone."""
    n_frames = series.shape[1]
    line = np.column_stack([np.ones(n_frames), np.arange(n_frames)])
    cosines = dct(without(series, line), norm="ortho", axis=1)
    frequencies_hz = np.arange(n_frames) / (2 * n_frames * tr_s)
    cosines[:, (frequencies_hz < BAND_HZ[0]) | (frequencies_hz > BAND_HZ[1])] = 0
    return idct(cosines, norm="ortho", axis=1)


def without(series: np.ndarray, columns: np.ndarray) -> np.ndarray:
    onto, _ = np.linalg.qr(columns)
    return series - (series @ onto) @ onto.T


def still(motion: Motion) -> Motion:
    zeros = np.zeros_like(motion.rotations)
    return Motion(rotations=zeros, translations_mm=zeros, centre_mm=motion.centre_mm)


def resampled(pair: Pair, *, shift_mm: tuple[float, ...] = (0, 0, 0), moves: bool = True) -> np.ndarray:
    template = template_brain()
    shift = np.eye(4)
    shift[:3, 3] = shift_mm
    series, _ = resample(
        pair.frames,
        affine=pair.affine,
        motion=pair.found.motion if moves else still(pair.found.motion),
        to_scan=pair.found.registration.affine @ shift,
        points_mm=np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3],
        progress=lambda _: None,
    )
    return series


def cleaned(pair: Pair, series: np.ndarray, *, motion: Motion | None, fluid: bool) -> np.ndarray:
    """Take out what `normalise` does, or less of it."""
    varies = series.std(axis=1) > 0
    white, inside = (tissue & varies for tissue in _pure_tissues())
    return regress_nuisance(
        series,
        motion=motion or still(pair.found.motion),
        white_matter=white,
        fluid=inside & fluid,
        tr_s=pair.tr_s,
    )


def finished(pair: Pair, series: np.ndarray, *, fwhm_mm: float = SMOOTHING_FWHM_MM) -> np.ndarray:
    """Pass the band, and smooth; of the voxels that are compared."""
    passed = filter_in_time(series, tr_s=pair.tr_s, band_hz=BAND_HZ, new_tr_s=None, minimum_frames=20).series
    template = template_brain()
    sigma = np.full(3, fwhm_mm / np.sqrt(8 * np.log(2)) / template.affine[0, 0])
    volume = np.zeros(template.mask.shape, dtype=np.float32)
    kept = np.empty((int(pair.compared.sum()), passed.shape[1]))
    for number in range(passed.shape[1]):
        volume[template.mask] = passed[:, number]
        smooth = volume if fwhm_mm == 0 else gaussian_smooth(volume, sigma, mode="constant")
        kept[:, number] = smooth[pair.compared]
    return kept


def best_shift(pair: Pair, target: np.ndarray) -> tuple[float, ...]:
    """Walk from our pose in steps of 2, 1 and 0.5 mm to where the two agree best."""

    def agreement(shift_mm: tuple[float, ...]) -> float:
        series = cleaned(pair, resampled(pair, shift_mm=shift_mm, moves=False), motion=None, fluid=False)
        return float(np.median(correlation(finished(pair, series), target)))

    here: tuple[float, ...] = (0.0, 0.0, 0.0)
    tried = {here: agreement(here)}
    for step in (2.0, 1.0, 0.5):
        while True:
            for axis in range(3):
                for way in (-step, step):
                    near = tuple(at + way * (number == axis) for number, at in enumerate(here))
                    if near not in tried:
                        tried[near] = agreement(near)
            best = max(tried, key=lambda shift: tried[shift])
            if best == here:
                break
            here = best
    return here


def spread(r: np.ndarray) -> dict[str, float]:
    return {
        f"p{share}": round(float(value), 3)
        for share, value in zip((5, 25, 50, 75, 95), np.percentile(r, (5, 25, 50, 75, 95)), strict=True)
    }


def by_depth(pair: Pair, r: np.ndarray) -> list[dict[str, object]]:
    """Give the same for shells from the edge of the voxels that are compared inwards."""
    depth_mm = distance_transform_edt(pair.compared, sampling=4.0)[pair.compared]
    rows = []
    for low, high in pairwise(SHELLS_MM):
        shell = (depth_mm > low) & (depth_mm <= high)
        far = None if np.isinf(high) else high
        rows.append({"from_mm": low, "to_mm": far, "n_voxels": int(shell.sum()), **spread(r[shell])})
    return rows


def ablation(pair: Pair) -> list[dict[str, object]]:
    """Take away one difference after another; the first row is what we hand out."""
    ours, reference = pair.ours, pair.reference
    series = resampled(pair)
    if not np.allclose(
        finished(pair, cleaned(pair, series, motion=pair.found.motion, fluid=True)), ours, atol=1e-3
    ):
        raise SystemExit("the stages as put together here are not those of normalise")
    short = in_band(reference, pair.tr_s)
    varies = series.std(axis=1) > 0
    white, inside = (tissue & varies for tissue in _pure_tissues())
    columns = nuisance_columns(
        series, motion=pair.found.motion, white_matter=white, fluid=inside, tr_s=pair.tr_s
    )
    fewer = cleaned(pair, series, motion=None, fluid=False)
    at_rest = cleaned(pair, resampled(pair, moves=False), motion=None, fluid=False)
    shift_mm = best_shift(pair, short)
    moved = cleaned(pair, resampled(pair, shift_mm=shift_mm, moves=False), motion=None, fluid=False)
    laps = {
        "as handed out": (ours, reference),
        "the reference's band over the same 36 frames": (ours, short),
        "also our regressors taken out of the reference": (
            ours,
            in_band(without(reference, columns), pair.tr_s),
        ),
        "instead, the reference's regressors alone in ours (trend, white matter)": (
            finished(pair, fewer),
            short,
        ),
        "also no second correction of movement": (finished(pair, at_rest), short),
        f"also our pose moved by {shift_mm} mm, where they agree best": (finished(pair, moved), short),
    }
    for fwhm_mm in (0.0, 4.0, 8.0, 10.0):
        laps[f"fourth row, but smoothed by {fwhm_mm:g} mm"] = (
            finished(pair, fewer, fwhm_mm=fwhm_mm),
            short,
        )
    for name, motion, fluid in (("movement", pair.found.motion, False), ("fluid", None, True)):
        laps[f"fourth row, but {name} taken out as well"] = (
            finished(pair, cleaned(pair, series, motion=motion, fluid=fluid)),
            short,
        )
    walks = np.random.default_rng(SEED).normal(size=(6, series.shape[1])).cumsum(axis=1)
    drifting = replace(pair.found.motion, translations_mm=walks[:3].T, rotations=walks[3:].T)
    laps["fourth row, but six random walks taken out as well"] = (
        finished(pair, cleaned(pair, series, motion=drifting, fluid=False)),
        short,
    )
    flipped = np.flip(pair.whole_reference, axis=0)
    both = flipped[pair.compared][:, FRAMES].std(axis=1) > 0
    laps["fourth row, but the reference mirrored"] = (
        finished(pair, fewer)[both],
        in_band(flipped[pair.compared][both][:, FRAMES].astype(np.float64), pair.tr_s),
    )
    laps["fourth row, but the reference's frames 9 to 44"] = (
        finished(pair, fewer),
        in_band(pair.whole_reference[pair.compared][:, 8:44].astype(np.float64), pair.tr_s),
    )
    rows = [{"what": name, **spread(correlation(*two))} for name, two in laps.items()]
    rows[0]["by_depth"] = by_depth(pair, correlation(*laps["as handed out"]))
    rows[3]["by_depth"] = by_depth(pair, correlation(finished(pair, fewer), short))
    return rows


def answers(pair: Pair, checkpoint: Path, *, n_subjects: int) -> dict[str, object]:
    """Ask a model about both, and about simulated people for how far apart people are."""
    predictor = Predictor.load(checkpoint, device="cpu")
    template = template_brain()

    def ask(scan: BoldScan) -> dict[str, object]:
        answer = predictor.classify(preprocess(scan, predictor.spec), seed=SEED)
        members = calibrated_probability(
            answer.member_logits.mean(axis=1), temperature=predictor.card.temperature
        )
        return {
            "probability": round(answer.adhd_probability, 3),
            "interval": [round(answer.interval.low, 3), round(answer.interval.high, 3)],
            "members": [round(float(one), 3) for one in members],
            "mean_logit": round(float(answer.member_logits.mean()), 3),
        }

    def scan_of(frames: np.ndarray) -> BoldScan:
        return BoldScan.from_array(
            np.asfortranarray(frames, dtype=np.float32), affine=template.affine, tr_s=pair.tr_s
        )

    series = resampled(pair)
    fewer = np.zeros((*template.mask.shape, series.shape[1]), dtype=np.float32)
    fewer[pair.compared] = finished(pair, cleaned(pair, series, motion=None, fluid=False))
    seen = np.where(pair.compared[..., None], samples(pair.found.scan), 0)
    people = [ask(simulate_subject(index, seed=SEED))["mean_logit"] for index in range(n_subjects)]
    return {
        "model": predictor.card.name,
        "ours": ask(pair.found.scan),
        "ours, voxels that both show": ask(scan_of(seen)),
        "ours, with the reference's regressors": ask(scan_of(fewer)),
        "reference, the same 36 frames": ask(scan_of(pair.whole_reference[..., FRAMES])),
        "reference, all 82 frames": ask(scan_of(pair.whole_reference)),
        "simulated_people": {
            "n": n_subjects,
            "sd_of_mean_logit": round(float(np.std(people, ddof=1)), 3),
            "median_distance_of_two": round(
                float(np.median(np.abs(np.subtract.outer(people, people))[np.triu_indices(n_subjects, 1)])), 3
            ),
        },
    }


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="beside the demonstration's")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    pair = load(given.data)
    report(
        {
            "n_frames": pair.ours.shape[1],
            "n_voxels": int(pair.compared.sum()),
            "ablation": ablation(pair),
            "answers": [
                answers(pair, checkpoint, n_subjects=given.subjects)
                for checkpoint in (demonstration_checkpoint(), *given.models)
            ],
        },
        given.out,
    )


if __name__ == "__main__":
    main()
