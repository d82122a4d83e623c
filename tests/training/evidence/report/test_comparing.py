from dataclasses import replace

import pytest

from training.evidence.report import comparing

TITLE = "C + Bi-LSTM"


def with_network(report, network, *, rnn="lstm", best=None, peak=None, **record):
    """The same report as if another network had made it."""
    settings = {**report.data.record.settings, "network": network, "rnn": rnn}
    outcomes = tuple(
        outcome.model_copy(
            update={
                "best_epoch": outcome.best_epoch if best is None else best + outcome.fold % 2,
                "peak_memory_bytes": outcome.peak_memory_bytes if peak is None else peak,
            }
        )
        for outcome in report.data.outcomes
    )
    data = replace(
        report.data,
        name=f"{network}-{rnn}",
        record=report.data.record.model_copy(update={"settings": settings, **record}),
        outcomes=outcomes,
    )
    return replace(report, data=data)


@pytest.fixture
def four(reported):
    """Makes one report a network, with the epochs whose weights were kept."""

    def make(**epochs):
        return {name: with_network(reported(n=200), name, best=best) for name, best in epochs.items()}

    return make


def test_faster_convergence_of_c_and_d_is_read_from_the_numbers(four):
    said = comparing.convergence_sentence(four(A=20, B=15, C=9, D=7))
    assert "A after epoch 20.4 (20 to 21)" in said
    assert "D after epoch 7.4 (7 to 8)" in said
    assert said.endswith("C and D converge faster than A and B here too, as the paper says.")


@pytest.mark.parametrize(
    ("epochs", "end"),
    [
        ({"A": 5, "B": 6, "C": 9, "D": 12}, "more slowly than A and B here, against what the paper says."),
        (
            {"A": 10, "B": 6, "C": 8, "D": 4},
            "do not both converge faster than A and B, as the paper says they do.",
        ),
        ({"B": 10, "C": 6, "D": 8}, "takes runs of all four."),
    ],
)
def test_other_orders_are_not_called_faster(four, epochs, end):
    said = comparing.convergence_sentence(four(**epochs))
    assert said.endswith(end)
    assert "faster than A and B here too" not in said


def test_networks_that_ran_out_of_epochs_say_little_of_convergence(four):
    said = comparing.convergence_sentence(four(A=100, B=15, C=9, D=7))
    assert "still improving at the last epoch allowed" in said
    assert "faster" not in said


def test_runs_that_watched_nobody_say_nothing_of_convergence(four):
    runs = {
        name: replace(
            report,
            data=replace(
                report.data,
                outcomes=tuple(one.model_copy(update={"n_stopping": 0}) for one in report.data.outcomes),
            ),
        )
        for name, report in four(A=8, C=8).items()
    }
    assert comparing.convergence_sentence(runs).startswith("Nobody was watched for an early stop")


def test_memory_is_compared_and_equal_peaks_are_called_equal(reported):
    runs = [with_network(reported(n=200), name, peak=peak) for name, peak in (("A", 4 * 2**30), ("D", 2**31))]
    drawn = comparing.memory_by_network(runs)[0]
    assert "A took the most, 2.0 times what D took" in drawn.sentences[1]
    assert "4,096" in drawn.svg
    assert "batch 32" in drawn.svg
    alike = [with_network(reported(n=200), name, peak=2**31) for name in ("A", "D")]
    assert "All of them took the same" in comparing.memory_by_network(alike)[0].sentences[1]


def test_the_peak_of_a_batch_in_parts_says_so(reported):
    report = with_network(reported(n=200), "A")
    settings = {**report.data.record.settings, "micro_batch": 8}
    record = report.data.record.model_copy(update={"settings": settings})
    drawn = comparing.memory_by_network([replace(report, data=replace(report.data, record=record))])[0]
    assert "batch 32, 8 at once" in drawn.svg


def test_baselines_are_shared_where_subjects_and_folds_are(reported):
    run = reported(n=200)
    without = reported(n=200, connectivity_auc=None)
    assert comparing.shared_baselines([without, with_network(run, "D")]) == run.baselines
    elsewhere = with_network(run, "D", cohort_fingerprint="f" * 64)
    assert comparing.shared_baselines([run, elsewhere]) == ()
    assert comparing.shared_baselines([run, reported(n=200, unfinished=(4,))]) == ()


def test_there_is_a_figure_a_recurrent_network_with_the_networks_by_letter(reported):
    runs = [
        with_network(reported(n=200), name, rnn=rnn)
        for name, rnn in (("D", "gru"), ("A", "gru"), ("C", "lstm"))
    ]
    lstm, gru = comparing.metrics_by_network(runs)
    assert (lstm.heading, gru.heading) == ("Networks with a Bi-LSTM", "Networks with a Bi-GRU")
    accuracy = f"{100 * runs[0].overall.accuracy.value:.0f} %"
    assert f"A: accuracy {accuracy}" in gru.svg
    assert gru.svg.index("A: accuracy") < gru.svg.index("D: accuracy")


def test_runs_of_one_network_are_told_apart_by_their_folders(reported):
    runs = [with_network(reported(n=200), "C"), reported(n=200)]
    assert list(comparing.named(runs, by=lambda report: report.title)) == [
        f"{TITLE} (C-lstm)",
        f"{TITLE} ({runs[1].data.name})",
    ]


def test_runs_on_one_ground_have_nothing_to_say(reported):
    assert comparing.differences_between([reported(n=200), with_network(reported(n=200), "D")]) == []


def test_leaving_sites_out_is_said_to_be_another_question(reported):
    leaving = reported(n=200, leave_site_out=True)
    (said,) = comparing.differences_between([reported(n=200), with_network(reported(n=200), "D"), leaving])
    assert said.startswith("1 of 3 runs leaves sites out.")
    assert "do not compare" in said
    assert "moves figures a little" not in said
    assert comparing.shared_baselines([reported(n=200), leaving]) == ()
    elsewhere = with_network(leaving, "D", cohort_fingerprint="f" * 64)
    cohorts, question = comparing.differences_between([reported(n=200), elsewhere])
    assert "different cohorts" in cohorts
    assert "leaves sites out" in question
    assert comparing.differences_between([leaving, with_network(leaving, "D")]) == []


def test_runs_of_other_cohorts_folds_or_protocols_are_said_to_be(reported):
    other = with_network(reported(n=200), "D", cohort_fingerprint="f" * 64, cohort_name="elsewhere")
    said = comparing.differences_between([reported(n=200), other])
    assert "2 different cohorts" in said[0]
    assert "elsewhere (200 people)" in said[0]
    paper = with_network(reported(n=200), "C")
    settings = {**paper.data.record.settings, "protocol": "paper"}
    paper = replace(
        paper,
        data=replace(
            paper.data,
            record=paper.data.record.model_copy(update={"settings": settings}),
            subjects=tuple(replace(s, fold=(s.fold + 1) % 5) for s in paper.data.subjects),
        ),
    )
    folds, protocols = comparing.differences_between([reported(n=200), paper])
    assert "different folds" in folds
    assert protocols == "They follow different protocols: nested and paper."
