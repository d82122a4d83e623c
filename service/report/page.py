"""A report as one HTML file: its style in it, its pictures and drawings too, and no script anywhere."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.report.contents import Report

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
def _style() -> str:
    return (TEMPLATES / "report.css").read_text(encoding="utf-8")


@cache
def _policy_of_the_file() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'none'; base-uri 'none'"
    )


def content_security_policy() -> str:
    """Return the policy for the answer that holds a report: its own style and pictures, and nothing else."""
    return f"{_policy_of_the_file()}; frame-ancestors 'none'"


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
        style=Markup(_style()),  # noqa: S704  (a file of ours)
        policy=_policy_of_the_file(),
    )


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
