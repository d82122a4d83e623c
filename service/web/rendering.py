"""From a template to an answer: one Jinja environment, autoescaping, and what every page needs."""

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from service.api.access.principal import Principal
from service.web import menu, methods, terms, wording
from service.web.access import page_address
from service.web.language import Language, current, ngettext, pgettext
from service.web.language.numbers import per_cent
from service.web.language.words import _, plural_words, words, words_in_context
from service.web.prediction import picture_wording
from service.web.refusal_wording import told
from service.web.script_words import list_words, prediction_words, upload_words

FOLDER = Path(__file__).resolve().parent
# No page is kept in the browser, so going back asks for it anew: as a whole, or the address of a deleted scan
# would go on showing the page before.
HTMX_CONFIG = (
    '{"allowEval": false, "includeIndicatorStyles": false, "historyCacheSize": 0, '
    '"refreshOnHistoryMiss": true, "selfRequestsOnly": true}'
)
_OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")


@cache
def environment() -> Environment:
    """Return the templates' environment; a name that a page was not given is an error, never empty."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]  # the extension's own
        words, plural_words, newstyle=True, pgettext=words_in_context
    )
    made.policies["ext.i18n.trimmed"] = True
    # Chinese as it is: its escapes would be twice as long.
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}
    # For words that are no literal of a template: they are escaped, which those in _() are not.
    made.filters["translated"] = _
    made.filters["percent"] = percent
    made.filters["signed"] = signed
    made.filters["moment"] = moment
    made.filters["second"] = second
    made.filters["sentence"] = sentence
    made.filters["unbroken"] = unbroken
    made.filters["bytes"] = readable_bytes
    made.globals["wording"] = wording
    made.globals["terms"] = terms
    made.globals["methods"] = methods
    made.globals["picture_wording"] = picture_wording
    made.globals["menu"] = menu
    made.globals["told"] = told
    made.globals["upload_words"] = upload_words
    made.globals["prediction_words"] = prediction_words
    made.globals["list_words"] = list_words
    made.globals["htmx_config"] = HTMX_CONFIG
    made.globals["Language"] = Language
    made.globals["language"] = current
    return made


def page(
    request: Request,
    template: str,
    *,
    principal: Principal | None,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """Draw a page.

    Parameters
    ----------
    request : Request
    template : str
        Its file under ``templates/``.
    principal : Principal or None
        Whose name and token the page carries; None before the login.
    status : int
    **values
        What the template names.
    """
    text = (
        environment()
        .get_template(template)
        .render(path=request.url.path, come_back_to=page_address(request), principal=principal, **values)
    )
    headers = {"Vary": "HX-Request, Cookie, Accept-Language", "Content-Language": current()}
    return HTMLResponse(text, status_code=status, headers=headers)


def percent(fraction: float) -> str:
    """Write a probability as people read it: 0.614 is ``61 %``, and what is not certain never looks so."""
    if 0 < fraction < 0.005:
        return per_cent("< 1")
    if 0.995 <= fraction < 1:
        return per_cent("> 99")
    return per_cent(f"{fraction * 100:.0f}")


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign, a minus as long as the plus: ``+0.25``."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "\u2212") if rounded else f"{0:.{digits}f}"


def moment(when: datetime) -> str:
    """Write a time; the page's script shows it in the reader's own zone."""
    return when.strftime(pgettext("a moment, for strftime", "%-d %B %Y, %H:%M UTC"))


def second(when: datetime) -> str:
    """Write a time to the second, where events that follow each other are told apart by it.

    The element that it stands in has ``data-seconds``, for the page's script.
    """
    return when.strftime(pgettext("a second, for strftime", "%-d %B %Y, %H:%M:%S UTC"))


def sentence(text: str) -> str:
    """Write a refusal's message as a sentence: messages begin in lower case and end without a stop."""
    # By the text and not by the page: what another program said has no translation.
    stop = "。" if any("\u4e00" <= character <= "\u9fff" for character in text) else "."
    return text[:1].upper() + text[1:].rstrip(".。") + stop if text else ""


def unbroken(text: str) -> Markup:
    """Mark options of a command, such as ``--run``: a browser may end a line after each of their hyphens."""
    return Markup(_OPTION.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))  # noqa: S704


def readable_bytes(size: int) -> str:
    """Write a size in the units that limits are set in: 2**30 is ``1 GiB``."""
    if size < 1024:
        return ngettext("%(num)s byte", "%(num)s bytes", size)
    value = size / 1024
    for unit in ("KiB", "MiB"):
        if value < 1024:
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + " GiB"
