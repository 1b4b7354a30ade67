"""Looking before anything is sent: a study's settings, its problems, the calls it would make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.ledger.ledger import Ledger
from potstill.lessons.controls import is_one_trace
from potstill.pipeline.preflight import (
    base_out_of_reach,
    check_base_of,
    check_diagnosis,
    check_problems,
    check_study,
)
from potstill.pipeline.run import refuse_other_study
from potstill.planning.estimate import Estimate, PlannedCalls, estimate, thinks
from potstill.plugins import SOLVERS, SOURCES
from potstill.problems.split import drop_keyless, split
from potstill.records import ExclusionReason, Level, Problem, Split
from potstill.study.agents import costs_nothing, is_free, key_there
from potstill.study.checks import check_splits, refuse_shared
from potstill.study.schema import Study, load_options, load_study, read_study
from potstill.study.unused_settings import unused_settings
from potstill.text import literal, several
from potstill.training.limits import BEFORE_LESSONS
from potstill.training.recipe import PRESETS

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.problems import Imported

__all__ = [
    "PlannedCalls",
    "Setting",
    "flat",
    "model_of",
    "planned_calls",
    "planned_draws",
    "print_calls",
    "print_plan",
    "settings",
    "splits_of",
]


_THINKING = {True: "with its thinking", False: "without thinking", None: "it may think"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One resolved value of a study and where it came from: file, preset or default."""

    name: str
    value: str
    origin: str


def settings(study: Study, raw: Mapping[str, Any]) -> list[Setting]:
    """Return every value of a study with its origin, in the order of the schema."""
    resolved = study.model_dump(mode="json", exclude_none=True)
    found = dict(flat(raw))
    training = raw.get("training")
    preset = training.get("preset", "") if isinstance(training, Mapping) else ""
    rows = []
    for name, value in flat(_with_plugin_defaults(study, resolved)):
        field = name.removeprefix("training.")
        if name in found or any(name.startswith(f"{key}[") for key in found):
            origin = "file"
        elif name != field and field in PRESETS.get(preset, {}):
            origin = f"preset {preset}"
        else:
            origin = "default"
        rows.append(Setting(name, str(value), origin))
    return rows


def splits_of(study: Study, problems: Sequence[Problem]) -> Mapping[str, Split]:
    """Return the split of every problem by its id, as a run would divide them."""
    from potstill.problems.overlap.find import find_pairs

    return split(problems, study.split, find_pairs(problems), study.uses)


def planned_calls(study: Study, imported: Imported) -> tuple[dict[str, int], list[PlannedCalls]]:
    """Return how many problems stand on each split, and the calls a run would make at most."""
    problems, split_by_id, _ = drop_keyless(imported.problems, splits_of(study, imported.problems))
    splits = Counter(split_by_id.values())
    lessons, heldout = splits[Split.TRAIN] + splits[Split.VALID], splits[Split.HELDOUT]
    base = 1 + len({*study.mix, *study.evaluation.base_at})
    solvers = (len(study.variants) + len(study.mix)) * len(study.seeds) + base
    draws_of = {role: agent.samples for role, agent in study.teaching().items()}
    first, samples = next(iter(draws_of)), sum(draws_of.values())
    sizes = Counter(p.source for p in problems if split_by_id[p.id] is Split.HELDOUT)
    asked = sum(map(study.evaluation.asked_of_teacher, sizes.values()))
    failures = study.difficulty is not None and study.difficulty.by == "failures"
    names = {role: model_of(agent) for role, agent in study.agents().items()}
    of_first = heldout * draws_of[first] if failures else asked
    once = "" if failures else ", held out once"
    calls = [
        PlannedCalls(
            "teach",
            role,
            names[role],
            lessons * draws + (of_first if role == first else 0),
            f"{f'{role}, ' if study.teachers else ''}as often as samples says"
            f"{once if role == first else ''}",
        )
        for role, draws in draws_of.items()
    ]
    if study.rater:
        why = "each problem once, and again where the reply cannot be read"
        calls.insert(0, PlannedCalls("rate", "rater", names["rater"], lessons + heldout, why))
    seen = splits[Split.TRAIN] if study.evaluation.seen == "report" else 0
    draws = planned_draws(study, lessons)
    calls = [*draws, *calls]
    kept = splits[Split.KEPT] * (1 + (len(study.variants) + bool(study.mix)) * len(study.seeds))
    local = ((heldout + seen) * solvers + kept) * study.evaluation.samples
    if study.verifier and study.verify != "symbolic":
        most = lessons * samples + asked + local + sum(x.calls for x in draws)
        calls.append(
            PlannedCalls("verify", "verifier", names["verifier"], most, _verify_why(study))
        )
    if study.condenser and (condensed := [x for x in study.levels if x is not Level.R0]):
        most = lessons * len(condensed) * _traces(study)
        calls.append(
            PlannedCalls(
                *("condense", "condenser", names["condenser"], most),
                "at most, and again where one is refused",
            )
        )
    calls.append(
        PlannedCalls("answer", "", study.student.base, local, "on this machine, the base too")
    )
    told = {s.value: splits[s] for s in Split if splits[s] or s is not Split.KEPT}
    return told, calls


