"""A report as a PDF of at most two pages, set by Typst within this process.

Typst is given a template of ours and the report as JSON beside it: a value of JSON is text there, never
markup. All that it may read lies in memory, but for its fonts.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.report.contents import Report, ReportPicture
from service.report.fitting import ROOMS, Room, fit
from service.report.page import TEMPLATES

if TYPE_CHECKING:
    import typst

# Source Sans 3 for the PDF lies among the pages' packages; without it Typst's own letters are taken.
FONTS = Path(__file__).resolve().parents[1] / "web" / "static" / "vendor"

# What the template says of a document that has more pages than its room.
TOO_LONG = "more pages than there is room for"
# What Typst says of a letter that no font has.
_NO_FONT = "could not be displayed"


def write_pdf(report: Report) -> bytes:
    """Set a report, shortened until it fits two pages.

    The PDF is tagged and says so (PDF/UA-1). Where a letter is in no font it is no longer PDF/UA, which
    forbids that, and the report says it.

    The same report is the same file.

    Raises
    ------
    RuntimeError
        If Typst refuses, which is a fault of ours.
    """
    # Loaded here: the web process starts without it.
    import typst  # noqa: PLC0415

    try:
        for room in ROOMS[:-1]:
            try:
                return _set(fit(report, room), room)
            except typst.TypstError as error:
                if TOO_LONG not in error.message:
                    raise
        return _set(fit(report, ROOMS[-1]), ROOMS[-1])
    except typst.TypstError as error:
        # What stands in quotes, and what the error hangs on to, may be what somebody typed.
        said, _, _ = error.message.partition("`")
        message = f"expected Typst to set a report, found: {said}"
        raise RuntimeError(message) from None


def _set(report: Report, room: Room) -> bytes:
    import typst  # noqa: PLC0415

    try:
        return _compile(_files(report, room, unshown=False), made_at=report.made_at, standards=["ua-1"])
    except typst.TypstError as error:
        if _NO_FONT not in error.message:
            raise
    return _compile(_files(report, room, unshown=True), made_at=report.made_at, standards=[])


@cache
def _fonts() -> "typst.Fonts":
    import typst  # noqa: PLC0415

    # The system's are left out: the same report looks the same on every machine.
    return typst.Fonts(include_system_fonts=False, font_paths=[FONTS] if FONTS.is_dir() else [])


def _compile(files: Mapping[str, bytes], *, made_at: datetime, standards: list[str]) -> bytes:
    import typst  # noqa: PLC0415

    # A moment of the PDF's own data is one of whole seconds.
    timestamp = made_at.replace(microsecond=0)
    pdf: bytes = typst.compile(  # type: ignore[call-overload]  # the stub knows no files in memory
        dict(files), format="pdf", font_paths=_fonts(), pdf_standards=standards, timestamp=timestamp
    )
    return pdf


def _files(report: Report, room: Room, *, unshown: bool) -> dict[str, bytes]:
    charts = {"scale": report.scale, "windows": report.windows, "dvars": report.dvars}
    files = {f"{name}.svg": chart.svg.encode() for name, chart in charts.items() if chart is not None}
    files |= {f"picture-{number}.svg": _as_text(picture) for number, picture in enumerate(report.pictures)}
    words = asdict(replace(report, pictures=[replace(picture, png=b"") for picture in report.pictures]))
    for picture in words["pictures"]:
        del picture["png"]
    # Typst names a language without its script.
    words |= {"lang": report.language.partition("-")[0]}
    words |= {"made_at": report.made_at.isoformat(), "unshown": unshown}
    words |= {"pages": room.pages, "points": room.points, "picture_mm": room.picture_mm}
    files["report.json"] = json.dumps(words).encode()
    files["main.typ"] = (TEMPLATES / "report.typ").read_bytes()
    return files


def _as_text(picture: ReportPicture) -> bytes:
    # The compiler takes files from memory only where they are UTF-8.
    size = f'width="{picture.width}" height="{picture.height}"'
    png = base64.b64encode(picture.png).decode()
    image = f'<image {size} href="data:image/png;base64,{png}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{image}</svg>'.encode()
