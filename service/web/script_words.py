"""What the pages' scripts say: each page carries the words of its scripts along, in its language.

By the names that the scripts use; a place for a value is written ``%(name)s``.
"""

from typing import Any

from service.web.language import Language, _, current, marked, pgettext
from service.web.refusal_wording import refusal_template, refusal_words
from service.web.wording import NORMALISING_STAGES

# What nifti.js says of a file before it is sent, in the words of imaging's own refusals. In another language
# they are the sentences that every page has for these codes, so the values go by the refusals' own names.
DEFECTS = {
    "analyze_format": "expected a single-file NIfTI image (.nii or .nii.gz), found an Analyze 7.5 header, "
    "which carries no orientation",
    "bad_dimensions": "expected 1 to 7 axes of at least one voxel each, found the dim field [%(found)s]",
    "cifti": "expected a volume image, found a CIFTI file (surface vertices and parcels)",
    "colour_data": "expected real numbers, found colour data (%(found)s)",
    "complex_data": "expected real numbers, found complex data (%(found)s)",
    "data_incomplete": "expected %(expected_bytes)s bytes of header, found a file that ends where "
    "%(found_bytes)s of them can be read",
    "implausible_repetition_time": "expected a repetition time of %(minimum)s to %(maximum)s s, found "
    "%(value)s with the unit '%(unit)s'; correct pixdim[4] or the unit in the header",
    "missing_repetition_time": "expected a repetition time (pixdim[4]), found 0. Give it in seconds: --tr of "
    "a command, the field tr_s of an upload, or RepetitionTime in a sidecar",
    "nifti_pair": "expected header and samples in one file (.nii or .nii.gz), found the header half of a "
    ".hdr/.img pair; convert the pair to one .nii file",
    "not_four_dimensional": "expected a series of volumes (4-D), found a %(axes)s-D image of %(found)s",
    "not_nifti": "expected a single-file NIfTI image (.nii or .nii.gz), found %(found)s",
    "too_few_frames": "expected at least %(expected)s frames, found %(found)s",
    "unknown_data_type": "expected 8- to 64-bit integers or 32- or 64-bit floats, found data type code "
    "%(found)s",
}
# What is found of a file or a form before its header is read.
_FOUND_BESIDE = ("empty_file", "scan_missing", "upload_too_large")
# What nifti.js takes a file for that is no scan.
KINDS = {
    "dicom": marked("a DICOM file"),
    "png": marked("a PNG picture"),
    "jpeg": marked("a JPEG picture"),
    "tiff": marked("a TIFF picture"),
    "zip": marked("a zip archive"),
    "7z": marked("a 7z archive"),
    "tar": marked("a tar archive"),
    "twice": marked("a file compressed twice"),
    "bzip2": marked("a bzip2 file"),
    "xz": marked("an xz file"),
    "zstd": marked("a zstd file"),
    "hdf5": marked("an HDF5 file (MINC 2 or MATLAB)"),
    "netcdf": marked("a netCDF file (MINC 1)"),
    "nrrd": marked("an NRRD image"),
    "matlab": marked("a MATLAB file"),
    "pdf": marked("a PDF document"),
    "mgh": marked("a FreeSurfer MGH/MGZ image"),
    "text": marked("text"),
    "unknown": marked("bytes without a header that we know, such as the .img half of a .hdr/.img pair"),
}
UNITS = {"none": marked("no unit")}

# What a field of the form is needed for, by the names that the scripts use.
WHY_TO_GIVE = {
    "tr_needed": marked("The file names none that can be right: give it here, in seconds."),
    "tr_disputed": marked("The file and its sidecar differ: give the right one here, in seconds."),
    "sidecar_unusable": marked("This is no sidecar that can be read."),
}
FIELD_TO_GIVE = {
    "missing_repetition_time": ("tr_s", "tr_needed"),
    "implausible_repetition_time": ("tr_s", "tr_needed"),
    "repetition_times_differ": ("tr_s", "tr_disputed"),
    "bad_sidecar": ("sidecar", "sidecar_unusable"),
}
"""Which field has what an upload was refused for the lack of, by its code; fields.js has the same."""