def _traces(study: Study) -> int:
    """Return how many traces of a problem go down the ladder at most, that of a control too."""
    one = any(is_one_trace(x) for x in study.controls)
    draws = [agent.samples for agent in study.teaching().values()]
    return sum(min(samples, study.lessons.most_of(samples) + one) for samples in draws)


def planned_draws(study: Study, problems: int) -> list[PlannedCalls]:
    """Return the draws of the base that rate so many problems, where a study has such ones."""
    options = study.difficulty
    if options is None or options.by != "student":
        return []
    most = options.sampling(study.evaluation.sampling(BEFORE_LESSONS).max_tokens).max_tokens
    why = (
        f"on this machine: the base, {several(options.samples, 'draw')} of each problem to be "
        f"taught, {most:,} tokens each at most"
    )
    return [PlannedCalls("rate", "", study.student.base, problems * options.samples, why)]


def _verify_why(study: Study) -> str:
    if study.verify == "both":
        return "at most: every graded answer, of the teacher, the base and every student"
    return (
        "at most: the answers that the symbolic check can neither read nor decide, of the teacher, "
        "the base and every student"
    )


def print_plan(
    path: Path, directory: Path, console: Console, *, every_setting: bool = False, on: str = ""
) -> None:
    """Print the problems of a study, the calls it would make, and its settings.

    Where ``directory`` has a ledger, tokens and dollars are of what it lacks, measured from it.
    Settings left at their default are printed where ``every_setting`` asks for them. Raises
    StudyError for what would stop a run before anyone is asked; nothing is sent.
    """
    from potstill.study.intake import problems_of_study

    study = load_study(path)
    refuse_other_study(study, directory)
    check_study(study, on=on)
    check_diagnosis(study, directory)
    warnings: tuple[str, ...]
    with console.status("Reading the problems ...") as status:  # seen in a terminal alone
        imported = problems_of_study(
            study, lambda n: status.update(f"Reading the problems: {n:,} so far ...")
        )
        refuse_shared(study, imported.problems, imported.excluded)
        check_problems(study, imported.problems)
        total = several(len(imported.problems), "problem")
        status.update(f"Looking through {total} for those that are the same ...")
        splits, calls = planned_calls(study, imported)
        said = check_splits(study, imported.problems, {Split(x): n for x, n in splits.items()})
        status.update("Looking at the agents and the base ...")  # last: it takes longest
        if base_out_of_reach(study):
            base = study.student.base
            warnings = (f"The base {base} was not looked at: the hub does not answer.",)
        else:
            warnings = check_base_of(study, imported.problems, on=on)
    reasons = Counter(item.reason.value for item in imported.excluded)
    if away := len(imported.problems) - sum(splits.values()):
        reasons[ExclusionReason.NO_KEY.value] += away  # held out, where a key is needed
    console.print(
        f"{study.name}: {several(sum(splits.values()), 'problem')}: "
        + ", ".join(f"{count:,} {split}" for split, count in splits.items())
        + f"; {reasons.total():,} excluded"
        + (f" ({', '.join(f'{n} {why}' for why, n in reasons.items())})" if reasons else "")
    )
    for note in (*imported.notes, *said):
        console.print(literal(note), highlight=False)
    variants = [*study.variants, *(["mix"] if study.mix else [])]
    grid = f"{several(len(variants), 'variant')} ({', '.join(variants)})"
    total = several(len(variants) * len(study.seeds), "student")
    console.print(f"{total}: {grid} x {several(len(study.seeds), 'seed')}\n", highlight=False)
    rows = _estimates(study, calls, imported, directory)
    print_calls(study, rows, console)
    if beyond := _beyond_budget(study, rows, directory):
        console.print(f"[yellow]{literal(beyond)}[/yellow]", highlight=False)
    if study.verifier is None or study.verify == "symbolic":
        console.print(
            "No second reader: an answer that the symbolic check cannot read counts as not right. "
            "A verifier reads such answers; potstill review shows some of them to a person.",
            highlight=False,
        )
    for warning in (*unused_settings(study), *warnings):
        console.print(f"[yellow]{literal(warning)}[/yellow]", highlight=False)
    for role, agent in study.agents().items():
        found = key_there(agent)
        if found is not None and not found[1]:
            console.print(f"[yellow]{role}: {literal(found[0])}.[/yellow]", highlight=False)
    _print_settings(settings(study, read_study(path)), console, every=every_setting)
    console.print("\nNothing was sent.")


