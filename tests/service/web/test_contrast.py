"""The colours of the pages against WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what marks a control."""

import re
from pathlib import Path

import pytest

STYLES = Path(__file__).resolve().parents[3] / "service" / "web" / "static" / "restnet.css"

TEXT = [
    ("ink", "paper"),
    ("ink", "raised"),
    ("soft", "paper"),
    ("soft", "raised"),
    ("soft", "accent-wash"),
    ("accent", "paper"),
    ("accent", "raised"),
    ("accent", "accent-wash"),
    ("accent-ink", "accent"),
    ("warn", "paper"),
    ("warn", "warn-wash"),
    ("wrong", "raised"),
    ("wrong", "wrong-wash"),
    ("ink", "wrong-wash"),
]
CONTROLS = [
    ("strong-line", "paper"),
    ("strong-line", "raised"),
    ("accent", "paper"),
    ("accent", "accent-wash"),
]


def colours(scheme: str) -> dict[str, tuple[int, int, int]]:
    both = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);", STYLES.read_text())
    found = [(name, light if scheme == "light" else dark) for name, light, dark in both]
    return {name: (int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16)) for name, value in found}


def luminance(colour: tuple[int, int, int]) -> float:
    """WCAG 2.2, definition of relative luminance."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_on_values_of_the_standard() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    # The well-known lightest grey that passes on white.
    assert contrast((0x76, 0x76, 0x76), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_controls_stand_out(scheme: str) -> None:
    palette = colours(scheme)
    assert len(palette) == 14
    for pairs, least in ((TEXT, 4.5), (CONTROLS, 3.0)):
        for front, back in pairs:
            assert contrast(palette[front], palette[back]) >= least, (scheme, front, back)
