"""Which column holds the diagnosis and what its values mean, so that conditions other than ADHD work too."""

from dataclasses import dataclass
from typing import ClassVar

from training.cohort.phenotypes.cells import plain_code
from training.errors import CohortError


class LabelRuleError(CohortError):
    """A rule that would make a subject both case and control, or never either."""

    code: ClassVar[str] = "label_rule_invalid"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


@dataclass(frozen=True)
class LabelRule:
    """Which column holds the diagnosis, and what in it means what.

    Attributes
    ----------
    column : str
    cases, controls : tuple of str
        The column's values for label 1 and label 0, at least one each, none in both; case does not count.
    condition : str
        What label 1 means, for people.
    """

    column: str = "DX"
    cases: tuple[str, ...] = ("1", "2", "3")
    controls: tuple[str, ...] = ("0",)
    condition: str = "ADHD"

    def __post_init__(self) -> None:
        both = {plain_code(value) for value in self.cases} & {plain_code(value) for value in self.controls}
        if not self.cases or not self.controls:
            missing = "controls" if self.cases else "cases"
            raise LabelRuleError(
                expected="at least one value for cases and one for controls", found=f"no {missing}"
            )
        if both:
            raise LabelRuleError(
                expected="values that mean either case or control", found=f"{', '.join(sorted(both))} in both"
            )

    def label(self, text: str) -> int | None:
        """Give 1 for a case, 0 for a control, None for anything else."""
        code = plain_code(text)
        if code in {plain_code(value) for value in self.cases}:
            return 1
        return 0 if code in {plain_code(value) for value in self.controls} else None


ADHD_RULE = LabelRule()
ABIDE_RULE = LabelRule(column="DX_GROUP", cases=("1",), controls=("2",), condition="autism")
