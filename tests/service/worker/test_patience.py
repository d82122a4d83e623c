"""What takes long is entered in a thread, and left behind when nobody wants it any more."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.worker.patience import entered


class UnwantedError(Exception):
    pass


class Slow:
    """A context that takes a while to enter, and tells what became of it."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.may_enter = threading.Event()
        self.told: list[str] = []
        self._error = error

    @contextmanager
    def open(self) -> Iterator[str]:
        self.may_enter.wait(10)
        if self._error is not None:
            raise self._error
        self.told.append("entered")
        try:
            yield "value"
        except ValueError as error:
            self.told.append(f"saw {error}")
            raise
        finally:
            self.told.append("left")


def nothing() -> None:
    """The job may go on."""


def test_it_is_entered_and_left_once() -> None:
    slow = Slow()
    slow.may_enter.set()
    with entered(slow.open(), check=nothing) as value:
        assert (value, slow.told) == ("value", ["entered"])
    assert slow.told == ["entered", "left"]


def test_an_error_of_the_body_passes_through_it() -> None:
    slow = Slow()
    slow.may_enter.set()
    with pytest.raises(ValueError, match="in the body"), entered(slow.open(), check=nothing):
        raise ValueError("in the body")
    assert slow.told == ["entered", "saw in the body", "left"]


def test_an_error_of_entering_is_the_callers() -> None:
    slow = Slow(error=TimeoutError("the store's"))
    slow.may_enter.set()
    with pytest.raises(TimeoutError, match="the store's"), entered(slow.open(), check=nothing):
        pytest.fail("it was not entered")


def test_what_nobody_wants_any_more_is_left_when_it_comes() -> None:
    slow = Slow()

    def check() -> None:
        raise UnwantedError

    began = time.monotonic()
    with pytest.raises(UnwantedError), entered(slow.open(), check=check):
        pytest.fail("it was not entered")
    assert time.monotonic() - began < 2
    assert slow.told == []
    slow.may_enter.set()
    deadline = time.monotonic() + 5
    while slow.told != ["entered", "left"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
