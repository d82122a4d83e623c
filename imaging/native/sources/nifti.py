"""A NIfTI file and what is known of its times."""

from dataclasses import replace
from pathlib import Path

from imaging.findings import ScanWarning
from imaging.native.sidecar import SAME_TR_S, Sidecar
from imaging.native.sources.clean_copy import copy_clean, header_tr_s
from imaging.native.sources.repetition_time import overridden, settle_tr
from imaging.native.sources.run import Asked, NativeRun
from imaging.native.sources.tree import Check
from imaging.timing import ImplausibleRepetitionTimeError


def settle_nifti(
    path: Path, work: Path, *, facts: Sidecar, asked: Asked, check: Check, always_copy: bool = False
) -> NativeRun:
    """Find a run's repetition time, and write it into a copy where the file has none or another.

    Parameters
    ----------
    path : Path
    work : Path
        The copy is ``bold.nii`` in it.
    facts : Sidecar
    asked : Asked
    check : callable
        What it raises ends the copying.
    always_copy : bool
        Also where the file is as it should be.

    Raises
    ------
    MissingRepetitionTimeError
        If nobody knows the repetition time.
    RepetitionTimesDifferError
        If header and sidecar name two, and nobody said which is right.
    ScanError
        If it is no NIfTI file.
    """
    header_s, impossible = _header_tr_s(path, asked)
    if asked.tr_s is None and header_s is not None:
        facts.require_tr(header_s)
    tr_s, tr_from, warnings = settle_tr({"sidecar": facts.tr_s, "header": header_s}, asked_s=asked.tr_s)
    if header_s is None or abs(header_s - tr_s) > SAME_TR_S:
        copy_clean(path, work / "bold.nii", check=check, tr_s=tr_s)
        path = work / "bold.nii"
    elif always_copy:
        copy_clean(path, work / "bold.nii", check=check)
        path = work / "bold.nii"
    return NativeRun(
        path=path,
        facts=replace(facts, tr_s=tr_s),
        tr_from=tr_from,
        slice_times_from=None if facts.slice_times_s is None else "sidecar",
        origin="nifti",
        warnings=(*impossible, *warnings),
    )


def _header_tr_s(path: Path, asked: Asked) -> tuple[float | None, tuple[ScanWarning, ...]]:
    """Return what the header states; what cannot be is remarked on where somebody has said what it is."""
    try:
        return header_tr_s(path), ()
    except ImplausibleRepetitionTimeError as impossible:
        if asked.tr_s is None:
            raise
        found = f"{impossible.value:g} with the unit {impossible.unit!r}"
        return None, (overridden(asked.tr_s, found=found),)
