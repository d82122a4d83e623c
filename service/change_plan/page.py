"""A change plan as one HTML file without a script."""

from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from service.change_plan.contents import ChangePlan
from service.report.one_file import policy_of_the_answer, policy_of_the_file, templates_in
from service.report.page import style_of_paper
from service.web.language import Language

TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _environment() -> Environment:
    return templates_in(TEMPLATES)


@cache
def _style(language: Language) -> str:
    return style_of_paper(language) + (TEMPLATES / "change_plan.css").read_text(encoding="utf-8")


def content_security_policy(language: Language) -> str:
    """Return the policy for the answer that holds a plan."""
    return policy_of_the_answer(_style(language))


def render(plan: ChangePlan) -> str:
    """Write the HTML file; it carries its policy along, for who opens a saved copy."""
    style = _style(plan.language)
    template = _environment().get_template("change_plan.html")
    return template.render(
        plan=plan,
        style=Markup(style),  # noqa: S704  (files of ours)
        policy=policy_of_the_file(style),
    )
