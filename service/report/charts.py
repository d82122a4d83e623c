"""The drawings of a report as SVG, with every length in the view box's own units.

Colours stand in attributes, which a content security policy lets pass. They are the pages' light ones: a
report is paper.
"""

from collections.abc import Sequence
from typing import Any

from service.report.contents import Chart
from service.web.language import _, listed
from service.web.language.numbers import per_cent
from service.web.methods import reads_whole_run
from service.web.prediction.scale import (
    CHART_BOTTOM,
    CHART_TOP,
    Band,
    Mark,
    dvars_trace,
    height,
    probability_scale,
    stretches,
    time_marks,
)
from service.web.rendering import percent
from service.web.wording import decision_rule

WIDTH = 440
INK, SOFT, LINE, STRONG_LINE, ACCENT, BAND = "#1c2427", "#566065", "#d9d6cd", "#7d8589", "#0d5560", "#f3e6c8"

# The line of probabilities runs between these, so that a point at either end is whole.
SCALE_LEFT, SCALE_RIGHT = 10, 430
# The words at its ends and half the words of the threshold, in the same units.
_ENDS, _HALF_THRESHOLD = 56, 50

# The charts over time: their figures stand at the left and below.
LEFT, RIGHT, TOP, BOTTOM = 48, 430, 12, 112


def scale_chart(result: dict[str, Any], band: Band | None) -> Chart:
    """Draw the probability between 0 and 100 %, with its interval, the threshold and the uncertain band."""
    scale = probability_scale(result)
    threshold = percent(float(result["threshold"]))
    parts = []
    if band is not None:
        left, right = _along(band.low), _along(band.high)
        parts.append(f'<rect x="{left}" y="22" width="{right - left:.1f}" height="46" fill="{BAND}"/>')
    parts.append(_line(SCALE_LEFT, 45, SCALE_RIGHT, 45, STRONG_LINE, width=1.6))
    for tick in (0, 25, 50, 75, 100):
        at, said = _along(tick), per_cent(tick) if tick == 100 else str(tick)
        anchor = {0: "start", 100: "end"}.get(tick, "middle")
        x = {0: 2, 100: WIDTH - 2}.get(tick, at)
        parts += [
            _line(at, 68, at, 74, STRONG_LINE),
            _text(x, 90, said, anchor=anchor),
        ]
    at = _along(scale.threshold)
    beside = min(max(at, 2 + _ENDS + _HALF_THRESHOLD), WIDTH - 2 - _ENDS - _HALF_THRESHOLD)
    low, wide = _along(scale.low), max(_along(scale.high) - _along(scale.low), 2.0)
    parts += [
        _line(at, 19, at, 70, INK, dashed=True),
        f'<rect x="{low}" y="40" width="{wide:.1f}" height="10" rx="5" fill="{ACCENT}" fill-opacity="0.45"/>',
        f'<circle cx="{_along(scale.point)}" cy="45" r="8" fill="{ACCENT}" stroke="#fff" stroke-width="2"/>',
        _text(2, 13, _("control"), anchor="start"),
        _text(beside, 13, _("threshold %(threshold)s", threshold=threshold)),
        _text(WIDTH - 2, 13, "ADHD", anchor="end"),
    ]
    figures = {
        "probability": percent(result["adhd_probability"]),
        "low": percent(result["interval"]["low"]),
        "high": percent(result["interval"]["high"]),
        "threshold": threshold,
    }
    alt = _(
        "Scale from 0 to 100 %%: probability %(probability)s, interval %(low)s to %(high)s, threshold "
        "%(threshold)s",
        **figures,
    )
    caption = _("Point: the probability. Bar: its interval. Dashed: the threshold.")
    more = ""
    if band is not None:
        edges = {"low": percent(band.low / 100), "high": percent(band.high / 100)}
        alt = _("%(scale)s; the answer is uncertain from %(low)s to %(high)s", scale=alt, **edges)
        more = _(
            "Shaded: the answer is uncertain from %(low)s to %(high)s; this band decides, not the threshold.",
            **edges,
        )
    elif decision_rule(result) == "interval":
        more = _("The answer is uncertain where the bar includes the threshold.")
    if more:
        caption = _("%(sentence)s %(next)s", sentence=caption, next=more)
    return Chart(svg=_svg(94, parts), alt=alt, caption=caption)


