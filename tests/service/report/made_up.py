"""Reports to lay out, without a database."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pypdf
from PIL import Image

from service.report.charts import dvars_chart, scale_chart, windows_chart
from service.report.contents import Fact, Measured, Report, ReportPicture, ReviewWords
from service.report.headings import headings
from service.web import wording
from service.web.language import current
from service.web.prediction.scale import Band
from tests.service.api.serving import sample_result

# What would run, load or set something if it were taken for more than text: HTML, Typst, JSON, shells.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=//evil.example/x onerror=alert(1)>',
    "</style><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    '#read("/etc/passwd") *b* $x$ @ref // c',
    '\\", "notice": [] } #panic()',
    "javascript:alert(1)",
)


def picture(name: str, *, width: int = 640, height: int = 400) -> ReportPicture:
    samples = np.random.default_rng(width + height).integers(0, 255, (height, width), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(samples).save(written, format="PNG")
    return ReportPicture(
        name=name,
        png=written.getvalue(),
        width=width,
        height=height,
        alt=f"What the {name} shows",
        caption=f"The {name} of this scan, with what its colours mean and on which slice it was cut",
    )


PICTURES = (
    picture("attribution"),
    picture("mean", height=200),
    picture("tsnr", width=300, height=600),
    picture("carpet", width=1200, height=300),
)


def review(reason: str = "", *, diagnosis: str = "", consent: str = "") -> ReviewWords:
    return ReviewWords(
        said="Overridden: control",
        by="m.keller",
        at="29 November 2026, 07:00 UTC",
        diagnosis=diagnosis,
        consent=consent,
        reason=reason,
    )


def made_up_report(**changes: Any) -> Report:
    result = sample_result()
    identifier = "5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11"
    report = Report(
        prediction_id=identifier,
        language=current(),
        headings=headings(),
        made_at=datetime(2026, 11, 29, 7, 0, 1, 5, tzinfo=UTC),
        title=f"RestNet report {identifier}",
        notice=(wording.banner("demonstration"), wording.NOTICE),
        subject="P-17",
        person=[Fact("Age", "11.5 years"), Fact("Sex", "female"), Fact("Site", "NYU")],
        probability="61\u202f%",
        interval="90\u202f% interval 44\u202f% to 75\u202f%",
        decision=wording.decision(result),
        scale=scale_chart(result, Band(33, 54, rules_out_both=False)),
        windows=windows_chart(result),
        dvars=dvars_chart(result),
        remarks=wording.warnings_beside_banner(result["warnings"]),
        verdict="Good enough to read. Nothing about it asks for care.",
        quality=[
            Measured(line.name, line.value, line.meaning) for line in wording.quality_lines(result["quality"])
        ],
        scan=[Fact("File", "run.nii.gz"), Fact("SHA-256", "9f" * 32, digest=True)],
        model=[Fact("Name", "RestNet demonstration, version 2"), Fact("SHA-256", "ab" * 32, digest=True)],
        performance=[Fact("Sensitivity", "0.88 (0.82 to 0.93)")],
        measured_on="Measured on 400 simulated subjects",
        reviews=[],
        more_reviews=False,
        origin=[Fact("Prediction", identifier), Fact("RestNet", "version 0.1.0")],
    )
    return replace(report, **changes)


def hostile_report() -> Report:
    """A report whose every text that is not ours tries something; `HOSTILE[0]` stands in each of them."""
    everything = " ".join(HOSTILE)
    remark = wording.Remark(everything, HOSTILE[0], HOSTILE[0])
    return made_up_report(
        subject=HOSTILE[0],
        person=[Fact("Site", everything)],
        remarks=[remark],
        scan=[Fact("File", everything)],
        model=[Fact("Name", everything)],
        measured_on=everything,
        reviews=[review(everything)],
        origin=[Fact("Report made", everything)],
    )


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page, with its blanks and the breaks within long words evened out."""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    return [evened(page.extract_text()) for page in reader.pages]


def evened(text: str) -> str:
    return " ".join(text.replace("\u200b", "").replace("\u202f", " ").split())
