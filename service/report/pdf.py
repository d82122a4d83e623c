"""A report as a PDF of at most two pages."""

import base64
import json
from dataclasses import asdict, replace

from service.report.contents import Report, ReportPicture
from service.report.fitting import ROOMS, Room, fit
from service.report.page import TEMPLATES
from service.report.typesetting import refusal, set_pages

# What the template says of a document that has more pages than its room.
TOO_LONG = "more pages than there is room for"


def write_pdf(report: Report) -> bytes:
    """Set a report, shortened until it fits two pages.

    Where a letter is in no font the report says it. The same report is the same file.

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
        raise refusal(error) from None


def _set(report: Report, room: Room) -> bytes:
    return set_pages(
        lambda unshown: _files(report, room, unshown=unshown),
        made_at=report.made_at,
    )


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
