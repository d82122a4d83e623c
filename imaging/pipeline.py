"""From a scan to the network's input, in named stages.

reading      one pass over the samples: statistics on the scan's grid, signal on the cube
filtering    detrend, band-pass, resample to the common repetition time; derived maps, if asked for
scaling      demean, divide by one standard deviation
space        decide from the brain's shape that the scan lies in template space

The decision needs only what the reading gave, and takes as long as the two stages before it: a thread works
on it beside them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import binary_fill_holes

from imaging.cube import brain_cube
from imaging.cube_map import cube_map
from imaging.derived.maps import derive_maps
from imaging.errors import ScanError
from imaging.network_input import NetworkInput
from imaging.one_thread import one_blas_thread
from imaging.quality import assess_quality, measure_signal
from imaging.reading import BrainSignal, NonfiniteValuesError, read_signal
from imaging.scan import BoldScan
from imaging.shapes import BrainMask, Volume, VoxelSeries
from imaging.spec import PreprocessingSpec
from imaging.template_space import NotInTemplateSpaceError, TemplateSpaceDecision, decide_template_space
from imaging.temporal import filter_in_time
from imaging.variation import ConstantInTimeError

STAGES = ("reading", "filtering", "scaling", "space")

Progress = Callable[[str, float], None]
Look = Callable[[BrainSignal], None]


def preprocess(
    scan: BoldScan,
    spec: PreprocessingSpec | None = None,
    *,
    progress: Progress | None = None,
    look: Look | None = None,
    maps: bool = False,
) -> NetworkInput:
    """Turn a scan into the network's input.

    Parameters
    ----------
    scan : BoldScan
        In template space, any grid and orientation.
    spec : PreprocessingSpec, optional
        Version 1's defaults if not given.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` with a name from ``STAGES`` and 0 to 1: at both ends of each
        stage and after each decoded block. It may raise to stop the work.
    look : callable, optional
        Called once, with the signal as it was read, before it is filtered.
    maps : bool
        Whether to compute the derived maps of that signal too: a tenth of a second for 200 frames.

    Returns
    -------
    NetworkInput

    Raises
    ------
    ScanError
        If the samples are damaged or carry no signal, the brain is not where the template's is, or the scan
        is too short.
    """
    with one_blas_thread():
        return _preprocess(scan, spec or PreprocessingSpec(), progress or _silent, look=look, maps=maps)


def _preprocess(
    scan: BoldScan, spec: PreprocessingSpec, report: Progress, *, look: Look | None, maps: bool
) -> NetworkInput:
    report("reading", 0.0)
    to_cube = cube_map(shape=scan.shape[:3], affine=scan.affine, grid_size=spec.grid_size)
    signal = read_signal(scan, to_cube, progress=lambda done: report("reading", done))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge") as beside:
        space = beside.submit(
            _decide_space,
            scan,
            mean=signal.mean,
            temporal_sd=signal.temporal_sd,
            in_brain=signal.in_brain,
            nonfinite=signal.nonfinite,
        )
        report("filtering", 0.0)
        figures = measure_signal(signal)
        if look is not None:
            look(signal)
        series, warnings = signal.series, scan.warnings + signal.warnings
        del signal
        try:
            filtered = filter_in_time(
                series,
                tr_s=scan.tr_s,
                band_hz=spec.band_hz,
                new_tr_s=spec.tr_s,
                minimum_frames=spec.window_frames,
            )
        except ScanError:
            # Where the brain lies comes before what its signal is.
            space.result()
            raise
        derived = None
        if maps:
            derived = derive_maps(series, tr_s=scan.tr_s, mask=brain_cube(spec.grid_size).mask)
        report("filtering", 1.0)

        report("scaling", 0.0)
        # The series of a long run before and after would not both fit beside what is made of it.
        del series
        scale_series(filtered.series)
        report("scaling", 1.0)

        report("space", 0.0)
        decision = space.result()
        report("space", 1.0)
    quality = assess_quality(
        scan,
        figures,
        in_band_power=filtered.in_band_power,
        template_space=decision.scores,
    )
    return NetworkInput(
        series=filtered.series,
        tr_s=filtered.tr_s,
        spec=spec,
        quality=quality,
        warnings=warnings + decision.warnings,
        maps=derived,
    )


def scale_series(series: VoxelSeries) -> None:
    """Demean each voxel over the whole scan and divide by the brain's one standard deviation, in place.

    Voxels that never vary, outside the field of view for example, do not count towards that deviation.

    Parameters
    ----------
    series : (N, T) float32
        Any unit before, dimensionless after.

    Raises
    ------
    ConstantInTimeError
        If nothing varies inside the brain.
    """
    series -= series.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    power = np.einsum("vt,vt->v", series, series, dtype=np.float64)
    varying = power > 0
    if not varying.any():
        raise ConstantInTimeError(where="inside the brain")
    deviation = np.sqrt(power[varying].mean() / series.shape[1])
    series /= np.float32(deviation)


def _decide_space(
    scan: BoldScan, *, mean: Volume, temporal_sd: Volume, in_brain: BrainMask, nonfinite: BrainMask
) -> TemplateSpaceDecision:
    """Decide where the scan lies, and with it which broken voxels are brain and which are background."""
    try:
        decision = decide_template_space(mean=mean, temporal_sd=temporal_sd, affine=scan.affine)
    except NotInTemplateSpaceError:
        # The template's outline does not hold here, so the scan's own does: what is broken and surrounded by
        # signal is a defect of the file, which comes before its position.
        _refuse_broken(binary_fill_holes(temporal_sd > 0) & nonfinite)
        raise
    _refuse_broken(in_brain & nonfinite)
    return decision


def _refuse_broken(voxels: BrainMask) -> None:
    if voxels.any():
        raise NonfiniteValuesError(n_voxels=int(voxels.sum()))


def _silent(stage: str, fraction: float) -> None:
    """Nobody is watching."""
