"""A report as one HTML file: its style in it, its pictures and drawings too, and no script anywhere."""

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from service.report.contents import Report
from service.report.one_file import policy_of_the_answer, policy_of_the_file, templates_in
from service.web.language import Language, _, spoken
from service.web.wording import NOTICE

TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _environment() -> Environment:
    made = templates_in(TEMPLATES)
    made.filters["data_address"] = _data_address
    return made


@cache
def style_of_paper(language: Language) -> str:
    """Return the style of what is printed, with the notice at the foot of every sheet."""
    with spoken(language):
        # On every sheet of paper; ours, so that it needs no escaping.
        notice = _(NOTICE)
    return (TEMPLATES / "report.css").read_text(encoding="utf-8").replace("NOTICE", notice)


def content_security_policy(language: Language) -> str:
    """Return the policy for the answer that holds a report: its own style and pictures, and nothing else."""
    return policy_of_the_answer(style_of_paper(language))


def render(report: Report) -> str:
    """Write the HTML file; it carries its policy along, for who opens a saved copy."""
    drawn = {
        name: Markup(chart.svg)  # noqa: S704  (ours: it holds numbers and our words)
        for name, chart in (("scale", report.scale), ("windows", report.windows), ("dvars", report.dvars))
        if chart is not None
    }
    template = _environment().get_template("report.html")
    return template.render(
        report=report,
        drawn=drawn,
        style=Markup(style_of_paper(report.language)),  # noqa: S704  (a file of ours)
        policy=policy_of_the_file(style_of_paper(report.language)),
    )


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
