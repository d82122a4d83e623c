"""What a card, or a result, says its model is. No words for people, no torch."""

from collections.abc import Mapping
from typing import Any

NETWORK = "network"
"""The method of RestNet's own networks; cards and results from before there were others do not name it."""


def method_of(said: Mapping[str, Any]) -> str:
    """Name the method of a card's, or a result's, model."""
    return str(said.get("method") or NETWORK)


def architecture_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Give ``method``, ``network`` and ``rnn``; the latter two are None where the method is another.

    A card has them whatever its method, as it has every setting of its training.
    """
    method = method_of(said)
    of_network = said if method == NETWORK else {}
    return {"method": method, "network": of_network.get("network"), "rnn": of_network.get("rnn")}


def is_explainable(said: Mapping[str, Any]) -> bool:
    """Say whether a map can show what drove an answer: it follows a residual network's gradient."""
    return method_of(said) == NETWORK