def windows_chart(result: dict[str, Any]) -> Chart:
    """Draw the probability of each window over the run."""
    found = stretches(result)
    at = _down(height(float(result["threshold"])))
    parts = [
        *_frame([Mark(height(0), per_cent(0)), Mark(height(1), per_cent(100))], _duration_s(result)),
        _line(LEFT, at, RIGHT, at, INK, dashed=True),
        *(
            f'<circle cx="{_over(one.across)}" cy="{_down(one.height)}" r="5.5" fill="{ACCENT}"/>'
            for one in found
        ),
    ]
    said = listed(
        _(
            "%(begins)s to %(ends)s: %(probability)s",
            begins=one.begins,
            ends=one.ends,
            probability=percent(one.probability),
        )
        for one in found
    )
    if reads_whole_run(result):
        return Chart(
            svg=_svg(134, parts),
            alt=_("Probability of ADHD of the whole run. %(stretches)s", stretches=said),
            caption=_(
                "Probability of ADHD of the whole run, which the model reads at once; dashed: the threshold."
            ),
        )
    return Chart(
        svg=_svg(134, parts),
        alt=_("Probability of ADHD in each stretch of the run. %(stretches)s", stretches=said),
        caption=_(
            "Probability of ADHD in each stretch that the model reads, over the minutes of the run; dashed: "
            "the threshold. Stretches that disagree widen the interval."
        ),
    )


def dvars_chart(result: dict[str, Any]) -> Chart | None:
    """Draw DVARS over the run; None for fewer than two changes."""
    values = [float(value) for value in result["quality"].get("dvars", [])]
    trace = dvars_trace(values)
    if trace is None:
        return None
    points = " ".join(
        f"{LEFT + (RIGHT - LEFT) * float(x) / 1000:.1f},{TOP + (BOTTOM - TOP) * float(y) / 100:.1f}"
        for x, y in (point.split(",") for point in trace.points.split())
    )
    line = f'<polyline points="{points}" fill="none" stroke="{ACCENT}" stroke-width="1.3"/>'
    return Chart(
        svg=_svg(134, [*_frame(trace.marks, _duration_s(result)), line]),
        alt=_(
            "DVARS from frame to frame over the run: mean %(mean)s, largest %(largest)s",
            mean=f"{sum(values) / len(values):.2f}",
            largest=f"{max(values):.2f}",
        ),
        caption=_(
            "DVARS over the minutes of the run; 1 is the ordinary change, a peak far above it often is a "
            "movement."
        ),
    )


def _duration_s(result: dict[str, Any]) -> float:
    return float(result["quality"]["duration_s"])


def _frame(marks: Sequence[Mark], duration_s: float) -> list[str]:
    parts = []
    for mark in marks:
        at = _down(mark.at)
        parts += [_line(LEFT, at, RIGHT, at, LINE), _text(LEFT - 7, at + 4.5, mark.text, anchor="end")]
    anchors = {0.0: "start", 100.0: "end"}
    parts += [
        _text(_over(time.at), 130, time.text, anchor=anchors.get(time.at, "middle"))
        for time in time_marks(duration_s)
    ]
    return parts


def _along(value: float) -> float:
    return round(SCALE_LEFT + (SCALE_RIGHT - SCALE_LEFT) * value / 100, 1)


def _over(across: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * across / 100, 1)


def _down(from_top: float) -> float:
    return round(TOP + (BOTTOM - TOP) * (from_top - CHART_TOP) / (CHART_BOTTOM - CHART_TOP), 1)


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.2, dashed: bool = False
) -> str:
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def _text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="14" fill="{SOFT}">{words}</text>'


def _svg(tall: int, parts: Sequence[str]) -> str:
    # The page's own letters where they are there; in the PDF the compiler finds the same family.
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" '
        f"font-family=\"'Source Sans 3', 'Noto Sans SC', 'Segoe UI', Arial, sans-serif\">"
    )
    return opening + "".join(parts) + "</svg>"
