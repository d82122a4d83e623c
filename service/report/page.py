"""A report as one HTML file: its style in it, its pictures and drawings too, and no script anywhere."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.report.contents import Report
from service.web.language import Language, _, spoken
from service.web.wording import NOTICE

TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_address"] = _data_address
    return made


@cache
def _style(language: Language) -> str:
    with spoken(language):
        # On every sheet of paper; ours, so that it needs no escaping.
        notice = _(NOTICE)
    return (TEMPLATES / "report.css").read_text(encoding="utf-8").replace("NOTICE", notice)


@cache
def _policy_of_the_file(language: Language) -> str:
    digest = base64.b64encode(hashlib.sha256(_style(language).encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'none'; base-uri 'none'"
    )


def content_security_policy(language: Language) -> str:
    """Return the policy for the answer that holds a report: its own style and pictures, and nothing else."""
    return f"{_policy_of_the_file(language)}; frame-ancestors 'none'"


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
        style=Markup(_style(report.language)),  # noqa: S704  (a file of ours)
        policy=_policy_of_the_file(report.language),
    )


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
