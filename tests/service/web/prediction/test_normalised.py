"""What the page says was done to a scan of the scanner's space."""

from service.web.prediction.normalised import done_to
from tests.service.api.serving import sample_summary


def test_the_answer_of_an_earlier_version_is_shown_without_what_it_lacks():
    later = {"input", "degrees_of_freedom", "registered_through"}
    summary = sample_summary()
    earlier = {name: value for name, value in summary.items() if name not in later}

    now, then = ([line.name for line in done_to({"normalisation": one})] for one in (summary, earlier))

    assert [name for name in now if name not in then] == [
        "Repetition time from",
        "Times of the slices",
        "Degrees of freedom",
        "Way to the template",
    ]
