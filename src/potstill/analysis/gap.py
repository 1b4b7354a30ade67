"""``potstill gap``: where the base trails the teacher, before a corpus is bought or after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill import evaluation
from potstill.analysis.terminal import gap_table
from potstill.chat import Ask, render_messages
from potstill.errors import InputError
from potstill.pipeline.asking import teacher_condition
from potstill.pipeline.assemble import answered, scored_groups
from potstill.pipeline.context import Unfinished
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.outputs import AnswerSet
from potstill.pipeline.rating import rate
from potstill.pipeline.run import Run, evaluate, open_run, read_stages
from potstill.planning.estimate import Estimate, PlannedCalls, estimate
from potstill.planning.plan import model_of, planned_draws, print_calls, splits_of
from potstill.problems.split import draw_some
from potstill.progress import TerminalProgress, quiet
from potstill.records import Finish, Problem, Role, Split, is_keyed
from potstill.report.gaps import Gaps, gap_sentences, gaps_everywhere
from potstill.report.numbers import written
from potstill.report.phrases import listed, shown
from potstill.study.schema import Study, default_directory, load_study
from potstill.text import several

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.progress import Progress

__all__ = [
    "Found",
    "Sample",
    "finished_gaps",
    "print_gaps",
    "print_price",
    "sample_gaps",
    "show_gap",
]

SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """How many problems are asked, and the seed they are drawn with.

    A larger sample of one seed holds the smaller one.
    """

    size: int = SAMPLE
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The gaps of a study, by set, and in words which problems they are of.

    ``asked`` counts the problems of each set; fewer are compared where one has no record of an
    answer, or the key cannot be read.
    """

    study: str
    of: str
    asked: Mapping[str, int]
    gaps: tuple[Gaps, ...]

    def plain(self) -> dict[str, Any]:
        """Return everything found, as JSON holds it."""
        sentences = [gap_sentences(x) for x in self.gaps]
        found: dict[str, Any] = written(self)
        for made, said in zip(found["gaps"], sentences, strict=True):
            made["sentences"] = said
        return {"format_version": 1, "kind": "exploratory"} | found


def show_gap(
    path: Path,
    out: Path | None,
    sample: tuple[int | None, int | None],
    console: Console,
    *,
    dry_run: bool = False,
    json_file: Path | None = None,
) -> None:
    """Print the gaps of a study directory, or of a sample of a study file's problems.

    ``sample`` is the size and the seed, None where left out. Raises InputError where one is given
    for a directory, and what the stages raise.
    """
    size, seed = sample
    if path.is_dir():
        if dry_run or out is not None or sample != (None, None):
            raise InputError(
                f"{path} is a study directory: all its held-out problems are read and nothing is "
                "asked; give the study file to ask a sample of."
            )
        found = finished_gaps(path)
    else:
        study = load_study(path)
        directory = out or default_directory(study)
        wanted = Sample(SAMPLE if size is None else size, seed or 0)
        if dry_run:
            if json_file is not None:
                raise InputError("--json holds the gaps, and --dry-run finds none; give one.")
            print_price(study, directory, wanted, console)
            return
        found = sample_gaps(study, directory, wanted, console, TerminalProgress(console))
    print_gaps(found, console)
    if json_file is not None:
        from potstill.report.numbers import write_json

        write_json(found.plain(), json_file)


def finished_gaps(directory: Path) -> Found:
    """Return the gaps over a study's held-out problems. Buys nothing, makes nothing.

    Raises StoreError for a folder that is no study directory, InputError where base and teacher
    have not answered yet.
    """
    found = StudyDirectory.open(directory)
    cells = [x for x in found.made.answers if _without_training(x)]
    heldout = found.made.in_split(Split.HELDOUT)
    asked = {(x.role, p.source) for x in cells for p in heldout if p.source == x.set}
    if len(asked) < 2 * len({p.source for p in heldout}) or not heldout:
        raise InputError(
            f"{directory} does not hold the held-out answers of base and teacher yet; finish "
            "it with potstill run, or give its study file to have a sample asked."
        )
    return _found(found.study, "held-out problems", heldout, cells)


def _without_training(answers: AnswerSet) -> bool:
    """Return whether these are held-out answers of the teacher, or of the base asked for no
    level.
    """
    asked = answers.role is Role.TEACHER or (answers.role is Role.BASE and not answers.level)
    return asked and answers.split is Split.HELDOUT


def sample_gaps(
    study: Study, directory: Path, sample: Sample, console: Console, progress: Progress = quiet
) -> Found:
    """Return the gaps over a sample of the problems to be taught, asked now where the ledger lacks
    them.

    The price is printed first, unless nothing is left to ask. The teacher's replies are those that
    the study will teach from: its run does not buy them again. Held-out problems are not touched.
    Raises what the stages raise.
    """
    with ExitStack() as stack:
        run = open_run(study, directory, progress, stack)
        made = read_stages(run, "split")
        drawn, of = _draw(made.problems, made.splits, sample)
        kept = _kept(run, drawn)
        if kept is None:
            print_calls(study, _price(run, drawn), console)
        else:
            console.print("Nothing is left to ask: every answer is kept.")
        asked, cells = kept or _asked(run, drawn)
        return _found(study, of, asked, cells)


def print_price(study: Study, directory: Path, sample: Sample, console: Console) -> None:
    """Print what asking the sample will take and cost. Sends and writes nothing."""
    from potstill.study.intake import problems_of_study

    problems = problems_of_study(study).problems
    drawn, of = _draw(problems, splits_of(study, problems), sample)
    console.print(f"{of}.", highlight=False)
    with ExitStack() as stack:
        run = None
        if (directory / "ledger.sqlite").exists():
            run = open_run(study, directory, quiet, stack, read_only=True)
        rows = _price(run, drawn) if run else estimate(study, _calls(study, drawn), drawn, None)
        print_calls(study, rows, console)
    console.print("\nNothing was sent.")


