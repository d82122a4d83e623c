"""``restnet check`` and ``restnet predict``: what can be asked about a scan without a service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.acquisition import (
    HANDED_OVER,
    SAID_BY,
    FileNotReadableError,
    RepetitionTime,
    SidecarFile,
    SliceOrder,
    T1wFile,
    WhichRun,
    asked_of,
    require_scan,
    where_from,
)
from service.cli.database import load_settings
from service.cli.output import ReportProgress, print_json, progress_bar, refusal_of, say, show_refusal
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from imaging.native.sources import Asked
    from model.predictor import Predictor


def check(
    scan: Annotated[Path, typer.Argument(help=HANDED_OVER)],
    *,
    sidecar: SidecarFile = None,
    tr: RepetitionTime = None,
    slice_order: SliceOrder = None,
    run: WhichRun = None,
    as_json: AsJson = False,
) -> None:
    """Say what a scan is, how good it is, and whether RestNet accepts it or what there is to give with it."""
    require_scan(scan)
    asked = asked_of(sidecar=sidecar, tr=tr, slice_order=slice_order, run=run)
    with progress_bar(scan.name, shown=not as_json) as report:
        answer = _look_at(scan, asked, report)
    if as_json:
        print_json(answer)
    elif answer["space"] == "template":
        _show_check(scan, answer)
    else:
        _show_run(scan, answer)


def predict(
    scans: Annotated[
        list[Path],
        typer.Argument(
            help="NIfTI files, zips or folders of DICOM images or a BIDS subject; what lies in the scanner's "
            "space is brought into template space first."
        ),
    ],
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint; the demonstration model if none is named.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="auto takes a GPU where there is one; RESTNET_DEVICE if none is named."),
    ] = None,
    sidecar: SidecarFile = None,
    tr: RepetitionTime = None,
    slice_order: SliceOrder = None,
    run: WhichRun = None,
    t1w: T1wFile = None,
    as_json: AsJson = False,
) -> None:
    """Give the probability of ADHD for each scan, with its interval, quality and warnings."""
    for option, value in (("--sidecar", sidecar), ("--run", run), ("--t1w", t1w)):
        if value is not None and len(scans) != 1:
            raise typer.BadParameter(f"{option} is of one scan, found {len(scans)}")
    asked = asked_of(sidecar=sidecar, tr=tr, slice_order=slice_order, run=run, t1w=t1w)
    predictor = load_predictor(checkpoint, device=device)
    answers = [_predict_one(path, predictor, asked=asked, as_json=as_json) for path in scans]
    if as_json:
        print_json(answers)
    if any("error" in answer for answer in answers):
        raise typer.Exit(2)


def load_predictor(
    checkpoint: Path | None, *, device: Literal["auto", "cpu", "cuda"] | None = None
) -> "Predictor":
    """Load the checkpoint that was named, or the settings', or the demonstration, as the settings say."""
    import torch

    from model import demonstration_checkpoint
    from model.predictor import Predictor

    settings = load_settings()
    if settings.inference_threads:
        torch.set_num_threads(settings.inference_threads)
    return Predictor.load(
        checkpoint or settings.checkpoint or demonstration_checkpoint(),
        device=device or settings.device,
        backend=settings.backend,
    )


def _look_at(scan: Path, asked: "Asked", report: ReportProgress) -> dict[str, Any]:
    """Read a scan as a prediction would, as far as that takes no registration."""
    from imaging import NotInTemplateSpaceError, check_scan
    from imaging.native.looking import look_at_run
    from imaging.native.preparing import may_be_normalised, stated
    from imaging.native.sources import is_one_file

    if is_one_file(scan):
        try:
            with stated(scan, asked) as found:
                answer = check_scan(found.path, display_name=scan.name, progress=report).to_json()
        except NotInTemplateSpaceError as elsewhere:
            if not may_be_normalised(fit=elsewhere.fit, flip_gain=elsewhere.flip_gain):
                raise
        else:
            return found.told(answer)
    return look_at_run(scan, asked=asked, progress=report).to_json()


