"""The languages that the pages speak, and which one a request is answered in."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

COOKIE = "language"


class Language(StrEnum):
    """A language, by its tag in HTML (BCP 47)."""

    ENGLISH = "en"
    CHINESE = "zh-Hans"

    @property
    def own_name(self) -> str:
        """Say what its own readers call it."""
        return _OWN_NAMES[self]


_OWN_NAMES = {Language.ENGLISH: "English", Language.CHINESE: "中文"}
# By the first part of a tag: whoever asks for any Chinese is better served by this one than by English.
_BY_FAMILY = {"en": Language.ENGLISH, "zh": Language.CHINESE}

_spoken: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)


def current() -> Language:
    """Return the language of the request that is being answered; English outside of one."""
    return _spoken.get()


@contextmanager
def spoken(language: Language) -> Iterator[None]:
    """Say everything in a language for a while."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def chosen(cookie: str | None, accepted: str) -> Language:
    """Return the language that a browser asks for.

    Parameters
    ----------
    cookie : str or None
        What was chosen on a page; what is no language of ours is as good as nothing.
    accepted : str
        The header ``Accept-Language`` (RFC 9110, section 12.5.4).
    """
    if cookie in set(Language):
        return Language(cookie)
    for family in _families(accepted):
        if family in _BY_FAMILY:
            return _BY_FAMILY[family]
    return Language.ENGLISH


def _families(accepted: str) -> list[str]:
    """Return the first parts of the tags that a header names, what is liked best before the others."""
    weighed = []
    for one in accepted.split(","):
        tag, _, parameter = one.partition(";")
        weight = _weight(parameter)
        if weight > 0:
            weighed.append((weight, tag.strip().lower().partition("-")[0]))
    return [family for _, family in sorted(weighed, key=lambda pair: -pair[0])]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    # Written so that "nan" is no weight either.
    return weight if name.strip().lower() == "q" and 0 <= weight <= 1 else 0.0
