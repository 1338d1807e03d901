"""What a look at a model and its data found: frozen records, and JSON both ways.

As `records`, this knows no Keras.
"""

import dataclasses
import textwrap
from typing import Any, Self

from kerastrain._checks import flag, invalid, one_of
from kerastrain._record_files import SavedRecord
from kerastrain._tables import html_table

GRADES = ("error", "warning")

_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a model or its data, or looks so.

    Attributes:
        grade: "error" where training can't work, "warning" where it probably does worse than it
            could.
        code: What it is, in a word or a few, joined by hyphens: "missing-values".
        argument: Where it is: "x", "y", "validation_data", "model", "batch_size".
        sentence: What was found, with its numbers, and what to do.

    Example:
        >>> print(Finding("warning", "sorted-labels", "y", "`y` is sorted: shuffle it."))
        warning: `y` is sorted: shuffle it.
    """

    grade: str
    code: str
    argument: str
    sentence: str

    def __post_init__(self) -> None:
        one_of("Finding", "grade", self.grade, GRADES)

    def __str__(self) -> str:
        return f"{self.grade}: {self.sentence}"


@dataclasses.dataclass(frozen=True)
class Report(SavedRecord):
    """What `check` found; prints as a list, errors first, and is true where there is no error.

    Attributes:
        findings: What was found, errors before warnings.
        seconds: What the look took.
        rows: The training rows that were looked at.
        validation_rows: The validation rows likewise; `None` where there were none.
        overfits: With `deep=True`, whether the model could learn one batch by heart; `None` where
            that wasn't tried or the batch leaves nothing to learn.
        loss_before: The loss of that batch before.
        loss_after: The loss of that batch after.

    Example:
        >>> Report([], seconds=0.1, rows=5_000)
        Nothing found in 5,000 training rows (0.10 s).
    """

    findings: list[Finding]
    seconds: float
    rows: int
    validation_rows: int | None = None
    overfits: bool | None = None
    loss_before: float | None = None
    loss_after: float | None = None

    def __post_init__(self) -> None:
        if self.overfits is not None:
            flag("Report", "overfits", self.overfits)
        if not all(isinstance(finding, Finding) for finding in self.findings):
            received = ", ".join(sorted({type(finding).__name__ for finding in self.findings}))
            raise invalid("Report", "findings", "be Findings", received, kind=TypeError)
        by_grade = sorted(self.findings, key=lambda finding: GRADES.index(finding.grade))
        object.__setattr__(self, "findings", by_grade)

    @property
    def errors(self) -> list[Finding]:
        """The findings with which training can't work."""
        return [finding for finding in self.findings if finding.grade == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """The other findings."""
        return [finding for finding in self.findings if finding.grade == "warning"]

    @property
    def ok(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return not self.errors

    def __bool__(self) -> bool:
        return self.ok

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        losses = {
            name: None if fields[name] is None else float(fields[name])
            for name in ("loss_before", "loss_after")
        }
        findings = [Finding(**finding) for finding in fields["findings"]]
        seconds = float(fields["seconds"])
        return cls(**{**fields, **losses, "findings": findings, "seconds": seconds})

    def __repr__(self) -> str:
        """The list, for a terminal."""
        return "\n".join([self._headline(), *map(_item, self.findings)])

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        headline = f"<p>{self._headline()}</p>"
        if not self.findings:
            return headline
        rows = [[finding.grade, finding.code, finding.sentence] for finding in self.findings]
        return headline + html_table([["grade", "what", "finding"], *rows])

    def _headline(self) -> str:
        counts = [
            counted(len(found), noun)
            for noun, found in (("error", self.errors), ("warning", self.warnings))
            if found
        ]
        looked_at = counted(self.rows, "training row")
        if self.validation_rows is not None:
            looked_at += f" and {counted(self.validation_rows, 'validation row')}"
        what = f"{' and '.join(counts) or 'Nothing'} found in {looked_at} ({self.seconds:.2f} s)."
        if self.overfits is None or self.loss_before is None or self.loss_after is None:
            return what
        verdict = "It learns" if self.overfits else "It doesn't learn"
        losses = f"{self.loss_before:.3g} to {self.loss_after:.3g}"
        return f"{what} {verdict} one batch by heart (loss {losses})."


def error(code: str, argument: str, sentence: str) -> Finding:
    """Returns a finding with which training can't work."""
    return Finding("error", code, argument, sentence)


def warning(code: str, argument: str, sentence: str) -> Finding:
    """Returns a finding with which training probably does worse than it could."""
    return Finding("warning", code, argument, sentence)


def counted(number: int, noun: str) -> str:
    """Returns a number of things.

    Example:
        >>> counted(1, "row"), counted(2000, "row")
        ('1 row', '2,000 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _item(finding: Finding) -> str:
    return textwrap.fill(
        f"{finding.grade + ':':<9}{finding.sentence}",
        _WIDTH,
        initial_indent="  ",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