def _predict_one(path: Path, predictor: "Predictor", *, asked: "Asked", as_json: bool) -> dict[str, Any]:
    """Score one scan; a refused one becomes an answer of its own, so that the others are still scored."""
    from model.prediction import predict_scan

    try:
        require_scan(path)
        with progress_bar(path.name, shown=not as_json) as report:
            answer = predict_scan(path, predictor, asked=asked, progress=report).to_json()
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        if not as_json:
            named = isinstance(error, FileNotReadableError)
            message = refusal["message"] if named else f"{path}: {refusal['message']}"
            show_refusal({**refusal, "message": message}, as_json=False)
        return {"scan": {"name": path.name}, "error": refusal}
    if not as_json:
        _show_prediction(path, answer)
    return answer


def _show_check(path: Path, answer: dict[str, Any]) -> None:
    say(f"{_what_it_is(path, answer['scan'])}: accepted, in {answer['space']} space", bold=True)
    for name, value in answer["quality"].items():
        if isinstance(value, int | float):
            say(f"  {name:<22} {value:.4g}")
    show_warnings(answer["warnings"])


def _show_run(path: Path, answer: dict[str, Any]) -> None:
    start, n_frames = answer["dropped_frames"], answer["scan"]["n_frames"]
    say(f"{_what_it_is(path, answer['scan'])}: accepted so far, in the scanner's space", bold=True)
    say(f"  {where_from(answer['input'])}")
    say(f"  {start['dropped']} of {n_frames} frames at the start would be left out: {start['reason']}")
    if answer["slice_timing"]:
        said_by = SAID_BY[answer["input"]["slice_times_from"]]
        say(f"  its slices would be brought to one time, {said_by}")
    else:
        say(
            "  The times of its slices are not known, so they would not be corrected for. Give "
            "--slice-order ORDER, or --sidecar FILE with SliceTiming."
        )
    say(
        "  `restnet predict` and the service bring it into template space first; whether the template can be "
        "laid over it, and how much the head moved, shows then."
    )
    # What there is to give is said above.
    show_warnings([warning for warning in answer["warnings"] if warning["code"] != "slice_times_unknown"])


def _show_prediction(path: Path, answer: dict[str, Any]) -> None:
    interval, model = answer["interval"], answer["model"]
    say(_what_it_is(path, answer["scan"]), bold=True)
    say(
        f"  probability of ADHD {answer['adhd_probability']:.3f}, "
        f"{interval['level']:.0%} interval {interval['low']:.3f} to {interval['high']:.3f}, "
        f"threshold {answer['threshold']:.2f}: {answer['decision']}"
    )
    if answer["normalisation"] is not None:
        say(f"  {what_was_done(answer['normalisation'])}")
    say(f"  model {model['name']} {model['version']} ({model['intended_use']}): {model['trained_on']}")
    show_warnings(answer["warnings"])
    say("  Research use only. This is not a diagnosis.")


def what_was_done(normalisation: dict[str, Any]) -> str:
    """Say in a line how a scan came into template space."""
    moved, fit = normalisation["displacement_mm"], normalisation["registration"]
    return (
        f"brought into template space here: {normalisation['dropped_frames']} frames dropped, "
        f"{moved['mean']:.2f} mm moved between frames, {fit['explained']:.0%} of the contrast explained, "
        f"{fit['coverage']:.0%} of the brain in view"
    )


def _what_it_is(path: Path, scan: dict[str, Any]) -> str:
    shape = " x ".join(str(n) for n in scan["shape"])
    return f"{path}: {shape}, TR {scan['tr_s']:.3g} s"


def show_warnings(warnings: list[dict[str, str]]) -> None:
    """Print what a reader should know, each with its code."""
    for warning in warnings:
        say(f"  warning: {warning['message']}  [{warning['code']}]", fg="yellow")
