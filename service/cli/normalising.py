"""``restnet preprocess``: a run as the scanner wrote it, brought into template space."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.acquisition import (
    RepetitionTime,
    SidecarFile,
    SliceOrder,
    T1wFile,
    WhichRun,
    asked_of,
    require_scan,
    where_from,
)
from service.cli.output import ReportProgress, print_json, progress_bar, say
from service.cli.scans import show_warnings
from service.cli.usage import AsJson, named_path

if TYPE_CHECKING:
    from imaging.native.normalise import Normalised
    from imaging.native.sources import Asked

_ENDINGS = (".nii", ".nii.gz")
FIGURES = ("registration", "carpet")


def preprocess(
    scan: Annotated[
        Path,
        typer.Argument(
            help="A 4-D NIfTI file in the scanner's space; a zip or folder of DICOM images or a BIDS subject."
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="The scan to write, .nii or .nii.gz; how it was made stands beside it as JSON.",
            parser=named_path,
            metavar="<path>",
        ),
    ],
    sidecar: SidecarFile = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="A folder for figures that show how well it went, made if it is not there.",
            parser=named_path,
            metavar="<path>",
        ),
    ] = None,
    tr: RepetitionTime = None,
    slice_order: SliceOrder = None,
    run: WhichRun = None,
    t1w: T1wFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring a scan from the scanner's space into template space, so that `predict` takes it."""
    provenance = _require_new(out)
    if figures is not None:
        _require_no_figures(figures)
    require_scan(scan)
    asked = asked_of(sidecar=sidecar, tr=tr, slice_order=slice_order, run=run, t1w=t1w)
    with _whole_or_not_at_all(out) as part:
        with progress_bar(scan.name, shown=not as_json) as report:
            answer, found = _make(scan, asked, report)
        _write(found, part, compressed=out.name.endswith(".gz"))
        drawn = {} if figures is None else _draw(found, figures)
        source = {key: value for key, value in answer["scan"].items() if key != "name"}
        told = {**found.provenance, "source": {**source, **answer["input"]}, "warnings": answer["warnings"]}
        provenance.write_text(json.dumps(told, indent=1) + "\n")
    answer |= {"out": str(out), "provenance": str(provenance), "figures": drawn}
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _require_new(out: Path) -> Path:
    """Refuse a name to write to that is no new scan's; return that of the JSON file beside it."""
    provenance = out.with_name(out.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not out.name.endswith(_ENDINGS):
        raise typer.BadParameter(f"--out takes a name that ends in .nii or .nii.gz, found {out.name}")
    for path in (out, provenance):
        if path.exists():
            raise typer.BadParameter(f"--out takes the name of a new file, found one that is there: {path}")
    return provenance


def _make(scan: Path, asked: "Asked", report: ReportProgress) -> tuple[dict[str, Any], "Normalised"]:
    """Make one run of what was handed over and normalise it; nothing else is left of it."""
    from imaging import open_scan, scan_identity
    from imaging.digest import sha256_beside
    from imaging.native import sources
    from imaging.native.normalise import STAGES, normalise
    from imaging.private_folder import private_folder

    stages = (*sources.STAGES, *STAGES)

    def progress(stage: str, done: float) -> None:
        name = stage if stage in sources.STAGES else "preprocessing"
        report(name, (stages.index(stage) + done) / len(stages))

    with private_folder() as work:
        run = sources.take_in(scan, work, asked=asked, progress=progress)
        opened = open_scan(run.path)
        # A folder has no digest of its own: that of what was made of it.
        with sha256_beside(run.path if scan.is_dir() else scan) as digest:
            found = normalise(
                opened,
                slice_times_s=run.facts.slice_times_s,
                discarded_before=run.facts.discarded_volumes,
                t1w=run.t1w,
                progress=progress,
            )
        answer = {
            "scan": scan_identity(opened, name=scan.name, sha256=digest.result()),
            "input": run.to_json(),
            "slice_timing": run.facts.slice_times_s is not None,
            "registered_through": found.registration.through,
            "quality": found.quality.to_json(),
            "warnings": [
                {"code": warning.code, "message": warning.message}
                for warning in (*run.warnings, *found.warnings)
            ],
        }
    return answer, found


@contextmanager
def _whole_or_not_at_all(out: Path) -> Iterator[Path]:
    """Give a name to write to beside a file's: the file's own when all is done, and gone otherwise."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        # Before the seconds of work: a folder that is not there is said at once.
        part.touch()
    except OSError as error:
        error.filename = str(out)
        raise
    try:
        yield part
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _write(found: "Normalised", part: Path, *, compressed: bool) -> None:
    from imaging.native.output import image_of, write_nifti

    with part.open("wb") as file:
        if compressed:
            write_nifti(found.scan, file)
        else:
            image_of(found.scan).to_stream(file)


def _require_no_figures(folder: Path) -> None:
    for name in FIGURES:
        path = folder / f"{name}.png"
        if path.exists():
            raise typer.BadParameter(f"--figures takes a folder without {path.name}, found one in {folder}")


def _draw(found: "Normalised", folder: Path) -> dict[str, str]:
    from imaging.native.figures import draw_figures

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, png in draw_figures(found).items():
        path = folder / f"{name}.png"
        path.write_bytes(png)
        drawn[name] = str(path)
    return drawn


def _show(answer: dict[str, Any]) -> None:
    quality, facts = answer["quality"], answer["input"]
    standing_out, start = quality["frames_standing_out"], quality["start"]
    say(f"{answer['out']}: in template space, {quality['n_frames']} frames", bold=True)
    say(f"  {where_from(facts)}")
    say(f"  {start['dropped']} frames at the start are left out: {start['reason']}")
    say(
        f"  the head moved {quality['mean_displacement_mm']:.2f} mm between frames on average, "
        f"{quality['max_displacement_mm']:.2f} mm at most; "
        f"{standing_out['any']:.0%} of the frames stand out ({standing_out['displaced']:.0%} by movement)"
    )
    say(
        f"  the signal's mean is {quality['tsnr']:.0f} times its standard deviation in time; "
        f"DVARS is {max(quality['dvars_before']):.2f} at most, "
        f"{max(quality['dvars_after']):.2f} after cleaning, "
        f"which leaves {quality['degrees_of_freedom']:.0f} degrees of freedom in the band"
    )
    say(
        f"  the brain's outline overlaps with the template's by {quality['overlap']:.2f} (Dice), whose "
        f"tissues explain {quality['similarity']:.0%} of the contrast; "
        f"{quality['coverage']:.0%} of its brain is in view"
    )
    if answer["registered_through"] == "t1w":
        say("  the run was laid over its T1-weighted image, and that over the template")
    if not answer["slice_timing"]:
        say(
            "  The times of its slices are not known, so they were not corrected for "
            "(--sidecar, --slice-order)."
        )
    show_warnings(answer["warnings"])
    say(f"  {answer['provenance']}: how it was made")
    for path in answer["figures"].values():
        say(f"  {path}: how well it went")
