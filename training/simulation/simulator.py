"""A cohort that looks like ADHD-200 to every program that reads it, with an effect of known size or none.

A subject's scan depends only on the seed, the subject's index and the three settings below, never on how
many others there are. With `effect_size` 0 it does not depend on the diagnosis either: the null cohort is
null by construction. The same seed gives the same bytes on the same kind of processor with the same
packages, however many cores it has; another kind, or another build of BLAS, may round differently in the
last places.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from threadpoolctl import threadpool_limits

from imaging.scan import BoldScan
from imaging.words import counted
from model.files import replace_file
from training.errors import CohortError
from training.new_folder import whole_folder
from training.simulation.brain_networks import NODE_MM, network_traits
from training.simulation.phenotypes import TABLE_NAME, phenotype_row, phenotype_table
from training.simulation.scan_files import write_scan
from training.simulation.signals import (
    ATHENA_AFFINE,
    brain_noise,
    fourier_basis,
    node_coefficients,
    node_maps,
    smooth_gain,
    to_frames,
)
from training.simulation.sites import SITES, Site, site_and_label
from training.simulation_marker import mark_simulated

DEFAULT_EFFECT_SIZE = 1.0
MAX_SUBJECTS = 9999

Progress = Callable[[str, float], None]
SIMULATING = "simulating"

_SCALE = 6.0  # of the filtered signal, in scanner units
_FIRST_ID, _FIRST_SHORT_ID = 9_900_000, 90_000  # above every real ScanDir ID


class SimulationSettingError(CohortError):
    """A number that the simulator cannot work with."""

    code = "simulation_setting_invalid"

    def __init__(self, *, setting: str, expected: str, found: float) -> None:
        self.setting = setting
        self.expected = expected
        self.found = found
        super().__init__(f"expected {setting} {expected}, found {found}")


class SimulationNotWrittenError(CohortError):
    """Scans that could not be written, for example on a full disk."""

    code = "simulation_not_written"

    def __init__(self, *, name: str, n_written: int, n_subjects: int, found: str) -> None:
        self.name = name
        self.n_written = n_written
        self.n_subjects = n_subjects
        self.found = found
        super().__init__(
            f"expected room in {name!r} for the scans of {counted(n_subjects, 'subject')}, "
            f"found after {n_written}: {found}; nothing is left of them"
        )


@dataclass(frozen=True)
class SubjectProfile:
    """Who a simulated subject is.

    Attributes
    ----------
    index : int
        From 0.
    scan_dir_id : str
        As in the table, not padded.
    site : Site
    label : int
        0 control, 1 ADHD.
    n_frames : int
    phenotype : dict of str
        The table's row.
    """

    index: int
    scan_dir_id: str
    site: Site
    label: int
    n_frames: int
    phenotype: dict[str, str]

    @property
    def file_path(self) -> Path:
        """Where the scan lies in the cohort's folder, named as Athena names its filtered files."""
        padded = self.scan_dir_id.zfill(7)
        return Path(self.site.name) / padded / f"sfnwmrda{padded}_session_1_rest_1.nii.gz"


def subject_profile(index: int, *, seed: int) -> SubjectProfile:
    """Say who subject `index` of the cohort with this seed is.

    Raises
    ------
    SimulationSettingError
        If the index or the seed is negative.
    """
    _require("subject index", f"from 0 to {MAX_SUBJECTS - 1}", index, holds=0 <= index < MAX_SUBJECTS)
    _require("seed", "of at least 0", seed, holds=seed >= 0)
    site, label = site_and_label(index)
    generator = np.random.default_rng([seed, index, 0])
    scan_dir_id = str((_FIRST_SHORT_ID if site.short_ids else _FIRST_ID) + index)
    return SubjectProfile(
        index=index,
        scan_dir_id=scan_dir_id,
        site=site,
        label=label,
        n_frames=int(generator.integers(site.frames[0], site.frames[1], endpoint=True)),
        phenotype=phenotype_row(scan_dir_id=scan_dir_id, site=site, label=label, generator=generator),
    )


def simulate_subject(
    index: int, *, seed: int, effect_size: float = DEFAULT_EFFECT_SIZE, site_effect: float = 0.0
) -> BoldScan:
    """Make one subject's filtered scan in memory.

    Parameters
    ----------
    index : int
        From 0; the same as in :func:`subject_profile`.
    seed : int
        Of the cohort.
    effect_size : float
        0 plants nothing. Above 0 the ADHD group's default mode network is weaker and less coherent, its
        executive control and salience networks are stronger, and the default mode is less opposed to the
        networks of attention and control (``training.simulation.brain_networks``). The demonstration model
        was trained at 0.5.
    site_effect : float
        0 plants nothing. Above 0 every site has its own direction in which the signal grows across the
        brain, as with another receive coil, alike in both classes.

    Returns
    -------
    BoldScan
        (49, 58, 47, T) float32 on the Athena grid, every voxel's mean zero, band-limited to 0.009-0.08 Hz.

    Raises
    ------
    SimulationSettingError
        If an argument is negative, or not finite.
    """
    profile = subject_profile(index, seed=seed)
    bold = _bold(profile, seed=seed, effect_size=effect_size, site_effect=site_effect)
    return BoldScan.from_array(bold, affine=ATHENA_AFFINE, tr_s=profile.site.tr_s)


