"""A file in the scanner's space made ready for the network, and work that was lost and goes on."""

import gzip
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import imaging.native.normalise as normalising
from imaging import BoldScan, PreprocessingSpec, open_scan, prepare_scan
from imaging.native.known import Known
from imaging.native.normalise import STAGES, VERSION, normalise
from imaging.native.output import summary_of, write_nifti
from imaging.native.preparing import may_be_normalised, prepare_native
from imaging.native.sidecar import Sidecar
from imaging.native.sources import Asked
from tests.imaging.native.heads import short_run, write_run


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("native") / "run.nii.gz", short_run())


@pytest.fixture(scope="module")
def parts(file: Path) -> tuple[list[Known], bytes]:
    """Return what is found on the way, and the file that comes out."""
    found: list[Known] = []
    normalised = normalise(open_scan(file), found=found.append)
    return found, written(normalised.scan)


def written(scan: BoldScan) -> bytes:
    out = BytesIO()
    write_nifti(scan, out)
    return out.getvalue()


def test_the_input_is_that_of_the_file_in_template_space(file, parts, tmp_path):
    kept = tmp_path / "kept.nii.gz"
    kept.write_bytes(parts[1])
    by_hand = prepare_scan(kept, PreprocessingSpec())
    seen: list[float] = []

    prepared = prepare_native(file, PreprocessingSpec(), progress=seen.append)

    assert np.array_equal(prepared.network_input.series, by_hand.network_input.series)
    assert seen == sorted(seen)
    assert (seen[-1], prepared.space, by_hand.space) == (1.0, "native", "template")


def test_the_scan_is_said_to_be_the_one_that_was_given(file):
    prepared = prepare_native(file, PreprocessingSpec(), display_name="theirs.nii.gz")

    assert (prepared.scan["name"], prepared.scan["shape"]) == ("theirs.nii.gz", [64, 64, 36, 30])
    assert prepared.normalisation["dropped_frames"] == 4
    assert prepared.normalisation["registration"]["coverage"] > 0.9
    assert "slice_times_unknown" in [warning.code for warning in prepared.network_input.warnings]
    assert json.loads(json.dumps(prepared.normalisation)) == prepared.normalisation


def test_times_of_slices_that_are_given_are_used_and_nothing_is_said(file, parts):
    times_s = tuple(2.5 * slice_ / 36 for slice_ in range(36))
    asked = Asked(sidecar=Sidecar(tr_s=None, slice_times_s=times_s))

    prepared = prepare_native(file, PreprocessingSpec(), asked=asked)

    assert prepared.normalisation["slice_timing"] is True
    assert "slice_times_unknown" not in [warning.code for warning in prepared.network_input.warnings]


def test_what_was_found_is_not_looked_for_again_and_the_result_is_the_same(file, parts, monkeypatch):
    found, whole = parts
    assert [known.registration is None for known in found] == [True, False]
    for known in found:
        kept = json.loads(json.dumps(known.to_json()))
        again = Known.from_json(kept)
        with monkeypatch.context() as patched:
            patched.delattr(normalising, "estimate_motion")
            if again.registration is not None:
                patched.delattr(normalising, "register")
            resumed = normalise(open_scan(file), known=again)
        assert written(resumed.scan) == whole


@pytest.mark.parametrize("damage", ["shape", "nan", "missing"])
def test_what_is_damaged_is_not_taken(parts, damage):
    values = parts[0][-1].to_json()
    if damage == "nan":
        values["registration"]["affine"][0][0] = float("nan")
    elif damage == "missing":
        del values["motion"]["centre_mm"]
    else:
        del values["motion"]["translations_mm"][0]
    with pytest.raises(ValueError, match="expected"):
        Known.from_json(values)


def test_what_was_found_of_a_run_of_another_length_is_found_anew(file, parts):
    found, whole = parts
    motion = found[-1].motion
    assert motion is not None
    shorter = replace(motion, rotations=motion.rotations[1:], translations_mm=motion.translations_mm[1:])

    anew = normalise(open_scan(file), known=replace(found[-1], motion=shorter))

    assert written(anew.scan) == whole


def test_the_file_is_read_back_sample_by_sample(file, parts, tmp_path):
    path = tmp_path / "kept.nii.gz"
    path.write_bytes(parts[1])
    scan = normalise(open_scan(file)).scan

    image = nib.load(path)

    assert np.array_equal(np.asarray(image.dataobj), np.concatenate(list(scan.blocks()), axis=3))
    assert image.header.get_zooms() == pytest.approx((4, 4, 4, 2.5))
    # The same bytes at any time: no moment stands in it.
    assert gzip.decompress(parts[1])[:4] == (348).to_bytes(4, "little")
    assert written(scan) == parts[1]


def test_progress_names_every_stage(file):
    seen: list[str] = []
    normalise(open_scan(file), progress=lambda stage, _done: seen.append(stage))
    assert tuple(dict.fromkeys(seen)) == STAGES


def test_a_run_that_keeps_still_is_summed_up(parts, file):
    summary = summary_of(normalise(open_scan(file)))
    assert 0 < summary["displacement_mm"]["mean"] < summary["displacement_mm"]["max"] < 1
    assert (summary["version"], summary["n_frames"]) == (VERSION, 26)


@pytest.mark.parametrize(
    ("fit", "flip_gain", "may"),
    [(0.95, -0.04, True), (0.95, 0.038, False), (0.0, 0.0, True), (0.5, 0.1, True)],
)
def test_a_brain_that_lies_back_to_front_is_not_laid_over_the_template(fit, flip_gain, may):
    assert may_be_normalised(fit=fit, flip_gain=flip_gain) is may
