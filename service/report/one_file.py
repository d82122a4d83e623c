"""HTML files that load nothing: their style is in them, and their policy allows it and pictures alone."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates_in(folder: Path) -> Environment:
    """Read templates whose values are escaped and must be there."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def policy_of_the_file(style: str) -> str:
    """Return the policy that a file carries along, for who opens a saved copy."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'none'; base-uri 'none'"
    )


def policy_of_the_answer(style: str) -> str:
    """Return the policy for the answer that holds a file."""
    return f"{policy_of_the_file(style)}; frame-ancestors 'none'"
