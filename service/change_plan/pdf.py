"""A change plan as a PDF."""

import json
from dataclasses import asdict

from service.change_plan.contents import ChangePlan
from service.change_plan.page import TEMPLATES
from service.report.typesetting import refusal, set_pages


def write_pdf(plan: ChangePlan) -> bytes:
    """Set a plan on as many pages as it takes.

    Raises
    ------
    RuntimeError
        If Typst refuses, which is a fault of ours.
    """
    # Loaded here: the web process starts without it.
    import typst  # noqa: PLC0415

    # Typst names a language without its script.
    words = asdict(plan) | {"lang": plan.language.partition("-")[0], "made_at": plan.made_at.isoformat()}
    files = {
        "plan.json": json.dumps(words).encode(),
        "main.typ": (TEMPLATES / "change_plan.typ").read_bytes(),
    }
    try:
        return set_pages(lambda _unshown: files, made_at=plan.made_at)
    except typst.TypstError as error:
        raise refusal(error) from None
