"""``potstill inspect``: a study's problems, each with its reasoning at every level."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from potstill.analysis.filters import ProblemFilter
from potstill.errors import InputError
from potstill.lessons.listing import GateRow, gate_totals
from potstill.lessons.teachers import own_draw, reply_name, whose
from potstill.lessons.traces import RankedTrace, likeliest
from potstill.pipeline.directory import StudyDirectory
from potstill.plugins import closest, nearest
from potstill.records import Cause, Lesson, Level, Opinion, Problem, Response, Verdict
from potstill.report.phrases import shown
from potstill.report.views import CAUSE_WORDS
from potstill.text import literal, print_columns, several

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_TAIL = 5
"""Traces shown of each end of their likelihoods."""

__all__ = ["check_level", "print_gates", "print_problem", "print_problems"]


def check_level(found: StudyDirectory, level: str) -> None:
    """Check that a study has a level. Raises InputError naming those it has."""
    if level and level not in (levels := _levels(found)):
        raise InputError(f"the study has no level {level!r}{nearest(level, levels)}.")


def print_problems(found: StudyDirectory, wanted: ProblemFilter, console: Console) -> None:
    """Print a line for every wanted problem: split, key, outcome, words by level."""
    levels = _levels(found)
    rows = found.gates() if wanted.flag else []
    flagged = {
        row.problem_id
        for row in rows
        if row.gate == wanted.flag and wanted.level in ("", row.level)
    }
    teachers = found.study.teacher_names or ("teacher",)
    heads = ("problem", "split", "key", *teachers, *levels)
    listed: list[tuple[str, ...]] = []
    by_problem, outcomes = found.lessons_by_problem(), _teacher_outcomes(found)
    for problem in found.made.problems:
        own = by_problem.get(problem.id, {})
        split = found.made.splits[problem.id].value if found.made.splits else ""
        at_level = own.get(wanted.level)
        if wanted.split and split != wanted.split:
            continue
        if wanted.flag and problem.id not in flagged:
            continue
        if wanted.level and not wanted.flag and not (at_level and at_level.flags):
            continue
        words = [f"{own[x].words}{'!' if own[x].flags else ''}" if x in own else "" for x in levels]
        became = [outcomes.get((problem.id, place), "") for place in range(len(teachers))]
        listed.append((problem.id, split, problem.key_shown, *became, *words))
    print_columns(console, heads, listed, right=range(3 + len(teachers), len(heads)))
    console.print(
        f"{len(listed):,} of {several(len(found.made.problems), 'problem')}; "
        f"{len(found.made.excluded):,} more excluded. "
        "Numbers are words; ! marks a lesson that a gate keeps from training.",
        highlight=False,
    )
    _print_tails(found, console)
    _print_missing(found, console)


def _print_tails(found: StudyDirectory, console: Console) -> None:
    """Print which traces the base finds likeliest and least likely, where it was asked."""
    for name, tail in zip(
        ("likeliest", "least likely"), likeliest(found.made.traces, _TAIL), strict=True
    ):
        if tail:
            listed = ", ".join(
                f"{x.problem_id} {reply_name(x.sample, found.study.teacher_names)} "
                f"({x.mean_logprob:.2f})"
                for x in tail
            )
            console.print(
                literal(f"Traces that the base finds {name} (nats a token): {listed}."),
                highlight=False,
            )


def print_gates(found: StudyDirectory, wanted: ProblemFilter, console: Console) -> None:
    """Print how often each gate fired at each level, then what the wanted one saw."""
    from rich.text import Text

    rows = found.gates()
    totals = gate_totals(rows, found.made.taught.responses, found.made.lessons)
    table = _table(
        ("level", "gate", "excluded", "noted only", "of"), right=("excluded", "noted only", "of")
    )
    for total in totals:
        if wanted.level in ("", total.level) and wanted.flag in ("", total.gate):
            counts = (total.excluded, total.advised, total.texts)
            table.add_row(total.level, total.gate, *(f"{n:,}" if n else "" for n in counts))
    if table.rows:
        console.print(table)
    else:
        console.print("No such gate fired on any text." if totals else "No gate fired on any text.")
    if wanted.flag or wanted.level:
        for row in rows:
            if wanted.level in ("", row.level) and wanted.flag in ("", row.gate):
                seen = f": {row.detail}" if row.detail else ""
                console.print(Text(shown(f"{row.problem_id} {row.level} {row.gate}{seen}")))
    else:
        console.print("R0 is the teacher's reply. --flag NAME or --level R3 lists what was seen.")
    _print_missing(found, console)


def print_problem(found: StudyDirectory, problem_id: str, level: str, console: Console) -> None:
    """Print all that a study holds on one problem, or only one level of it.

    Raises InputError for an id that the study does not have, naming the nearest.
    """
    excluded = {item.id: item for item in found.made.excluded}
    problems = {p.id: p for p in found.made.problems}
    if problem_id in excluded:
        item = excluded[problem_id]
        _section(console, problem_id, [("excluded", f"{item.reason.value} {item.detail}".strip())])
        _body(console, item.text)
        return
    if problem_id not in problems:
        close = _meant(problem_id, [*problems, *excluded])
        lists = f"potstill inspect {found.path} lists them."
        meant = f"did you mean {close!r}?" if close else lists
        raise InputError(f"The study has no problem {problem_id!r}; {meant}")
    problem = problems[problem_id]
    gates = found.gates(problem_id)
    if not level:
        _print_head(found, problem, console)
        _print_replies(found, problem, console)
    lessons = [x for x in found.made.lessons if x.problem_id == problem_id]
    if level and level not in {lesson.level for lesson in lessons}:
        console.print(f"There is no lesson at {level} of {literal(problem_id)}.", highlight=False)
    teachers = found.study.teacher_names
    several = found.study.lessons.take != "first" or bool(teachers)
    for lesson in sorted(lessons, key=lambda x: (x.sample, x.level)):
        if level in ("", lesson.level):
            own = [
                row
                for row in gates
                if row.level == lesson.level and (row.sample == lesson.sample or not several)
            ]
            of = f" of {reply_name(lesson.sample, teachers)}" if several else ""
            _print_lesson(lesson, own, console, of)
    if not level:
        _print_answers(found, problem, console)
    _print_missing(found, console)


def _levels(found: StudyDirectory) -> list[str]:
    return list(dict.fromkeys([Level.R0.value, *map(str, found.study.levels)]))


def _meant(problem_id: str, known: Sequence[str]) -> str:
    """Return the id that was probably meant, "" where none is like it.

    It has the same numbers: another number is another problem. A part of one id alone is that one.
    """
    part = re.compile(rf"(?<!\d){re.escape(problem_id)}(?!\d)", re.IGNORECASE)
    holding = [name for name in known if part.search(name)]
    if len(holding) == 1:
        return holding[0]
    numbers = re.findall(r"\d+", problem_id)
    return closest(problem_id, [name for name in known if re.findall(r"\d+", name) == numbers])


def _print_head(found: StudyDirectory, problem: Problem, console: Console) -> None:
    split = found.made.splits.get(problem.id)
    near = [
        f"{pair.b_id if pair.a_id == problem.id else pair.a_id} ({pair.how}, {pair.score:.2f})"
        for pair in found.made.pairs
        if problem.id in (pair.a_id, pair.b_id)
    ]
    rows = [
        ("key", problem.key_shown),
        ("kind", str(problem.kind)),
        ("split", split.value if split else "not split yet"),
        *((name, value) for name, value in problem.groups.items()),
        *(("like", text) for text in near),
    ]
    _section(console, problem.id, rows)
    _body(console, problem.text)


def _print_replies(found: StudyDirectory, problem: Problem, console: Console) -> None:
    verdicts = {v.response_id: v for v in found.made.taught.verdicts}
    traces = {x.place: x for x in found.made.traces if x.problem_id == problem.id}
    for place, response in enumerate(found.made.taught.responses):
        if response.problem_id == problem.id:
            title = f"teacher's {reply_name(response.sample, found.study.teacher_names)}"
            verdict = verdicts.get(response.response_id)
            _print_reply(title, response, verdict, console, traces.get(place))


def _of_trace(trace: RankedTrace) -> Iterable[tuple[str, str]]:
    """Yield what became of a right trace among its teacher's of the problem."""
    if trace.copy_of >= 0:
        copied = own_draw(trace.copy_of) + 1
        yield "trace", f"left out: repeats reply {copied} ({trace.similarity:.2f})"
    else:
        yield "trace", f"rank {trace.rank}, {'taken' if trace.taken else 'not taken'}"
    if trace.tokens:
        yield "likely", f"{trace.mean_logprob:.3f} nats a token over {trace.tokens:,}, by the base"


