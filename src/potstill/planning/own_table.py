r"""``potstill init NAME --from FILE``: a study of a person's own table, and the table it reads.

The table is written anew as ``problems.csv``, with its columns named, its keys mended and a
``\boxed{}`` at the end of every worked solution: what the study reads is there to be looked at.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from potstill.errors import InputError
from potstill.grading import GradingPool
from potstill.grading.boxes import boxed_values
from potstill.grading.maths.keys import alternatives
from potstill.lessons.gates import stops_short
from potstill.problems import Columns, Imported, SourceConfig, guess_source
from potstill.problems import table as tables
from potstill.problems.mending import decimal_points
from potstill.problems.split import given_split
from potstill.records import Outcome, Problem, Response, Split, Verdict
from potstill.study.intake import problems_of_file
from potstill.study.templates import filled, study_path, write_text
from potstill.text import several

__all__ = ["Started", "start_study", "with_box"]

_GSM8K_LINE = re.compile(r"\s*####[^\n]*\s*$")
_CALCULATION = re.compile(r"<<[^<>\n]{0,200}>>")
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Started:
    """A study that was written, and what to say of it, a line each."""

    path: Path
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Solutions:
    """Worked solutions by problem id, and the ids of those that got a box, contradict, or show
    nothing.

    ``excluded`` are those of the problems that were excluded, as they are.
    """

    texts: Mapping[str, str]
    excluded: Mapping[str, str] = field(default_factory=dict)
    boxed: Sequence[str] = ()
    contradicting: Sequence[str] = ()
    empty: Sequence[str] = ()


def start_study(name: str, parent: Path, file: Path, said: Columns) -> Started:
    """Write ``parent/NAME/study.yaml`` and ``problems.csv`` from a table; return what was done.

    Raises InputError for a name that is taken, a file that is no table, and one without a problem
    that can be used.
    """
    path = study_path(name, parent)
    target = path.parent / "problems.csv"
    if target.exists():
        raise InputError(f"{target} exists; choose another name, or move that file.")
    source = _table_source(file, said)
    imported = problems_of_file(source)
    if len(imported.problems) < _FEWEST:
        see = f"see {_problems_command(file, said)}" if imported.excluded else "add more rows"
        raise InputError(
            f"{file} has {several(len(imported.problems), 'problem')} that can be used, and a "
            f"study needs {_FEWEST} at least to train on some and hold out others; {see}."
        )
    solutions = _solutions(imported, source)
    grouped = [p.groups for p in imported.problems] + [x.groups for x in imported.excluded]
    groups = tuple(dict.fromkeys(g for of_one in grouped for g in of_one))
    values = {
        "NAME": name,
        "FILE": file.name,
        "COUNT": f"{len(imported.problems):,}",
        "GROUPS": "{" + ", ".join(f"{g}: {g}" for g in groups) + "}",
        "SPLIT": _split(imported.problems),
    }
    template = "solutions.yaml" if solutions.texts else "questions.yaml"
    write_text(target, _as_csv(imported, solutions, groups))
    write_text(path, filled(template, values))
    return Started(path, tuple(_lines(file, said, source, imported, solutions)))


def _problems_command(file: Path, said: Columns) -> str:
    """Return the command that lists what is excluded of a table, read as it was here."""
    given = [x for name, value in asdict(said).items() if value for x in (f"--{name}", value)]
    return shlex.join(["potstill", "problems", str(file), "--excluded", *given])


def _table_source(file: Path, said: Columns) -> SourceConfig:
    source = guess_source(file, said)
    if source.source == "math500":  # a table too, with its worked solutions
        source = guess_source(file, replace(said, text="problem"))
    if source.source != "table":
        raise InputError(
            f"{file} is no table ({source.why}); potstill init NAME, and write source: "
            f"{source.source} into the study."
        )
    return source


def _solutions(imported: Imported, source: SourceConfig) -> _Solutions:
    """Return the worked solutions of the problems, each ending in a box unless it contradicts."""
    if "solution" not in source.options:
        return _Solutions({})
    options = tables.Options.model_validate(dict(source.options), strict=False)
    found = {raw.id: raw.solution for raw in tables.read(options) if raw.solution.strip()}
    pairs = [(p, _plain(found[p.id])) for p in imported.problems if p.id in found]
    excluded = {item.id: _plain(found[item.id]) for item in imported.excluded if item.id in found}
    texts = {p.id: text for p, text in pairs}
    boxed, contradicting, empty = [], [], []
    for (problem, text), verdict in zip(pairs, _graded(pairs, options.decimal), strict=True):
        if boxes := [_letters(value) for value, _, _ in boxed_values(text)]:
            other = _letters(_key_of(problem)) not in boxes
            contradicting += [problem.id] if other and verdict.outcome is Outcome.WRONG else []
            continue
        if _shows_nothing(problem, text, verdict):
            empty.append(problem.id)
            continue
        whole = with_box(problem, text, verdict, options.decimal)
        if whole == text:
            contradicting.append(problem.id)
        else:
            texts[problem.id] = whole
            boxed.append(problem.id)
    return _Solutions(texts, excluded, boxed, contradicting, empty)


def _shows_nothing(problem: Problem, text: str, verdict: Verdict) -> bool:
    """Return whether a solution has neither its key nor any number, as "Left to the reader."."""
    says_key = _letters(_key_of(problem)) in _letters(text)
    return not (says_key or verdict.outcome is Outcome.CORRECT or re.search(r"\d", text))


def _plain(solution: str) -> str:
    """Return a worked solution without the calculator's marks of GSM8K (``<<48/2=24>>``)."""
    return _CALCULATION.sub("", solution).strip()


