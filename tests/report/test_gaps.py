"""Where the base trails the teacher: ranked, bounded, and silent where too few problems speak."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from potstill.analysis.terminal import gap_table
from potstill.evaluation import Answered, evaluate
from potstill.evaluation.statistics import newcombe_paired
from potstill.records import Outcome, Role, Split
from potstill.report.gaps import Gaps, Tells, gap_sentences, gaps, gaps_everywhere
from potstill.report.numbers import Numbers, written
from potstill.report.views import Place
from support.report_sample import CONDITIONS, HERE, THERE, answers

PLACE = Place("pocket", "heldout")


def numbers_of(rows: list[Answered]) -> Numbers:
    return {"comparisons": written(evaluate(rows, CONDITIONS).comparisons)}


def found_in(groups: dict[str, tuple[int, int, int, int]], error: str = "") -> Gaps:
    """The gaps where each group has so many right by both, teacher alone, base alone, neither."""
    rows: list[Answered] = []
    for group, counts in groups.items():
        for kind, n in enumerate(counts):
            for i in range(n):
                for role, right in ((Role.BASE, kind in (0, 2)), (Role.TEACHER, kind in (0, 1))):
                    rows.append(
                        Answered(
                            solver=role.value,
                            role=role,
                            level="",
                            seed=0,
                            set="pocket",
                            split=Split.HELDOUT,
                            problem_id=f"{group}{kind}-{i}",
                            groups={"of": group, "all alike": "yes"},
                            condition_id=(THERE if role is Role.TEACHER else HERE).condition_id,
                            outcome=Outcome.CORRECT if right else Outcome.WRONG,
                            words=1,
                            tokens=1,
                        )
                    )
    if error:
        at = next(i for i, x in enumerate(rows) if x.problem_id.startswith(error))
        rows[at] = dataclasses.replace(rows[at], outcome=Outcome.ERRORED)
    found = gaps(numbers_of(rows), PLACE)
    assert found is not None
    return found


def test_the_groups_of_one_grouping_add_up_to_the_whole() -> None:
    found = gaps(numbers_of(answers()), PLACE)
    assert found is not None
    assert found.whole.n == 330
    for grouping in ("family", "steps"):
        rows = [row for row in found.groups if row.group.startswith(f"{grouping}=")]
        assert sum(row.n for row in rows) == 330
        assert sum(row.share for row in rows) == pytest.approx(1)
        assert sum(row.gain for row in rows) == pytest.approx(found.whole.gap)
        assert sum(row.at_most for row in rows) == pytest.approx(found.whole.at_most)
    gains = [row.gain for row in found.groups]
    assert gains == sorted(gains, reverse=True)
    for row in found.groups:
        assert row.gap == pytest.approx(row.teacher - row.base)
        assert row.low <= row.gap <= row.high
        assert row.at_most >= row.gain - 1e-12


def test_a_gap_is_weighed_by_its_share_and_has_the_paired_interval() -> None:
    found = found_in({"wide": (2, 16, 1, 1), "broad": (70, 60, 6, 24)})
    assert [row.group for row in found.groups] == ["of=broad", "of=wide"]
    broad, wide = found.groups
    assert (wide.n, wide.share, wide.gap) == (20, pytest.approx(1 / 9), pytest.approx(15 / 20))
    assert broad.gain == pytest.approx(54 / 180)
    assert broad.at_most == pytest.approx(60 / 180)
    paired = newcombe_paired(2, 16, 1, 1)
    assert (wide.low, wide.high) == (pytest.approx(paired.low), pytest.approx(paired.high))
    assert found.differs == ("system", "sampling.max_tokens", "precision")


def test_a_group_that_holds_every_problem_says_nothing_of_its_own() -> None:
    found = found_in({"a": (5, 20, 0, 5), "b": (5, 20, 0, 5)})
    assert {row.group for row in found.groups} == {"of=a", "of=b"}


def test_what_a_group_can_tell() -> None:
    found = found_in(
        {
            "clear": (10, 80, 2, 8),
            "level": (180, 8, 6, 6),
            "behind": (10, 0, 15, 9),
            "few": (0, 3, 0, 0),  # all three to the teacher, and still p = 0.25
        }
    )
    tells = {row.group.removeprefix("of="): row.tells for row in found.groups}
    assert tells == {
        "clear": Tells.GAP,
        "level": Tells.NO_GAP,
        "behind": Tells.AHEAD,
        "few": Tells.TOO_FEW,
    }
    few = next(row for row in found.groups if row.group == "of=few")
    assert few.low > 0
    assert few.detectable is None
    said = " ".join(gap_sentences(found))
    assert "Too few problems to tell: few (of, 3)." in said
    assert f"needs about {found.enough} problems" in said
    assert "The base stands above the teacher in behind (of, 34)." in said
    assert "most is to be gained in clear (of)" in said


def test_an_error_leaves_its_group_unclaimed() -> None:
    found = found_in({"a": (10, 40, 0, 10), "b": (10, 40, 0, 10)}, error="b")
    assert {row.group: row.tells for row in found.groups} == {
        "of=a": Tells.GAP,
        "of=b": Tells.BLOCKED,
    }
    assert gap_sentences(found) == [
        "No gap is claimed, for some responses ended in an error. Ask them again."
    ]


def test_no_gap_is_not_called_one() -> None:
    none = found_in({"a": (40, 3, 3, 4), "b": (30, 2, 2, 16)})
    assert "cannot be told from zero; no difference is seen" in gap_sentences(none)[0]
    small = found_in({"a": (40, 4, 3, 4), "b": (30, 3, 2, 16)})
    assert f"cannot be told from zero; {small.whole.needed:,} problems" in gap_sentences(small)[0]
    ahead = found_in({"a": (5, 2, 40, 3), "b": (30, 2, 2, 16)})
    assert "nothing to distil" in gap_sentences(ahead)[0]


def test_heldout_sets_come_first_and_lone_solvers_have_no_gap() -> None:
    rows = [*answers(n=60, split=Split.TRAIN), *answers(n=90)]
    assert [x.place.split for x in gaps_everywhere(numbers_of(rows))] == ["heldout", "train"]
    alone = [row for row in answers(n=30) if row.role is not Role.TEACHER]
    assert gaps(numbers_of(alone), PLACE) is None


def test_a_table_keeps_to_80_columns_and_names_are_text() -> None:
    long = "[red]a group with \x1b[31m a name of many words and more than many"
    many = {f"g{i}": (1, 2, 0, 1) for i in range(90)}
    found = found_in({long: (5, 20, 0, 5), "b": (0, 1, 1, 5)} | many)
    console = Console(file=io.StringIO(), width=80)
    console.print(gap_table(found))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "[red]a" in text
    assert "… 32 more" in text
