"""The request's id: which ones are taken over, and what carries them."""

import pytest

from service.correlation import correlated, current_request_id, origin, request_id_for


@pytest.mark.parametrize(
    "sent", ["0f8fad5b-d9cd-469f-a165-70867728950e", "4BF92F3577B34DA6A3CE929D0E0E4736", "00000000-0000-0000"]
)
def test_an_id_as_proxies_make_them_is_kept(sent: str) -> None:
    assert request_id_for(sent) == sent


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "short-1",
        "a" * 65,
        "deadbeef-deadbeef",
        "Mueller-Anna-1987-03-11",
        "0123456789abcdef\nforged",
    ],
)
def test_what_is_no_such_id_is_replaced(sent: str | None) -> None:
    made = request_id_for(sent)
    assert made != sent
    assert request_id_for(made) == made
    assert request_id_for(sent) != made


def test_the_id_holds_inside_and_not_outside() -> None:
    with correlated("0123456789abcdef"):
        assert origin() == {"request_id": "0123456789abcdef", "traceparent": None}
        with correlated(None):
            assert current_request_id() == "0123456789abcdef"
    assert origin() == {"request_id": None, "traceparent": None}
