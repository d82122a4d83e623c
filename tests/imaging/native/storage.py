"""The same head as another scanner or converter would have stored it."""

from itertools import permutations, product

import numpy as np

Stored = tuple[np.ndarray, np.ndarray]
"""A volume (or frames, time last), and its affine."""


def mirrored(volume: np.ndarray, affine: np.ndarray, *axes: int) -> Stored:
    """Store some axes the other way round; the header says so."""
    flip = np.eye(4)
    for axis in axes:
        flip[axis, axis], flip[axis, 3] = -1, volume.shape[axis] - 1
    return np.ascontiguousarray(np.flip(volume, axes)), affine @ flip


def permuted(volume: np.ndarray, affine: np.ndarray, order: tuple[int, ...]) -> Stored:
    """Store the axes of space in another order."""
    turned = np.transpose(volume, (*order, *range(3, volume.ndim)))
    return np.ascontiguousarray(turned), np.column_stack([affine[:, order], affine[:, 3]])


def every_storage(volume: np.ndarray, affine: np.ndarray) -> dict[str, Stored]:
    """Return all 48 orders and directions of three axes, by what was done."""
    ways = {}
    for order, signs in product(permutations(range(3)), product((False, True), repeat=3)):
        axes = tuple(axis for axis in range(3) if signs[axis])
        name = "".join("xyz"[axis] + ("-" if signs[place] else "+") for place, axis in enumerate(order))
        ways[name] = mirrored(*permuted(volume, affine, order), *axes)
    return ways