def _draw(
    problems: Sequence[Problem], sides: Mapping[str, Split], sample: Sample
) -> tuple[list[Problem], str]:
    """Return the sample in the problems' order, and what it is a sample of, in words."""
    taught = [p for p in problems if sides[p.id] in (Split.TRAIN, Split.VALID) and is_keyed(p)]
    drawn = [taught[i] for i in draw_some(taught, sample.size, sample.seed, "gap")]
    of = f"A sample of {len(drawn):,} of {several(len(taught), 'problem')} to be taught from"
    return drawn, f"{of} (seed {sample.seed})"


def _asked(run: Run, drawn: Sequence[Problem]) -> tuple[Sequence[Problem], list[AnswerSet]]:
    """Return the sample with its difficulty, where the study has it, and the answers of both
    solvers.
    """
    rated, _ = rate(run.context, run.agents, run.graders, run.models, drawn, drawn)
    return rated, evaluate(run, (), (), rated, Split.TRAIN)


def _kept(run: Run, drawn: Sequence[Problem]) -> tuple[Sequence[Problem], list[AnswerSet]] | None:
    """Return the sample's answers where an earlier run finished all of them without an error."""
    try:
        looking = replace(run.context, read_only=True, progress=quiet)
        asked, cells = _asked(replace(run, context=looking), drawn)
    except Unfinished:
        return None
    failed = any(r.finish is Finish.ERROR for cell in cells for r in cell.responses)
    return None if failed else (asked, cells)


def _found(study: Study, of: str, problems: Sequence[Problem], cells: Sequence[AnswerSet]) -> Found:
    conditions = {cell.condition.condition_id: cell.condition for cell in cells}
    rows = answered(cells, scored_groups(study, problems))
    compared = evaluation.evaluate(rows, conditions).comparisons
    asked = Counter(p.source for p in problems)
    return Found(study.name, of, asked, tuple(gaps_everywhere({"comparisons": written(compared)})))


def _price(run: Run, drawn: Sequence[Problem]) -> list[Estimate]:
    study = run.context.study
    condition = teacher_condition(study.teacher, drawn)
    key_of = getattr(run.agents.open(next(iter(study.teaching()))), "key_of", None)
    have = None
    if key_of is not None:
        asks = (
            Ask(p.id, render_messages(p, condition), condition.sampling, sample)
            for p in drawn
            for sample in range(_samples(study))
        )
        have = sum(run.context.ledger.get(key_of(ask)) is not None for ask in asks)
    return estimate(study, _calls(study, drawn, have), drawn, run.context.ledger)


def _calls(study: Study, drawn: Sequence[Problem], have: int | None = 0) -> list[PlannedCalls]:
    """Return the calls that a sample takes at most; ``have`` of the teacher's are in the ledger."""
    n, each = len(drawn), _samples(study)
    local = n * study.evaluation.samples
    names = {role: model_of(agent) for role, agent in study.agents().items()}
    role = next(iter(study.teaching()))
    calls = [PlannedCalls("teach", role, names[role], n * each, "the sample", have)]
    if study.rater:
        why = "each problem once, and again where the reply cannot be read"
        calls.insert(0, PlannedCalls("rate", "rater", names["rater"], n, why, 0))
    draws = planned_draws(study, n)
    calls = [*draws, *calls]
    if study.verifier and study.verify != "symbolic":
        why = "at most: the answers of teacher and base, local ones too"
        most = n * each + local + sum(x.calls for x in draws)
        calls.append(PlannedCalls("verify", "verifier", names["verifier"], most, why, 0))
    why = "on this machine: the base"
    return [*calls, PlannedCalls("answer", "", study.student.base, local, why)]


def _samples(study: Study) -> int:
    """Return how often the teacher is asked one problem: once, unless its failures rate the
    problems.
    """
    rated = study.difficulty is not None and study.difficulty.by == "failures"
    return study.teacher.samples if rated else 1


def print_gaps(found: Found, console: Console) -> None:
    """Print for every set what its gaps say, then the groups, greatest gain first."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text(shown(f"{found.study}: {found.of}. Exploratory."), style="bold"))
    if not found.gaps:
        console.print("Base and teacher have no problem in common: there is no gap to be told.")
    for gaps in found.gaps:
        console.print()
        console.print(Text(shown(gaps.place.set), style="bold"))
        console.print(gap_table(gaps))
        for sentence in gap_sentences(gaps):
            console.print(Padding(Text(shown(sentence)), (0, 0, 1, 0)))
        asked = found.asked[gaps.place.set]
        if gaps.whole.n < asked:
            console.print(
                f"Compared: {gaps.whole.n:,} of {several(asked, 'problem')} with a readable key, "
                "those that both answered.\n",
                highlight=False,
            )
        if gaps.differs:
            console.print(
                f"[dim]Base and teacher answer each under its own condition (they differ in "
                f"{listed(gaps.differs)}): this describes and does not test.[/]",
                highlight=False,
            )
    console.print(
        "[dim]gain: points over all problems where a student comes up to the teacher in the group; "
        "most: where it also keeps all that the base alone has right; shows: the least gap that "
        "so many problems show (80 % power). What is told from zero is corrected for the number of "
        "groups; each interval stands alone.[/]",
        highlight=False,
    )
