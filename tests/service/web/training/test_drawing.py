from service.api.training_payloads import EpochResponse
from service.web.training.drawing import HEIGHT, WIDTH, loss_chart


def epoch(number: int, loss: float, watched: float | None = None) -> EpochResponse:
    return EpochResponse(
        epoch=number,
        training_loss=loss,
        stopping_loss=watched,
        stopping_auc=None,
        learning_rate=1e-4,
        seconds=1.0,
    )


def test_one_epoch_is_no_line() -> None:
    assert loss_chart([]) is None
    assert loss_chart([epoch(1, 0.7)]) is None


def test_the_largest_loss_is_at_the_top_and_epochs_go_from_left_to_right() -> None:
    chart = loss_chart([epoch(3, 0.5, 0.9), epoch(4, 0.1, 0.8), epoch(5, 0.3, 0.7)])
    assert chart is not None
    assert (chart.first, chart.last, chart.low, chart.high) == (3, 5, 0.1, 0.9)
    points = [tuple(map(float, point.split(","))) for point in chart.training.split()]
    watched = [tuple(map(float, point.split(","))) for point in chart.watched.split()]
    assert [x for x, _ in points] == [0.0, WIDTH / 2, WIDTH]
    assert watched[0][1] == min(y for _, y in points + watched)
    assert points[1][1] == max(y for _, y in points + watched) < HEIGHT
    assert points[0][1] == (points[1][1] + watched[0][1]) / 2


def test_a_loss_that_stays_and_nothing_that_is_watched_are_drawn_too() -> None:
    chart = loss_chart([epoch(1, 0.7), epoch(2, 0.7)])
    assert chart is not None
    assert chart.watched == ""
    assert len({point.split(",")[1] for point in chart.training.split()}) == 1
