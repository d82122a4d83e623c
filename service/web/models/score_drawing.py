"""The differences between two models' probabilities, as bars in a box."""

from dataclasses import dataclass

from service.api.scoring_payloads import DifferencesResponse

WIDTH, HEIGHT = 300.0, 80.0
# A bar for a single scan among thousands is still seen.
_LEAST = 1.5
_GAP = 1.0


@dataclass(frozen=True)
class Bar:
    """Where one step of a histogram lies, in a box of `WIDTH` by `HEIGHT`; none is drawn for no scan."""

    x: float
    y: float
    width: float
    height: float


def bars(differences: DifferencesResponse) -> list[Bar]:
    """Draw a histogram, the tallest step as tall as the box."""
    step = WIDTH / len(differences.histogram)
    most = max(differences.histogram)
    drawn = []
    for place, number in enumerate(differences.histogram):
        if number:
            height = max(HEIGHT * number / most, _LEAST)
            drawn.append(
                Bar(
                    x=round(place * step + _GAP / 2, 2),
                    y=round(HEIGHT - height, 2),
                    width=round(step - _GAP, 2),
                    height=round(height, 2),
                )
            )
    return drawn
