"""What is marked for translation in the service's code and templates, and what the catalogues hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel.messages.catalog import Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from service.web.language.catalogues import FOLDER

SERVICE = FOLDER.parents[1]
CATALOGUES = sorted((FOLDER / "zh_Hans").glob("*.po"))
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "marked": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "in_context": ((1, "c"), 2),
}
# With its context, and its plural where it has one.
Key = tuple[str | None, str | tuple[str, ...]]


@dataclass(frozen=True)
class Marked:
    """A text and where it is said."""

    key: Key
    path: Path
    line: int


def marked_words() -> list[Marked]:
    found = []
    for method, pattern in (("python", "*.py"), ("jinja2.ext:babel_extract", "*.html")):
        for path in sorted(SERVICE.rglob(pattern)):
            options = {"trimmed": "true", "silent": "false", "trim_blocks": "true", "lstrip_blocks": "true"}
            for line, text, _comments, context in extract_from_file(
                method, str(path), keywords=KEYWORDS, options=options
            ):
                found.append(Marked((context, text), path.relative_to(SERVICE), line))
    return found


def translated_words() -> dict[Key, list[Message]]:
    found: dict[Key, list[Message]] = {}
    for path in CATALOGUES:
        with path.open("rb") as file:
            for message in read_po(file, locale="zh_Hans", abort_invalid=True):
                if message.id:
                    found.setdefault((message.context, message.id), []).append(message)
    return found