def _print_reply(
    title: str,
    response: Response,
    verdict: Verdict | None,
    console: Console,
    trace: RankedTrace | None = None,
) -> None:
    _section(console, title, [*_of_reply(response, verdict), *(_of_trace(trace) if trace else ())])
    _body(console, response.reasoning)
    if response.text.strip() and response.reasoning.strip():
        console.print("[dim]answer:[/dim]")
    _body(console, response.text)


def _print_lesson(lesson: Lesson, gates: Sequence[GateRow], console: Console, of: str) -> None:
    flags = [
        ("excluded" if row.excludes else "noted", ": ".join(filter(None, (row.gate, row.detail))))
        for row in gates
    ]
    made = f"{lesson.made_by}{', second try' if lesson.attempt else ''}"
    rows = [
        ("words", f"{lesson.words:,} ({lesson.tokens:,} tokens)"),
        ("from", f"{lesson.parent or 'the reply itself'}, by {made}"),
        *flags,
    ]
    _section(console, f"{lesson.level}{of}", rows)
    if lesson.level != Level.R0:
        _body(console, lesson.text)


def _print_answers(found: StudyDirectory, problem: Problem, console: Console) -> None:
    for cell in found.made.answers:
        verdicts = {v.response_id: v for v in cell.verdicts}
        for response in cell.responses:
            if response.problem_id == problem.id:
                who = f"{cell.level} seed {cell.seed}" if cell.level else cell.role.value
                verdict = verdicts.get(response.response_id)
                _print_reply(f"{who} answers", response, verdict, console)


