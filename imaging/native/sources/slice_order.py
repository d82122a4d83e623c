"""From the name of an order to the times of slices, for scans that nobody wrote them down of.

Taken evenly over the repetition time, one slice at a time: not so with several slices at once (multiband) or
a pause between frames, whose times a BIDS sidecar can list.
"""

from collections.abc import Callable

_Order = Callable[[int], list[int]]


def _interleaved(n_slices: int, *, first: int) -> list[int]:
    return [*range(first, n_slices, 2), *range(1 - first, n_slices, 2)]


def _from_the_top(order: _Order) -> _Order:
    return lambda n_slices: [n_slices - 1 - number for number in order(n_slices)]


_ORDERS: dict[str, _Order] = {
    "ascending": lambda n_slices: list(range(n_slices)),
    "interleaved-ascending": lambda n_slices: _interleaved(n_slices, first=0),
    "interleaved-ascending-second-first": lambda n_slices: _interleaved(n_slices, first=1),
}
_ORDERS |= {name.replace("ascending", "descending"): _from_the_top(order) for name, order in _ORDERS.items()}

ORDERS = tuple(_ORDERS)


def slice_times_s(order: str, *, n_slices: int, tr_s: float) -> tuple[float, ...]:
    """Return when each slice is taken, from the start of its frame.

    Parameters
    ----------
    order : str
        From ``ORDERS``. Ascending begins at the first slice of the file, descending at the last; interleaved
        takes every other one and then those between, ``second-first`` beginning with those between.
    n_slices : int
    tr_s : float

    Examples
    --------
    >>> slice_times_s("interleaved-ascending", n_slices=5, tr_s=2.0)
    (0.0, 1.2, 0.4, 1.6, 0.8)
    """
    times = [0.0] * n_slices
    for turn, number in enumerate(_ORDERS[order](n_slices)):
        times[number] = round(turn * tr_s / n_slices, 6)
    return tuple(times)
