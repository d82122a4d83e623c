"""Whether a reported accuracy, sensitivity and specificity can come from one table of so many people.

People come whole and percentages are rounded to few digits, so the question has an exact answer. All
arithmetic is in fractions.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar

from imaging.words import counted
from training.errors import CohortError

MAX_SUBJECTS = 100_000
MAX_LISTED = 12
_N_NEAREST = 3


class ClaimInvalidError(CohortError):
    """Numbers that are not a percentage, or not a count of people."""

    code: ClassVar[str] = "claim_invalid"

    def __init__(self, *, what: str, expected: str, found: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        super().__init__(f"{what}: expected {expected}, found {found}")


@dataclass(frozen=True)
class ClaimedTable:
    """A confusion table with its figures in percent.

    Attributes
    ----------
    tp, fn, fp, tn : int
    accuracy, sensitivity, specificity : float
    """

    tp: int
    fn: int
    fp: int
    tn: int
    accuracy: float
    sensitivity: float
    specificity: float

    @classmethod
    def of(cls, *, tp: int, tn: int, positives: int, negatives: int) -> "ClaimedTable":
        """Work out the figures of a table."""
        return cls(
            tp=tp,
            fn=positives - tp,
            fp=negatives - tn,
            tn=tn,
            accuracy=100 * (tp + tn) / (positives + negatives),
            sensitivity=100 * tp / positives,
            specificity=100 * tn / negatives,
        )

    def __str__(self) -> str:
        figures = f"{self.accuracy:.2f} / {self.sensitivity:.2f} / {self.specificity:.2f} %"
        return f"tp {self.tp}, fn {self.fn}, fp {self.fp}, tn {self.tn}: {figures}"


@dataclass(frozen=True)
class ClaimCheck:
    """Whether a claim is possible, and why.

    Attributes
    ----------
    possible : bool
        Whether some confusion table rounds to all three figures.
    sentences : tuple of str
        The answer first, then the reasons.
    tables : tuple of ClaimedTable
        Tables that round to the claim; where there is none, the nearest ones (the largest of the three
        deviations counts).
    """

    possible: bool
    sentences: tuple[str, ...]
    tables: tuple[ClaimedTable, ...]


def check_claim(
    *,
    accuracy: float | str,
    sensitivity: float | str,
    specificity: float | str,
    n: int,
    positives: int,
) -> ClaimCheck:
    """Say whether three reported figures can come from one confusion table.

    Parameters
    ----------
    accuracy, sensitivity, specificity : float or str
        Percent, as printed: "90.0" is known to one digit after the point, "90.00" to two. A float is taken to
        as many digits as it needs. A figure may be off by half a unit of its last digit, the half included.
    n, positives : int
        Subjects, and those of them that have the condition; at least one of each class.

    Returns
    -------
    ClaimCheck

    Raises
    ------
    ClaimInvalidError
        If a figure is not a percentage, all are shares of one, or a count is not possible.
    """
    _require_percentages(accuracy, sensitivity, specificity)
    if n > MAX_SUBJECTS:
        raise ClaimInvalidError(what="n", expected=f"at most {MAX_SUBJECTS}", found=str(n))
    if not 1 <= positives < n:
        raise ClaimInvalidError(
            what="positives", expected="from 1 to one less than n", found=f"{positives} with n = {n}"
        )
    negatives = n - positives
    claim = _Claim(
        accuracy=_Figure.read("accuracy", accuracy),
        sensitivity=_Figure.read("sensitivity", sensitivity),
        specificity=_Figure.read("specificity", specificity),
        positives=positives,
        negatives=negatives,
    )
    fitting = claim.tables()
    if fitting:
        return ClaimCheck(possible=True, sentences=_why_possible(claim, fitting), tables=tuple(fitting))
    nearest = claim.nearest()
    return ClaimCheck(possible=False, sentences=_why_impossible(claim, nearest), tables=tuple(nearest))


def _require_percentages(*printed: float | str) -> None:
    """Refuse shares of one: taken for percentages they would be judged as figures a hundred times smaller."""
    texts = [str(figure).strip() for figure in printed]
    try:
        shares = [Decimal(text) for text in texts]
        of_one = all(0 <= share <= 1 for share in shares)
    except InvalidOperation:
        return  # something else is wrong, or a sign says that it is a percentage
    if of_one and any(shares):
        raise ClaimInvalidError(
            what="accuracy, sensitivity and specificity",
            expected=f"percentages ({', '.join(_as_percent(share) for share in shares)}?), "
            "with a sign where all are as small as 1 %",
            found=f"shares of one ({', '.join(texts)})",
        )


def _as_percent(share: Decimal) -> str:
    return f"{share.scaleb(2):f}"


@dataclass(frozen=True)
class _Figure:
    """A percentage as printed, and half a unit of its last digit."""

    name: str
    text: str
    percent: Fraction
    slack: Fraction

    @classmethod
    def read(cls, name: str, printed: float | str) -> "_Figure":
        text = str(printed).strip().removesuffix("%").strip()
        try:
            number = Decimal(text)
            exponent = number.as_tuple().exponent
            percent = Fraction(number)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise ClaimInvalidError(what=name, expected="a percentage", found=repr(printed)) from error
        if not isinstance(exponent, int) or not 0 <= percent <= 100:
            raise ClaimInvalidError(what=name, expected="from 0 to 100 percent", found=text)
        return cls(name=name, text=text, percent=percent, slack=Fraction(10) ** min(exponent, 0) / 2)

    def counts(self, n: int) -> range:
        """Give the numbers of people out of n that round to it."""
        first = ceil((self.percent - self.slack) * n / 100)
        last = floor((self.percent + self.slack) * n / 100)
        return range(max(first, 0), min(last, n) + 1)

    def fractions(self, up_to: int) -> list[str]:
        """Give "k/n" for every n up to this one that has a k which rounds to it."""
        return [f"{k}/{n}" for n in range(1, up_to + 1) for k in self.counts(n)[:1]]


@dataclass(frozen=True)
class _Claim:
    """Three figures and the people they are said to be about."""

    accuracy: _Figure
    sensitivity: _Figure
    specificity: _Figure
    positives: int
    negatives: int

    @property
    def n(self) -> int:
        return self.positives + self.negatives

    def tables(self) -> list[ClaimedTable]:
        """Give every table that rounds to all three."""
        right = self.accuracy.counts(self.n)
        return [
            self._table(tp, tn)
            for tp in self.sensitivity.counts(self.positives)
            for tn in self.specificity.counts(self.negatives)
            if tp + tn in right
        ]

    def nearest(self) -> list[ClaimedTable]:
        """Give the tables with the smallest largest deviation, the nearest first.

        For a given tp the deviation is convex in tn, and least at the centre of one of its two arms or
        where they cross: no other tn need be tried than the whole numbers beside those four, or the end of
        the range where they lie beyond it.
        """
        a, b = Fraction(100, self.negatives), Fraction(100, self.n)
        tried = {}
        for tp in range(self.positives + 1):
            centre, middle = self.specificity.percent, self.accuracy.percent - b * tp
            for tn in (centre / a, middle / b, (centre - middle) / (a - b), (centre + middle) / (a + b)):
                for whole in {floor(tn), ceil(tn)}:
                    within = min(max(whole, 0), self.negatives)
                    tried[tp, within] = self._deviation(tp, within)
        best = sorted(tried, key=lambda table: (tried[table], table))[:_N_NEAREST]
        return [self._table(tp, tn) for tp, tn in best]

    def implied_accuracy(self) -> Fraction:
        """Give the accuracy that sensitivity and specificity amount to in these people, percent."""
        right = self.positives * self.sensitivity.percent + self.negatives * self.specificity.percent
        return right / self.n

    def _deviation(self, tp: int, tn: int) -> Fraction:
        return max(
            abs(Fraction(100 * tp, self.positives) - self.sensitivity.percent),
            abs(Fraction(100 * tn, self.negatives) - self.specificity.percent),
            abs(Fraction(100 * (tp + tn), self.n) - self.accuracy.percent),
        )

    def _table(self, tp: int, tn: int) -> ClaimedTable:
        return ClaimedTable.of(tp=tp, tn=tn, positives=self.positives, negatives=self.negatives)


def _why_possible(claim: _Claim, tables: list[ClaimedTable]) -> tuple[str, ...]:
    one = "One confusion table" if len(tables) == 1 else f"{len(tables)} confusion tables"
    verb = "rounds" if len(tables) == 1 else "round"
    listed = "; ".join(str(table) for table in tables[:_N_NEAREST])
    return (f"Possible. {one} of {_people(claim)} {verb} to {_triple(claim)}: {listed}.",)


def _why_impossible(claim: _Claim, nearest: list[ClaimedTable]) -> tuple[str, ...]:
    return (
        f"Impossible. No confusion table of {_people(claim)} rounds to {_triple(claim)}.",
        *_against_the_mean(claim),
        *_no_whole_people(claim.accuracy, claim.n, "subject"),
        *_no_whole_people(claim.sensitivity, claim.positives, "positive"),
        *_no_whole_people(claim.specificity, claim.negatives, "negative"),
        f"The nearest tables (accuracy / sensitivity / specificity) are: {'; '.join(map(str, nearest))}.",
    )


def _against_the_mean(claim: _Claim) -> tuple[str, ...]:
    low, high = sorted((claim.sensitivity, claim.specificity), key=lambda figure: figure.percent)
    accuracy = claim.accuracy
    sentences = []
    below = accuracy.percent + accuracy.slack < low.percent - low.slack
    above = accuracy.percent - accuracy.slack > high.percent + high.slack
    if below or above:
        sentences.append(
            "Accuracy is the mean of sensitivity and specificity, weighted by the sizes of the classes, so "
            f"it lies between them whatever these are; {accuracy.text} lies {'below' if below else 'above'} "
            f"both {low.text} and {high.text}."
        )
    implied = claim.implied_accuracy()
    doubt = max(low.slack, high.slack)  # a weighted mean is no less certain than the worse of the two
    if abs(implied - accuracy.percent) > doubt + accuracy.slack:
        equal = claim.positives == claim.negatives
        sentences.append(
            f"With {counted(claim.positives, 'positive')} and {counted(claim.negatives, 'negative')} "
            f"the accuracy must be {'their mean, ' if equal else ''}{float(implied):.2f}."
        )
        sentences.append(
            "Averages over folds obey the same rule when the folds have the classes in equal shares"
            f"{', and in balanced folds the accuracy is the mean of the two' if equal else ''}."
        )
    return tuple(sentences)


def _no_whole_people(figure: _Figure, n: int, person: str) -> tuple[str, ...]:
    if figure.counts(n):
        return ()
    below = floor(figure.percent * n / 100)
    around = " and ".join(f"{k}/{n} is {100 * k / n:.2f}" for k in (below, below + 1) if k <= n)
    sentence = f"No number of {counted(n, person)} rounds to {figure.name} {figure.text} %: {around}."
    fractions = figure.fractions(n)
    if not fractions:
        return (f"{sentence} Neither does any smaller number.",)
    more = f" and {len(fractions) - MAX_LISTED} more" if len(fractions) > MAX_LISTED else ""
    return (f"{sentence} These would: {', '.join(fractions[:MAX_LISTED])}{more}.",)


def _people(claim: _Claim) -> str:
    return f"{claim.n} subjects, {claim.positives} of them positive,"


def _triple(claim: _Claim) -> str:
    figures = (claim.accuracy, claim.sensitivity, claim.specificity)
    return ", ".join(f"{figure.name} {figure.text} %" for figure in figures)