def _of_reply(response: Response, verdict: Verdict | None) -> Iterable[tuple[str, str]]:
    yield "ended", f"{response.finish.value} after {response.tokens_out:,} tokens"
    if response.error:
        yield "error", response.error
    if verdict is None:
        return
    yield "verdict", f"{verdict.outcome.value} (decided by {verdict.decided_by.value})"
    for name, value in (
        ("read", verdict.extracted),
        ("why", verdict.why),
        ("cause", "" if verdict.cause is Cause.NONE else CAUSE_WORDS[verdict.cause.value]),
        ("symbolic", _opinion(verdict.symbolic, verdict.symbolic_why)),
        ("judge", _opinion(verdict.judge, verdict.judge_why)),
    ):
        if value.strip():
            yield name, value


def _opinion(opinion: Opinion, why: str) -> str:
    return "" if opinion is Opinion.NOT_ASKED else f"{opinion.value.lower()} {why}"


def _section(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.text import Text

    console.print()
    console.print(Text(shown(title), style="bold"))
    for name, value in rows:
        line = Text(f"{name:>10}  ", style="dim")
        console.print(line.append(shown(" ".join(value.split())), style="not dim"))


def _body(console: Console, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if text.strip():
        lines = "\n".join(shown(line) for line in text.strip().splitlines())
        console.print(Padding(Text(lines), (0, 0, 0, 2)))


def _teacher_outcomes(found: StudyDirectory) -> dict[tuple[str, int], str]:
    """Return by problem and teacher what became of the teacher's first answer."""
    outcomes: dict[tuple[str, int], str] = {}
    for cell in (found.made.taught, *found.made.answers):
        if cell.name == "teacher":
            for response, verdict in zip(cell.responses, cell.verdicts, strict=False):
                outcomes.setdefault(whose(response), verdict.outcome.value.lower())
    return outcomes


def _print_missing(found: StudyDirectory, console: Console) -> None:
    if found.unfinished:
        console.print(f"So far: {literal(found.unfinished)}", style="yellow", highlight=False)


def _table(heads: Sequence[str], right: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in heads:
        wide = head in ("problem", "gate")
        table.add_column(
            head,
            justify="right" if head in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=None if wide else 14,
            min_width=10 if wide else None,
        )
    return table
