"""What all figures share: one look, and SVG that can stand inside a page.

Colours are Okabe and Ito's, which people with any colour vision tell apart; hatches, dashes and markers say
the same again for a page printed in grey. Text stays text, in the page's own fonts.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, VERMILION, GREEN, ORANGE, SKY, INK, GREY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#e69f00",
    "#56b4e9",
    "#1c2427",
    "#7d8589",
)
# Inches: two figures stand side by side on a page, or three squares; each fits a phone.
NARROW = 4.3
SQUARE = 3.15
_FONTS = "'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_LOOK: dict[Any, Any] = {
    # Matplotlib measures text with the font that it brings along; every font of the page is narrower.
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "patch.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.color": INK,
    # A site's name is a name, dollar signs included.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def canvas(*, width: float = NARROW, height: float = 3.2) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty figure with one pair of axes, in the report's look.

    Parameters
    ----------
    width, height : float
        Inches; a figure of `NARROW` stays legible on a phone.
    """
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def number_epochs(axes: Axes, *, last: int) -> None:
    """Put whole epochs on the horizontal axis, also where there is one only."""
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def to_svg(figure: Figure, *, says: str) -> Markup:
    """Turn a figure into an ``<svg>`` element that needs nothing from outside.

    Parameters
    ----------
    figure : Figure
    says : str
        The figure in words, for those who hear the page.

    Returns
    -------
    Markup
        Its ids are unlike those of any other figure on the page; the same figure gives the same bytes.
    """
    text = io.StringIO()
    with mpl.rc_context({**_LOOK, "svg.hashsalt": "restnet"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    mark = sha256((says + svg).encode()).hexdigest()[:8]
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<style type="text/css">.*?</style>', "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="f{mark}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#f{mark}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#f{mark}-\1)", svg)
    svg = svg.replace("'DejaVu Sans'", _FONTS).replace("\n", " ")
    width = figure.get_size_inches()[0] * 96
    head = f'<svg role="img" aria-label="{escape(says)}" style="max-width: {width:.0f}px" '
    # Only the view box stays: the page decides how wide the figure is.
    opening, rest = svg.split(">", 1)
    opening = re.sub(r'\b(?:width|height)="[^"]*" ?', "", opening)
    # The text is ours: numbers, and names that `escape` or matplotlib have made harmless.
    return Markup(opening.replace("<svg ", head, 1) + ">" + rest)  # noqa: S704
