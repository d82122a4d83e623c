"""Checks of what a published network is built and asked with."""

from model.errors import TooFewTimePointsError


def at_least(minimum: int, **sizes: int) -> None:
    """Refuse a size below a minimum, by its name.

    Raises
    ------
    ValueError
        If one is smaller.
    """
    for name, size in sizes.items():
        if size < minimum:
            raise ValueError(f"expected {name} of at least {minimum}, found {size}")


def enough_time(*, network: str, expected: int, found: int) -> None:
    """Refuse windows or series that are shorter than a network can read.

    Raises
    ------
    TooFewTimePointsError
        If there are fewer time points than expected.
    """
    if found < expected:
        raise TooFewTimePointsError(network=network, expected=expected, found=found)
