"""The language of the pages: which one a request is answered in, and what the words are in it.

English is written where it is said, and is what a translation is found by. Who says a sentence marks it::

    _("Every other login has ended.")
    _("At least %(least)s characters.", least=12)
    ngettext("%(num)s subject", "%(num)s subjects", 2)
    STATES = {"queued": marked("Waiting")}    # at import; said by _(STATES["queued"])

The translations lie in ``zh_Hans/*.po``, a file for each part of the service.
"""

from service.web.language.languages import Language, current, spoken
from service.web.language.words import _, in_context, listed, marked, ngettext, pgettext

__all__ = ["Language", "_", "current", "in_context", "listed", "marked", "ngettext", "pgettext", "spoken"]
