"""How many threads a model computes on, as it is asked."""

from typing import Any

import pytest
import torch

from model.predictor import Predictor


def threads_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the threads of every model that is loaded or classifies from now on."""
    noted: list[int] = []
    made, classify = Predictor.__init__, Predictor.classify_view

    def make(*given: Any, **more: Any) -> None:
        noted.append(torch.get_num_threads())
        made(*given, **more)

    def answer(*given: Any, **more: Any) -> Any:
        noted.append(torch.get_num_threads())
        return classify(*given, **more)

    monkeypatch.setattr(Predictor, "__init__", make)
    monkeypatch.setattr(Predictor, "classify_view", answer)
    return noted