def _print_settings(rows: Sequence[Setting], console: Console, *, every: bool) -> None:
    """Print the settings that are not at their default, and at ``every`` those that are."""
    from rich.table import Table

    shown = [row for row in rows if every or row.origin != "default"]
    title = "every setting" if every else "settings that are not at their default"
    table = Table(title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    for head in ("setting", "value", "from"):
        table.add_column(head, overflow="fold")
    for row in shown:
        style = "dim" if row.origin == "default" else ""
        value = literal(row.value.replace("\n", "\\n"))
        table.add_row(literal(row.name), value, literal(row.origin), style=style)
    console.print(table)
    if len(shown) < len(rows):
        left = len(rows) - len(shown)
        more = "1 more is at its" if left == 1 else f"{left} more are at their"
        console.print(f"{more} default; --all shows them.", highlight=False)


def _estimates(
    study: Study, calls: list[PlannedCalls], imported: Imported, directory: Path
) -> list[Estimate]:
    path = directory / "ledger.sqlite"
    if not path.exists():
        return estimate(study, calls, imported.problems, None)
    with Ledger.open(path, readonly=True) as ledger:
        return estimate(study, calls, imported.problems, ledger)


def _beyond_budget(study: Study, rows: Sequence[Estimate], directory: Path) -> str:
    """Return that what is still to pay is more than the budget has left, "" where it may do."""
    low, high = _to_pay(rows)
    if not study.budget_usd or not high:
        return ""
    spent, path = 0.0, directory / "ledger.sqlite"
    if path.exists():
        with Ledger.open(path, readonly=True) as ledger:
            spent = ledger.spent_usd
    left = max(0.0, study.budget_usd - spent)
    if high <= left:
        return ""
    will = "is" if low > left else "may be"
    return (
        f"That {will} more than the budget has left (${left:,.2f}): the run stops there, with what "
        "was bought kept, and goes on when budget_usd is raised."
    )


def _to_pay(rows: Sequence[Estimate]) -> tuple[float, float]:
    """Return the dollars still to pay, at least and at most, as far as prices are known."""
    low, high = (sum(row.usd[i] for row in rows if row.usd is not None) for i in (0, 1))
    return low, high


def print_calls(study: Study, rows: list[Estimate], console: Console) -> None:
    """Print what every kind of call will take and cost, and what is left to pay."""
    from rich.table import Table

    plan = Table(title="calls it would make", title_justify="left", box=None, pad_edge=False)
    plan.add_column("stage", no_wrap=True)
    plan.add_column("model", overflow="ellipsis")
    for head in ("calls", "bought", "tokens in", "tokens out", "dollars"):
        plan.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        local = not row.call.role
        plan.add_row(
            literal(row.call.stage),
            literal(row.call.model),
            f"{row.call.calls:,}",
            "" if local else f"{row.have:,}",
            "" if local else _short(row.tokens_in),
            "" if local else _range(*map(_short, row.tokens_out)),
            "no price" if row.usd is None else _range(*(f"{usd:,.2f}" for usd in row.usd)),
        )
    console.print(plan)
    for row in rows:
        basis = ""
        if row.call.role and row.left and not is_free(study.agents()[row.call.role]):
            basis = (
                f"; tokens as in {row.measured:,} replies so far"
                if row.measured
                else f"; tokens assumed, {_THINKING[thinks(study.agents()[row.call.role])]}"
            )
        console.print(
            f"[dim]{literal(row.call.stage)}: {literal(row.call.why)}{basis}[/dim]", highlight=False
        )
    low, high = _to_pay(rows)
    unknown = list(dict.fromkeys(row.call.model for row in rows if row.usd is None))
    lacking = (
        f", without {literal(', '.join(unknown))}, whose price is not known" if unknown else ""
    )
    about = "about " + _range(f"${low:,.2f}", f"${high:,.2f}", " to ")
    if unknown and not high:
        about = "not known"
    console.print(f"\nStill to pay: {about}{lacking}.", highlight=False)
    if study.budget_usd is not None and not all(map(costs_nothing, study.agents().values())):
        console.print(f"The budget for all runs together: ${study.budget_usd:,.2f}.")


def _short(tokens: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if tokens >= size:
            return f"{tokens / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{tokens:,}"


def _range(low: str, high: str, between: str = "–") -> str:
    return low if low == high else f"{low}{between}{high}"


def model_of(agent: Any) -> str:
    """Return the name of the model that plays a role; its solver's where it names none."""
    return str(agent.options.get("model", agent.solver))


def _with_plugin_defaults(study: Study, resolved: dict[str, Any]) -> dict[str, Any]:
    """Return the resolved study with the sections' own options in place, defaults included."""
    sections = (*resolved["problems"], *resolved["evaluation"]["keep"])
    for source, section in zip(study.sources, sections, strict=True):
        section |= _options(SOURCES, source.source, source.options)
        del section["options"]
    named = {f"teacher {own['name']}": own for own in resolved.get("teachers", ())}
    for role, agent in study.agents().items():
        own = named[role] if role in named else resolved[role]
        del own["options"]
        # a solver's option of the same name never reaches it: the section's own key takes it
        options = _options(SOLVERS, agent.solver, agent.options)
        own |= {name: value for name, value in options.items() if name not in own}
    return resolved


def _options(group: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    dumped: dict[str, Any] = load_options(group, name, options, ()).model_dump(mode="json")
    return dumped


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested mappings and lists with its dotted name; plain lists are one
    value.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        for index, inner in enumerate(value):
            yield from flat(inner, f"{prefix}[{index}]")
    else:
        yield prefix, value
