import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.evidence.claims import ClaimInvalidError, check_claim


def check(accuracy, sensitivity, specificity, *, n, positives):
    return check_claim(
        accuracy=accuracy, sensitivity=sensitivity, specificity=specificity, n=n, positives=positives
    )


def every_table(n, positives):
    tp, tn = np.meshgrid(np.arange(positives + 1), np.arange(n - positives + 1), indexing="ij")
    return tp, tn, 100 * (tp + tn) / n, 100 * tp / positives, 100 * tn / (n - positives)


def test_the_published_triple_of_the_seed_paper_is_impossible_and_the_sentences_say_why():
    found = check(76.56, 80.16, 90.22, n=430, positives=215)
    assert not found.possible
    text = " ".join(found.sentences)
    assert found.sentences[0].startswith(
        "Impossible. No confusion table of 430 subjects, 215 of them positive"
    )
    assert "76.56 lies below both 80.16 and 90.22" in text
    assert "the accuracy must be their mean, 85.19" in text
    assert "in balanced folds the accuracy is the mean of the two" in text
    assert "329/430 is 76.51 and 330/430 is 76.74" in text
    assert "245/320" in text
    assert "172/215 is 80.00 and 173/215 is 80.47" in text


def test_the_papers_other_triple_lies_between_its_two_and_is_impossible_all_the_same():
    found = check(71.25, 70.97, 89.13, n=430, positives=215)
    text = " ".join(found.sentences)
    assert not found.possible
    assert "lies below both" not in text
    assert "their mean, 80.05" in text
    assert "228/320" in text


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_real_table_is_possible_as_printed(data):
    n = data.draw(st.integers(2, 300))
    positives = data.draw(st.integers(1, n - 1))
    tp, tn = data.draw(st.integers(0, positives)), data.draw(st.integers(0, n - positives))
    digits = data.draw(st.integers(0, 3))
    figures = (100 * (tp + tn) / n, 100 * tp / positives, 100 * tn / (n - positives))
    found = check(*(f"{figure:.{digits}f} %" for figure in figures), n=n, positives=positives)
    assert found.possible
    assert (tp, tn) in {(table.tp, table.tn) for table in found.tables}


@settings(deadline=None, max_examples=100)
@example(n=53, share=0.25, figures=(0.0, 30.7, 2.5))  # the best tn lies beyond the end of the table
@given(
    n=st.integers(2, 60),
    share=st.floats(0.05, 0.95),
    figures=st.tuples(*[st.integers(0, 1000).map(lambda k: k / 10)] * 3),
)
def test_the_answer_is_that_of_trying_every_table(n, share, figures):
    positives = min(max(round(n * share), 1), n - 1)
    found = check(*(f"{figure:.1f} %" for figure in figures), n=n, positives=positives)
    tp, tn, *reached = every_table(n, positives)
    worst = np.max([np.abs(one - figure) for one, figure in zip(reached, figures, strict=True)], axis=0)
    fits = worst <= 0.05 + 1e-9
    assert found.possible == fits.any()
    if found.possible:
        expected = set(zip(tp[fits].tolist(), tn[fits].tolist(), strict=True))
        assert {(table.tp, table.tn) for table in found.tables} == expected
    else:
        nearest = found.tables[0]
        assert worst[nearest.tp, nearest.tn] == pytest.approx(worst.min())


def test_a_possible_claim_shows_its_table():
    found = check("85.12", "80.00", "90.23", n=430, positives=215)
    assert found.possible
    (table,) = found.tables
    assert (table.tp, table.fn, table.fp, table.tn) == (172, 43, 21, 194)
    assert "Possible. One confusion table" in found.sentences[0]
    assert "tp 172, fn 43, fp 21, tn 194" in found.sentences[0]


def test_figures_are_known_to_as_many_digits_as_are_printed():
    # 2 of 3 is 66.67: 67 will do, 67.0 will not.
    assert check("67", "67", "67", n=6, positives=3).possible
    assert not check("67.0", "67.0", "67.0", n=6, positives=3).possible
    assert check("66.67 %", "66.67", "66.67", n=6, positives=3).possible


def test_a_half_may_have_been_rounded_either_way():
    # 1 of 8 is 12.5.
    assert check("12", "12", "12", n=16, positives=8).possible
    assert check("13", "13", "13", n=16, positives=8).possible


@pytest.mark.parametrize("figures", [("0.7656", "0.8016", "0.9022"), ("1", "1.0", "0.5"), (0.8, 0.8, 0.8)])
def test_shares_of_one_are_not_taken_for_percentages(figures):
    with pytest.raises(ClaimInvalidError, match="expected percentages") as caught:
        check(*figures, n=430, positives=215)
    assert str(figures[0]) in caught.value.found
    if figures[0] == "0.7656":
        assert "(76.56, 80.16, 90.22?)" in caught.value.expected


def test_small_percentages_are_read_as_such():
    assert check("50", "0.5", "99.5", n=400, positives=200).possible
    assert check("0.50 %", "1.00 %", "0 %", n=200, positives=100).possible


@pytest.mark.parametrize(
    ("figures", "n", "positives", "what"),
    [
        ((101, 80, 90), 430, 215, "accuracy"),
        ((76, -1, 90), 430, 215, "sensitivity"),
        ((76, 80, float("nan")), 430, 215, "specificity"),
        ((76, "many", 90), 430, 215, "sensitivity"),
        ((76, 80, float("inf")), 430, 215, "specificity"),
        ((76, 80, 90), 430, 430, "positives"),
        ((76, 80, 90), 430, 0, "positives"),
        ((76, 80, 90), 0, 0, "positives"),
        ((76, 80, 90), 10**9, 5, "n"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(figures, n, positives, what):
    with pytest.raises(ClaimInvalidError, match=f"^{what}: expected") as caught:
        check(*figures, n=n, positives=positives)
    assert caught.value.what == what
