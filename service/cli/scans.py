"""``restnet check`` and ``restnet predict``: what can be asked about a scan without a service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from service.cli.database import load_settings
from service.cli.output import print_json, progress_bar, refusal_of, say, show_refusal
from service.cli.usage import AsJson
from service.errors import ServiceError

if TYPE_CHECKING:
    from model.predictor import Predictor


class FileNotReadableError(ServiceError):
    """A path on the command line that names no readable file."""

    code: ClassVar[str] = "file_not_readable"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected a file that can be read, found {found}: {name}")


def check(
    scan: Annotated[Path, typer.Argument(help="A NIfTI file, .nii or .nii.gz.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say what a scan is, how good it is, and whether RestNet accepts it."""
    from imaging import check_scan

    require_readable(scan)
    with progress_bar(scan.name, shown=not as_json) as report:
        answer = check_scan(scan, progress=report).to_json()
    if as_json:
        print_json(answer)
    else:
        _show_check(scan, answer)


def predict(
    scans: Annotated[list[Path], typer.Argument(help="NIfTI files in template space.")],
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint; the demonstration model if none is named.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="auto takes a GPU where there is one; RESTNET_DEVICE if none is named."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give the probability of ADHD for each scan, with its interval, quality and warnings."""
    predictor = load_predictor(checkpoint, device=device)
    answers = [_predict_one(path, predictor, as_json=as_json) for path in scans]
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


def _predict_one(path: Path, predictor: "Predictor", *, as_json: bool) -> dict[str, Any]:
    """Score one scan; a refused one becomes an answer of its own, so that the others are still scored."""
    from model.prediction import predict_scan

    try:
        require_readable(path)
        with progress_bar(path.name, shown=not as_json) as report:
            answer = predict_scan(path, predictor, progress=report).to_json()
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


def require_readable(path: Path) -> None:
    """Refuse a path that names no file that can be read.

    Raises
    ------
    FileNotReadableError
    """
    try:
        # Before it is opened: a pipe would wait for whoever writes into it.
        if path.is_fifo():
            raise FileNotReadableError(name=path.name, found="a pipe")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise FileNotReadableError(name=path.name, found=_what_is_there(error)) from error


def _what_is_there(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "none"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    if isinstance(error, PermissionError):
        return "one that may not be read"
    return f"a fault ({(error.strerror or 'of the disk').lower()})"


def _show_check(path: Path, answer: dict[str, Any]) -> None:
    say(f"{_what_it_is(path, answer['scan'])}: accepted, in {answer['space']} space", bold=True)
    for name, value in answer["quality"].items():
        if isinstance(value, int | float):
            say(f"  {name:<22} {value:.4g}")
    _show_warnings(answer["warnings"])


def _show_prediction(path: Path, answer: dict[str, Any]) -> None:
    interval, model = answer["interval"], answer["model"]
    say(_what_it_is(path, answer["scan"]), bold=True)
    say(
        f"  probability of ADHD {answer['adhd_probability']:.3f}, "
        f"{interval['level']:.0%} interval {interval['low']:.3f} to {interval['high']:.3f}, "
        f"threshold {answer['threshold']:.2f}: {answer['decision']}"
    )
    say(f"  model {model['name']} {model['version']} ({model['intended_use']}): {model['trained_on']}")
    _show_warnings(answer["warnings"])
    say("  Research use only. This is not a diagnosis.")


def _what_it_is(path: Path, scan: dict[str, Any]) -> str:
    shape = " x ".join(str(n) for n in scan["shape"])
    return f"{path}: {shape}, TR {scan['tr_s']:.3g} s"


def _show_warnings(warnings: list[dict[str, str]]) -> None:
    for warning in warnings:
        say(f"  warning: {warning['message']}  [{warning['code']}]", fg="yellow")
