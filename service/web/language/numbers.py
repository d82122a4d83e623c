"""Numbers as the language of the request writes them."""

from service.web.language.words import _


def per_cent(number: object) -> str:
    """Write a number of hundredths with its sign."""
    return _("%(number)s\u202f%%", number=number)
