"""PDFs set by Typst within this process, from a template of ours and JSON beside it.

A value of JSON is text there, never markup. All that Typst may read lies in memory, but for its fonts.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typst

# Source Sans 3 for the PDF lies among the pages' packages; without it Typst's own letters are taken.
FONTS = Path(__file__).resolve().parents[1] / "web" / "static" / "vendor"

# What Typst says of a letter that no font has.
_NO_FONT = "could not be displayed"


def set_pages(files: Callable[[bool], Mapping[str, bytes]], *, made_at: datetime) -> bytes:
    """Set ``main.typ`` of some files.

    The PDF is tagged and says so (PDF/UA-1). Where a letter is in no font it is no longer PDF/UA, which
    forbids that. The same files are the same PDF.

    Parameters
    ----------
    files : callable
        Returns them by name; called with whether some letters are shown by no font.
    made_at : datetime
        UTC.

    Raises
    ------
    typst.TypstError
        If Typst refuses.
    """
    # Loaded here: the web process starts without it.
    import typst  # noqa: PLC0415

    try:
        return _compile(files(False), made_at=made_at, standards=["ua-1"])  # noqa: FBT003  (its only argument)
    except typst.TypstError as error:
        if _NO_FONT not in error.message:
            raise
    return _compile(files(True), made_at=made_at, standards=[])  # noqa: FBT003


def refusal(error: "typst.TypstError") -> RuntimeError:
    """Say what Typst refused, which is a fault of ours, without what somebody typed."""
    # What stands in quotes, and what the error hangs on to, may be that.
    said, _, _ = error.message.partition("`")
    return RuntimeError(f"expected Typst to set a document, found: {said}")


@cache
def _fonts() -> "typst.Fonts":
    import typst  # noqa: PLC0415

    # The system's are left out: the same document looks the same on every machine.
    return typst.Fonts(include_system_fonts=False, font_paths=[FONTS] if FONTS.is_dir() else [])


def _compile(files: Mapping[str, bytes], *, made_at: datetime, standards: list[str]) -> bytes:
    import typst  # noqa: PLC0415

    # A moment of the PDF's own data is one of whole seconds.
    timestamp = made_at.replace(microsecond=0)
    pdf: bytes = typst.compile(  # type: ignore[call-overload]  # the stub knows no files in memory
        dict(files), format="pdf", font_paths=_fonts(), pdf_standards=standards, timestamp=timestamp
    )
    return pdf
