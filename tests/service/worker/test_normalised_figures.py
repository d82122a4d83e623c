"""Figures that a child hands out: taken as they are, or not at all."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import cast

import pytest
from PIL import Image

from imaging.native.normalise import Normalised
from service.worker import normalised_figures
from service.worker.normalised_figures import (
    LARGEST_FIGURE_BYTES,
    described,
    figures_in,
    warned_of_missing,
)


def png(width: int = 6, height: int = 4) -> bytes:
    file = BytesIO()
    Image.new("L", (width, height), 90).save(file, "PNG")
    return file.getvalue()


def packed(*pngs: bytes) -> bytes:
    return struct.pack(f"<{len(pngs)}I", *map(len, pngs)) + b"".join(pngs)


def test_two_figures_are_taken_apart() -> None:
    first, second = png(6, 4), png(9, 2)
    figures = figures_in(packed(first, second))
    assert figures == {"registration": first, "carpet": second}
    sizes = {name: (said["width"], said["height"]) for name, said in described(figures).items()}
    assert sizes == {"registration": (6, 4), "carpet": (9, 2)}


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\0" * 8,
        packed(png()),
        packed(png(), png()) + b"more",
        packed(png(), png())[:-1],
        packed(b"<svg>", png()[:20]),
    ],
    ids=["nothing", "empty", "one", "more", "less", "neither"],
)
def test_of_what_are_no_figures_none_is_taken(wrong: bytes) -> None:
    assert figures_in(wrong) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        png()[:20],
        png()[:16] + struct.pack(">II", 0, 4) + png()[24:],
        png(4097, 1),
        png() + bytes(LARGEST_FIGURE_BYTES),
    ],
    ids=["nothing", "svg", "cut", "no width", "wide", "large"],
)
def test_one_that_is_no_figure_is_missing_and_the_other_stands(wrong: bytes) -> None:
    assert figures_in(packed(png(), wrong)) == {"registration": png()}
    assert figures_in(packed(wrong, png())) == {"carpet": png()}


def test_a_missing_figure_is_said() -> None:
    summary = {"version": 1, "warnings": [{"code": "head_moved", "message": "much"}]}
    both = {"registration": png(), "carpet": png()}
    assert warned_of_missing(summary, both) == summary
    told = warned_of_missing(summary, ["carpet"])
    assert [warning["code"] for warning in told["warnings"]] == ["head_moved", "figures_missing"]


def test_a_fault_of_drawing_is_told_and_no_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Callable[[object], dict[str, bytes]]:
        def draw(_found: object) -> dict[str, bytes]:
            raise FloatingPointError("no colour left")

        return draw

    monkeypatch.setattr(normalised_figures, "load_drawing", broken)
    figures, fault = normalised_figures.drawn(cast("Normalised", None))
    assert figures_in(bytes(figures)) == {}
    assert "FloatingPointError: no colour left" in (fault or "")
