"""Words in the language of the request, found by their English."""

from collections.abc import Iterable
from typing import Any

from service.web.language.catalogues import translations
from service.web.language.languages import current


def _(text: str, **values: Any) -> str:
    """Say a text; with values, in the places that it names as ``%(name)s``, and a percent sign doubled."""
    said = words(text)
    return said % values if values else said


def ngettext(one: str, many: str, num: int, **values: Any) -> str:
    """Say a text that counts, ``%(num)s`` of something."""
    return translations(current()).ngettext(one, many, num) % ({"num": num} | values)


def pgettext(context: str, text: str, **values: Any) -> str:
    """Say a text that means one thing here and another elsewhere."""
    said = translations(current()).pgettext(context, text)
    return said % values if values else said


def marked(text: str) -> str:
    """Mark a text that is written at import, and said by ``_`` later."""
    return text


def in_context(context: str, text: str) -> tuple[str, str]:
    """Mark one that ``pgettext`` says later, by both."""
    return context, text


def listed(parts: Iterable[str]) -> str:
    """Put things side by side in a sentence."""
    return pgettext("between the parts of a list", ", ").join(parts)


# For the templates, whose own extension puts the values in, and escapes them: it asks for the words alone.


def words(text: str) -> str:
    """Return a text's words."""
    # The empty text is what a catalogue's own header is found by.
    return translations(current()).gettext(text) if text else ""


def plural_words(one: str, many: str, num: int) -> str:
    """Return the words for a number."""
    return translations(current()).ngettext(one, many, num)


def words_in_context(context: str, text: str) -> str:
    """Return the words for what a text means in a context."""
    return translations(current()).pgettext(context, text)