def _graded(pairs: Sequence[tuple[Problem, str]], decimal: str) -> Iterable[Verdict]:
    with GradingPool() as pool:
        responses = (
            Response.of_text(
                "worked-solutions", p.id, _pointed(text, decimal), condition_id="own-table"
            )
            for p, text in pairs
        )
        yield from pool.grade(zip((p for p, _ in pairs), responses, strict=True))


def _pointed(text: str, decimal: str) -> str:
    return decimal_points(text) if decimal == "comma" else text


def with_box(problem: Problem, text: str, verdict: Verdict, decimal: str = "point") -> str:
    r"""Return a worked solution with its key as its last line, in a ``\boxed{}``.

    One that breaks off, or that ends in another answer than its key, is returned as it is.
    """
    key = _key_of(problem)
    last = _pointed(text.splitlines()[-1], decimal) if text else ""
    says_key = _letters(key) in _letters(last)
    if verdict.outcome is Outcome.WRONG and not says_key:
        return text
    body = _GSM8K_LINE.sub("", text)
    return text if stops_short(body, answered=True) else f"{body}\n\\boxed{{{key}}}"


def _key_of(problem: Problem) -> str:
    """Return the key, the first of several, without the signs that put it into mathematics."""
    plain = alternatives(problem.gold_text)[0].strip().rstrip(".").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inside = plain[len(opening) : -len(closing)]
        if plain.startswith(opening) and plain.endswith(closing) and opening not in inside:
            plain = inside.strip()
    return " ".join(plain.split())


def _letters(text: str) -> str:
    return re.sub(r"[\s$\\{},]", "", text).casefold()


def _split(problems: Sequence[Problem]) -> str:
    """Return the split section: as a column of splits says, where there is one, else by share."""
    given = {given_split(p.groups.get("split", "")) for p in problems}
    if None not in given and {Split.TRAIN, Split.HELDOUT} <= given:
        return "{by: given, group: split}"
    return "{by: share, heldout_share: 0.3, valid_share: 0.1}"


def _unused_split(problems: Sequence[Problem]) -> str:
    """Return why a column of splits is not what the study divides by, "" where there is none."""
    told = {p.groups["split"] for p in problems if "split" in p.groups}
    given = {given_split(value) for value in told}
    if not given - {None} or _split(problems).startswith("{by: given"):
        return ""
    unknown = sorted(value for value in told if value and given_split(value) is None)
    empty = sum(not p.groups.get("split") for p in problems)
    why = "it names no problem to train on, or none to hold out"
    if unknown or empty:
        why = ", ".join([*map(repr, unknown[:5]), *([f"{empty:,} empty"] if empty else [])])
        why = f"it holds what names no split ({why})"
    return (
        f"The column split is not what the study divides by, for {why}: problems are held out by a "
        "draw. Mend the column (train, valid, test) and begin anew, to keep your own."
    )


def _as_csv(imported: Imported, solutions: _Solutions, groups: Sequence[str]) -> str:
    """Return the table that the study reads: the problems, then those excluded, as they came.

    Last, for of equal questions the first one's solution is the recorded answer.
    """
    worked = bool(solutions.texts)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("id", "problem", "answer", *(("solution",) if worked else ()), *groups))
    for p in imported.problems:
        solution = (solutions.texts.get(p.id, ""),) if worked else ()
        writer.writerow((p.id, p.text, p.gold_text, *solution, *(p.groups[g] for g in groups)))
    for left in imported.excluded:
        solution = (solutions.excluded.get(left.id, ""),) if worked else ()
        writer.writerow(
            (left.id, left.text, left.key, *solution, *(left.groups[g] for g in groups))
        )
    return out.getvalue()


def _lines(
    file: Path, said: Columns, source: SourceConfig, imported: Imported, solutions: _Solutions
) -> Iterable[str]:
    yield f"{source.why}."
    for note in imported.notes:
        yield f"{note}."
    total = len(imported.problems) + len(imported.excluded)
    reasons = Counter(item.reason.value for item in imported.excluded)
    listed = ", ".join(f"{n} {why}" for why, n in reasons.most_common())
    yield f"{len(imported.problems):,} of {several(total, 'problem')} kept" + (
        f"; excluded: {listed} ({_problems_command(file, said)})." if listed else "."
    )
    if unused := _unused_split(imported.problems):
        yield unused
    if not solutions.texts:
        yield "No worked solutions were found: the study names a teacher, who is asked over an API."
        return
    without = len(imported.problems) - len(solutions.texts)
    if without:
        have, they = ("has", "it") if without == 1 else ("have", "they")
        yield (
            f"{several(without, 'problem')} {have} no worked solution; {they} can be held out, not "
            "taught."
        )
    if solutions.boxed:
        its = "its" if len(solutions.texts) == 1 else "their"
        yield (
            f"{len(solutions.boxed):,} of {several(len(solutions.texts), 'worked solution')} had "
            f"no \\boxed{{}}: {its} key was added as the last line."
        )
    if solutions.empty:
        one = len(solutions.empty) == 1
        yield (
            f"{several(len(solutions.empty), 'worked solution')} "
            + ("states neither its" if one else "state neither their")
            + f" key nor any number ({', '.join(solutions.empty[:5])}): no key was added, and no "
            + f"student learns from {'it' if one else 'them'}."
        )
    if solutions.contradicting:
        one = len(solutions.contradicting) == 1
        yield (
            f"{several(len(solutions.contradicting), 'worked solution')} "
            + ("breaks off or ends" if one else "break off or end")
            + f" in another answer than {'its' if one else 'their'} key "
            + f"({', '.join(solutions.contradicting[:5])}): "
            + ("it is left as it is" if one else "they are left as they are")
            + f", and no student learns from {'it' if one else 'them'}."
        )
