"""What a person can do about a refusal, for the pages and for programs that show it to people."""

from service.jobs import JobFailure

_COPY_AGAIN = "Copy it again from where it was made, then upload that copy."
_EXPORT_AGAIN = "Export or convert it again from the original images, then upload the new file."
_TELL_OPERATOR = "The scan is not at fault. Tell whoever runs this service, then try again."
_SEND_A_FORM = (
    "Reload the page and choose the file again. A program sends one form with the file in its field 'scan'."
)
_OUR_FAULT = "Try again. If it happens again, give the reference to whoever runs this service."

_OF_A_SCAN = {
    "empty_file": "The export or the copy did not finish: make it again, then upload the new file.",
    "not_nifti": "Upload one NIfTI file, .nii or .nii.gz, or a zip with the DICOM images of the run or one "
    "BIDS subject.",
    "analyze_format": "Convert the original images to NIfTI (.nii) and upload that. A conversion of the "
    "Analyze file would have to guess which side is left.",
    "nifti_pair": "Convert the .hdr/.img pair to one .nii file and upload that.",
    "cifti": "Upload the volume file of the same run (.nii or .nii.gz), not the surface or parcel file.",
    "complex_data": "Export the magnitude images of the run and upload those.",
    "colour_data": "Upload the measured values of the run, not a coloured picture of them.",
    "unknown_data_type": _EXPORT_AGAIN,
    "bad_dimensions": "The header is damaged. " + _EXPORT_AGAIN,
    "not_four_dimensional": "Upload the functional run: one file with all volumes over time, not one volume "
    "and not the structural scan.",
    "too_few_frames": "Upload the whole run, not a part of it.",
    "scan_too_short": "Upload the whole run, not a part of it.",
    "scan_too_large": "Upload a single run; resample it to voxels of 2 mm or more if it is finer.",
    "nonfinite_header": "The header is damaged. " + _EXPORT_AGAIN,
    "missing_repetition_time": "Upload it again with its repetition time in seconds (field 'tr_s'; on the "
    'page under "Details of the acquisition").',
    "implausible_repetition_time": "Upload it again with its repetition time in seconds (field 'tr_s'; on "
    'the page under "Details of the acquisition"), or correct it or its unit in the header (pixdim[4]).',
    "no_orientation": _EXPORT_AGAIN + " Without an orientation nobody can tell left from right.",
    "singular_affine": "The orientation in the header is damaged. " + _EXPORT_AGAIN,
    "implausible_affine": "Correct the voxel sizes and the position in the header, or convert the original "
    "images again.",
    "bad_scaling": "The scaling in the header is damaged. " + _EXPORT_AGAIN,
    "bad_data_offset": "The header is damaged. " + _EXPORT_AGAIN,
    "header_too_large": "Remove the header extensions, then upload the file again.",
    "data_incomplete": "The file was cut short. " + _COPY_AGAIN,
    "data_too_long": _EXPORT_AGAIN,
    "gzip_corrupt": "The file is damaged. " + _COPY_AGAIN,
    "nonfinite_values": "Repair the preprocessing step that left values without a number inside the brain, "
    "then upload its result.",
    "all_zero": "The file holds nothing but zeros. " + _EXPORT_AGAIN,
    "constant_in_time": "Upload the measured time series, not an average or one volume repeated.",
    "frames_repeated": "Upload the frames as they were acquired, without filled or repeated ones.",
    "registration_failed": "Give a functional run of the whole brain: not a phantom, not a few slices.",
    "brain_cut_off": "Give a functional run of the whole brain: not a phantom, not a few slices.",
    "head_turned": "Convert the original images again, and compare the position that was entered at "
    "the scanner.",
    "signal_filtered": "Give the run as the scanner wrote it; a scan that is in template space already needs "
    "no further preparation.",
    "alternating_signal": "Give the functional (BOLD) run of the session, not the perfusion run.",
    "too_much_motion": "Give another run of the same person: in this one the head moved too much.",
    "bad_slice_times": "Correct SliceTiming in the sidecar: a time in seconds for each slice.",
    "bad_sidecar": "Correct the sidecar: one JSON object, as dcm2niix or BIDS writes it.",
    "repetition_times_differ": "Find out which of the two is right, then give that one with the scan "
    "(field 'tr_s').",
    "repetition_time_disputed": "The file was not kept. Find out from the protocol of the scan which is "
    "right, then upload it again with that one (field 'tr_s'; on the page under \"Details of the "
    'acquisition").',
    "no_run_found": "Give a functional run: a NIfTI file, or a zip with its DICOM images or a BIDS subject.",
    "source_too_large": "Give one run, or one subject, alone.",
    "zip_damaged": "The archive is damaged. Copy it again from where it was made, then upload that copy.",
    "zip_refused": "Pack the files again into a plain zip: without a password, links or other archives.",
    "dicom_not_usable": "Give the DICOM images of the functional (BOLD) series, as the scanner wrote them.",
    "dicom_incomplete": "Export the whole series again, with every image of it.",
    "dicom_conversion_failed": "Export the series again from the archive of images, uncompressed if it can.",
    "several_series": "The file was not kept. Upload it again with the number of the series that is meant "
    "(field 'run'; on the page under \"Details of the acquisition\"), or upload that series alone.",
    "several_runs": "The file was not kept. Upload it again with the run that is meant (field 'run'; on the "
    'page under "Details of the acquisition"), or upload that run alone.',
    "several_subjects": "Give the folder of one subject.",
    "run_not_found": "The file was not kept. Upload it again with the name or number of a run that is in it "
    "(field 'run'; on the page under \"Details of the acquisition\").",
    "not_in_template_space": "Compare the orientation in the file's header with the images at the scanner "
    "and correct it, or register the scan to the MNI152 template yourself, then upload that file.",
    "atlas_not_three_dimensional": "Give the atlas that has one number a region, not maps of probabilities.",
    "atlas_not_labels": "Give the atlas that has one whole number a region, resampled without interpolation.",
    "atlas_outside_brain": "Give the atlas in MNI152 space, or correct the orientation in its header.",
    "atlas_single_region": "Give an atlas of several regions, not a mask.",
    "atlas_too_many_regions": "Give a coarser atlas.",
}
_OF_AN_UPLOAD = {
    "upload_too_large": "Upload a single run, compressed as .nii.gz.",
    "scan_missing": "Choose a file first.",
    "request_not_valid": "Correct the value that is named, then send it again.",
    "multipart_not_valid": _SEND_A_FORM,
    "media_type_not_supported": "Reload the page and choose the file again. A program sends the Content-Type "
    "that is expected.",
    "cross_site_request": "The page that sent this belongs to an earlier login. Reload it and try again.",
    "database_unavailable": "Wait a moment, then try again.",
    "rate_limited": "Wait a minute, then try again.",
    "too_many_uploads": "Wait until one of the uploads is done, then try again.",
    "uploads_full": "Wait a moment, then try again.",
    "upload_not_found": "It took longer than a day, was stopped, or lies elsewhere. Upload the file from its "
    "beginning.",
    "upload_offset_conflict": "Ask how far the upload has come, then go on from there.",
    "upload_busy": "Wait a moment, then try again.",
    "upload_incomplete": "Send the bytes that are missing, then finish it.",
    "too_many_unfinished_uploads": "Finish or stop one of them, or wait ten minutes: then the oldest gives "
    "way.",
    "request_timeout": "The connection did not keep up. Try again, or from a better one.",
}
_OF_A_LOGIN = {
    "password_change_required": "Log in on the pages and choose a password of your own at /account.",
    "first_password_ended": "Ask whoever runs this service for another first password.",
    "second_factor_required": "Log in on the pages and set up an authenticator at /account.",
    "login_required": "Log in on the pages and look at /account.",
}
_OF_A_PREDICTION = {
    "explanation_not_available": "The answer stands without a map. Maps are made where a residual network "
    "answers.",
    "report_not_ready": "Wait until the prediction has finished. One that failed or was cancelled has no "
    "report: its page says what can be done.",
}
_OF_THE_SERVICE = {
    "stored_file_missing": "The file is no longer in storage: upload it again.",
    "scan_given_up": "The file is no longer in storage: upload it again.",
    "stored_file_damaged": "The file in storage was changed or cut short: upload it again, and tell whoever "
    "runs this service.",
    "stored_file_changed": "The file in storage is damaged: upload the scan again.",
    "scan_reader_died": "Upload it again: the computer may have run out of memory for a moment. If that does "
    "not help, tell whoever runs this service, and export or convert it again from the original images.",
    "scan_reader_memory": "Upload a single run; resample it to voxels of 2 mm or more if it is finer.",
    "scan_reader_time_limit": "Upload a single run; resample it to voxels of 2 mm or more if it is finer.",
    "scan_reader_unavailable": "Wait a moment, then try again.",
    "checkpoint_not_found": _TELL_OPERATOR,
    "checkpoint_corrupt": _TELL_OPERATOR,
    "checkpoint_format_unknown": _TELL_OPERATOR,
    "checkpoint_mismatch": _TELL_OPERATOR,
    "checkpoint_method_unknown": _TELL_OPERATOR,
    "checkpoint_sha256_mismatch": _TELL_OPERATOR,
    "preprocessing_mismatch": _TELL_OPERATOR,
    "maps_missing": _TELL_OPERATOR,
    "method_needs_t1w": _TELL_OPERATOR,
    "tissues_missing": _TELL_OPERATOR,
    "methods_not_installed": _TELL_OPERATOR,
    "published_network_unknown": _TELL_OPERATOR,
    "too_few_time_points": _TELL_OPERATOR,
    "device_unavailable": _TELL_OPERATOR,
    "backend_unavailable": _TELL_OPERATOR,
    "backend_differs": _TELL_OPERATOR,
    JobFailure.WORKER_LOST: "The computer that worked on it stopped several times. " + _OUR_FAULT,
    JobFailure.TIME_LIMIT: "It took longer than allowed. " + _OUR_FAULT,
    JobFailure.STORAGE_UNAVAILABLE: "Wait a moment, then try again.",
    JobFailure.INTERNAL_ERROR: _OUR_FAULT,
}
REMEDIES: dict[str, str] = _OF_A_SCAN | _OF_AN_UPLOAD | _OF_A_LOGIN | _OF_A_PREDICTION | _OF_THE_SERVICE

_MENDED_BY_OTHERS = frozenset(
    {
        *JobFailure,
        "scan_reader_unavailable",
        *(code for code, words in _OF_THE_SERVICE.items() if words == _TELL_OPERATOR),
    }
)


def remedy(code: str) -> str | None:
    """Say what a person can do about a refusal; None where its own sentence is all there is to say."""
    return REMEDIES.get(code)


def may_pass_next_time(code: str) -> bool:
    """Whether the same scan may pass when it is tried again: never when the scan itself was refused."""
    return code in _MENDED_BY_OTHERS