def simulate_cohort(
    out_dir: Path,
    *,
    n_subjects: int,
    effect_size: float = DEFAULT_EFFECT_SIZE,
    site_effect: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SubjectProfile]:
    """Write a cohort as an ADHD-200-shaped folder: the phenotype table and one scan a subject.

    ``simulation.json`` beside them holds the settings, and says that these people do not exist.

    Parameters
    ----------
    out_dir : Path
        New or empty.
    n_subjects : int
        1 to 9999; sites and classes keep the proportions of the public release at any number.
    effect_size, site_effect, seed
        As for :func:`simulate_subject`.
    progress : callable, optional
        Called as ``progress("simulating", fraction)`` after every subject; it may raise to stop the work.

    Returns
    -------
    list of SubjectProfile
        In the order of the table.

    Raises
    ------
    SimulationSettingError
        If a number has no meaning.
    OutputFolderNotEmptyError
        If the folder holds anything.
    SimulationNotWrittenError
        If the disk is full or the like.

    Notes
    -----
    Whatever stops it, the folder is then as it was: a part of a cohort looks like a whole one.
    """
    require_settings(n_subjects=n_subjects, effect_size=effect_size, site_effect=site_effect)
    profiles = [subject_profile(index, seed=seed) for index in range(n_subjects)]
    settings = {
        "n_subjects": n_subjects,
        "seed": seed,
        "effect_size": effect_size,
        "site_effect": site_effect,
    }
    n_written = 0
    with whole_folder(out_dir):
        try:
            # First of all: no folder with simulated scans in it is ever without.
            mark_simulated(out_dir, settings)
            table = phenotype_table(profile.phenotype for profile in profiles)
            replace_file(out_dir / TABLE_NAME, table.encode())
            for profile in profiles:
                bold = _bold(profile, seed=seed, effect_size=effect_size, site_effect=site_effect)
                path = out_dir / profile.file_path
                path.parent.mkdir(parents=True, exist_ok=True)
                write_scan(path, bold, affine=ATHENA_AFFINE, tr_s=profile.site.tr_s)
                n_written += 1
                if progress is not None:
                    progress(SIMULATING, n_written / n_subjects)
        except OSError as error:
            raise SimulationNotWrittenError(
                name=out_dir.name,
                n_written=n_written,
                n_subjects=n_subjects,
                found=(error.strerror or type(error).__name__).lower(),
            ) from error
    return profiles


def require_settings(*, n_subjects: int, effect_size: float, site_effect: float) -> None:
    """Refuse numbers without a meaning before anything is made of them.

    Raises
    ------
    SimulationSettingError
    """
    _require(
        "number of subjects", f"from 1 to {MAX_SUBJECTS}", n_subjects, holds=1 <= n_subjects <= MAX_SUBJECTS
    )
    _require_effects(effect_size=effect_size, site_effect=site_effect)


def _bold(
    profile: SubjectProfile, *, seed: int, effect_size: float, site_effect: float
) -> Float32[np.ndarray, "49 58 47 T"]:
    _require_effects(effect_size=effect_size, site_effect=site_effect)
    # Several threads of BLAS add in another order, and round otherwise, than one.
    with threadpool_limits(limits=1, user_api="blas"):
        return _bold_on_one_thread(profile, seed=seed, effect_size=effect_size, site_effect=site_effect)


def _bold_on_one_thread(
    profile: SubjectProfile, *, seed: int, effect_size: float, site_effect: float
) -> Float32[np.ndarray, "49 58 47 T"]:
    generator = np.random.default_rng([seed, profile.index, 1])
    basis = fourier_basis(n_frames=profile.n_frames, tr_s=profile.site.tr_s)
    traits = network_traits(effect=effect_size * profile.label)
    nodes = node_coefficients(traits, n_components=len(basis), generator=generator)
    coefficients = node_maps(NODE_MM, generator=generator) @ nodes
    coefficients += brain_noise(n_components=len(basis), generator=generator)
    person_slope = 0.05 * generator.standard_normal(3)
    site_slope = 0.25 * site_effect * _site_direction(profile.site)
    coefficients *= smooth_gain(person_slope + site_slope)[:, None]
    scale = _SCALE * float(np.exp(0.2 * generator.standard_normal()))
    return to_frames(scale * coefficients, basis)


def _site_direction(site: Site) -> np.ndarray:
    """Give each site its own direction in space, of unit length, the same in every cohort."""
    direction = np.random.default_rng([len(SITES), site.code]).standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction))


def _require_effects(*, effect_size: float, site_effect: float) -> None:
    for setting, value in (("effect size", effect_size), ("site effect", site_effect)):
        _require(setting, "from 0 to 10", value, holds=0 <= value <= 10)


def _require(setting: str, expected: str, found: float, *, holds: bool) -> None:
    if not holds:
        raise SimulationSettingError(setting=setting, expected=expected, found=found)