UPLOADING = {
    "bytes": marked("%(count)s bytes"),
    "seconds_left": marked("%(count)s s left"),
    "minutes_left": marked("%(count)s min left"),
    "uploading": marked("Uploading"),
    "uploading_share": marked("Uploading, %(percent)s"),
    "uploading_speed": marked("Uploading, %(percent)s, %(speed)s"),
    "uploading_left": marked("Uploading, %(percent)s, %(speed)s, %(left)s"),
    "checking": marked("Uploaded. Checking the file."),
    "trying_again": marked("%(words)s Trying again in %(seconds)s s."),
    "connection_lost": marked("The connection is lost."),
    "service_busy": marked("The service is busy."),
    "service_silent": marked("The service does not answer."),
    "answered": marked("The server answered %(status)s"),
    "file_refused": marked("This file was not accepted."),
    "technical": marked("Technical detail: %(detail)s"),
    "file_changed": marked("the file was changed or removed meanwhile"),
    "choose_again": marked("Choose it again."),
    "wrong_ending": marked("expected a file that ends in .nii, .nii.gz or .zip"),
    "empty": marked("expected a scan, found an empty file"),
    "too_large": marked("expected at most %(limit)s, found %(found)s"),
    "scan": marked("%(size)s voxels, %(frames)s frames, TR %(tr)s s"),
    "unit_code": marked("code %(code)s"),
    "name_and_size": marked("%(name)s, %(size)s"),
    "size_and_words": marked("%(size)s: %(words)s"),
    "wrong_beginning": marked("It begins with a letter or a digit."),
    "wrong_characters": marked("Use letters, digits and . _ - only: no spaces."),
    "age_no_number": marked("Write the age as a number, such as 11.5."),
    "age_out_of_range": marked("The age is a number from 0 to 130."),
    "tr_out_of_range": marked("The repetition time is a number of seconds from 0.1 to 6.25."),
    **WHY_TO_GIVE,
    "wrong_run": marked("Use letters, digits and _ - only, with a letter or digit first."),
    "waiting": marked("Waiting"),
    "stopped": marked("Stopped"),
    "uploaded": marked("Uploaded."),
    "refused": marked("Not accepted"),
    "upload_stopped": marked("Upload stopped."),
    "upload_of": marked("Upload of %(name)s"),
    "stop_of": marked("Stop %(name)s"),
    "again_of": marked("Send %(name)s again"),
    "prediction_of": marked("Prediction of %(name)s"),
    "stop_one": marked("Stop the upload"),
    "stop_all": marked("Stop all"),
    "send_several": marked("%(send)s: %(waiting)s of %(count)s files"),
    "files": marked("%(count)s files"),
    "summary": marked("%(count)s files: %(said)s"),
    "count_done": marked("%(count)s uploaded"),
    "count_refused": marked("%(count)s not accepted"),
    "count_stopped": marked("%(count)s stopped"),
}
FOLLOWING = {
    "queued": marked("Waiting"),
    "preprocessing": marked("Preparing the scan"),
    "normalising": marked("Bringing the scan into template space"),
    "normalising_stage": marked("Bringing the scan into template space: %(stage)s"),
    **{f"stage_{stage}": words for stage, words in NORMALISING_STAGES.items()},
    "classifying": marked("Reading the scan"),
    "stopping": marked("Stopping"),
    "next_in_line": marked("next in line"),
    "in_line": marked("number %(place)s in line"),
    "queued_at": marked("Waiting, %(place)s"),
    "queued_for": marked("Waiting, %(place)s, %(wait)s"),
    "few_seconds": marked("a few seconds"),
    "about_seconds": marked("about %(seconds)s s"),
    "about_minutes": marked("about %(minutes)s min"),
}
VIEWING = {
    "for_adhd": marked("%(place)s mm: for ADHD, %(share)s"),
    "against_adhd": marked("%(place)s mm: against ADHD, %(share)s"),
    "no_share": marked("%(place)s mm: no share"),
    "logits": marked("logits"),
    "go_there": marked("Show this place in the viewer"),
    "not_loaded": marked("The images could not be loaded. Reload the page and try again."),
    "map": marked(
        "The map over a brain; click to move the crosshair. The strongest places are in the table below."
    ),
    "no_webgl": marked(
        "This browser shows no 3-D graphics (WebGL 2). The slices above and the NIfTI file hold the same map."
    ),
}
LISTING = {
    "not_done": marked(
        "That was not done, or nobody knows whether it was. This list is from %(time)s, and a newer one is "
        "being tried for."
    ),
    "list_lost": marked(
        "The service does not answer. This list is from %(time)s, and a newer one is being tried for."
    ),
}


def upload_words() -> dict[str, Any]:
    """Return the words of the page for a new prediction, with those of the refusals it can meet."""
    defects = DEFECTS
    if current() != Language.ENGLISH:
        defects = {code: refusal_template(code) or words for code, words in DEFECTS.items()}
    return {
        **_said(UPLOADING),
        **defects,
        "list_comma": pgettext("between the parts of a list", ", "),
        "kinds": _said(KINDS),
        "units": _said(UNITS),
        **refusal_words([*DEFECTS, *_FOUND_BESIDE]),
    }


def prediction_words() -> dict[str, str]:
    """Return the words of the page of a prediction."""
    return _said(FOLLOWING | VIEWING)


def list_words() -> dict[str, str]:
    """Return the words of the list of predictions."""
    return _said(LISTING)


def _said(words: dict[str, str]) -> dict[str, str]:
    return {name: _(text) for name, text in words.items()}
