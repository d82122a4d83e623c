"""The translations, read from their text files at the first use: nothing compiled lies beside them."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from service.web.language.languages import Language

FOLDER = Path(__file__).resolve().parent


@cache
def translations(language: Language) -> NullTranslations:
    """Return what the words are in a language; English is what they are found by.

    Parameters
    ----------
    language : Language

    Raises
    ------
    babel.messages.pofile.PoFileError
        If a file cannot be read.
    """
    if language == Language.ENGLISH:
        return NullTranslations()
    locale = language.value.replace("-", "_")
    merged = Catalog(locale)
    for path in sorted((FOLDER / locale).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=locale, abort_invalid=True):
                if message.id:
                    merged[message.id] = message
    compiled = BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return GNUTranslations(compiled)
