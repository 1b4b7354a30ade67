"""The card of an exported corpus: where it comes from, what was excluded, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from potstill.ledger.ledger import Ledger
from potstill.lessons.difficulty import outside_difficulty
from potstill.lessons.majority import majority_sentence
from potstill.pipeline.assemble import call_counts, lesson_counts
from potstill.problems.overlap.find import find_pairs
from potstill.records import Split, Verdict
from potstill.report import phrases
from potstill.report.views import WORKED_SOLUTIONS
from potstill.study.schema import Agent, Study

if TYPE_CHECKING:
    from potstill.pipeline.outputs import Made

__all__ = ["corpus_card"]

Rows = list[dict[str, Any]]
_TABLE = "from a table of worked solutions"
_ENDS = {"R1": "whole and clean", "R6": "a line"}
_SPLIT_NAMES = {Split.TRAIN: "train", Split.VALID: "validation"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def corpus_card(
    study: Study,
    made: Made,
    directory: Path,
    rows: Mapping[str, Mapping[Split, Rows]],
    files: Mapping[str, Mapping[Split, str]],
    to: str,
) -> str:
    """Return the README.md of the folder: YAML for the hub, then Markdown in which no text is
    markup.

    ``rows`` are the lessons by level and split, ``files`` the file of each that was written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    with Ledger.open(directory / "ledger.sqlite", readonly=True) as ledger:
        calls = [call for call in call_counts(ledger) if call.stage not in ("answer", "train")]
    environment = Environment(
        loader=PackageLoader("potstill.deploy.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in phrases.__all__:
        environment.filters[name] = getattr(phrases, name)
    environment.filters["md"] = phrases.markdown
    environment.filters["block"] = _block
    gates = [count for count in lesson_counts(made) if count.level == "R0" or count.level in rows]
    beside, repeated = _beside_heldout(made)
    teacher = _who(study.teacher, [r.solver for r in made.taught.responses])
    condenser = _who(study.condenser, []) if study.condenser else ""
    return environment.get_template("corpus_card.md.j2").render(
        front=_front_matter(study, rows, files),
        study=study,
        to=to,
        levels=_levels(rows),
        files=files,
        first=next(iter(files)),
        problems=_problems(rows),
        sources=_sources(made),
        excluded=Counter(item.reason.value for item in made.excluded),
        teacher=teacher,
        condenser=condenser,
        origin=_TABLE if teacher == WORKED_SOLUTIONS else f"written by {teacher}",
        made=_made(condenser, rows),
        taught=_taught_by(study, teacher),
        rater=_who(study.rater, []) if study.rater else "",
        verifier=_who(study.verifier, []) if study.verifier and study.verify != "symbolic" else "",
        outcomes=_outcomes(made.keyed().verdicts),
        majority=_majority(study, made, rows),
        gates=gates,
        flags=list(dict.fromkeys(flag for count in gates for flag in count.flagged)),
        not_of_difficulty=outside_difficulty(study.difficulty, made.problems, made.splits),
        calls=calls,
        calls_unpriced=sum(call.cost_usd is None for call in calls),
        spent=sum(call.cost_usd or 0 for call in calls),
        unpriced=sorted({call.model for call in calls if call.cost_usd is None}),
        heldout=len(made.in_split(Split.HELDOUT)),
        held_by=_held_by(study),
        masked=len(beside - repeated),
        repeated=len(repeated),
        example=next((row for by in rows.values() for found in by.values() for row in found), None),
    )


def _majority(study: Study, made: Made, levels: Iterable[str]) -> str:
    """Return how many lessons written stand on no key, as a sentence; "" where all do."""
    if study.keys is None:
        return ""
    return majority_sentence(made.problems, made.excluded, [made.chosen[x] for x in levels])


def _made(condenser: str, levels: Iterable[str]) -> str:
    """Return how the levels came to be and what they are, as the end of a sentence."""
    how = f", and condensed by {condenser}" if condenser else ", and recorded elsewhere as they are"
    ends = [f"{x} is {says}" for x, says in _ENDS.items() if x in levels]
    return f"{how}: {phrases.listed(ends)}" if ends else how


def _taught_by(study: Study, teacher: str) -> str:
    """Return how the teacher, or each of several, was asked."""
    if not study.teachers:
        return _taught(study.teacher, teacher)
    return " ".join(f"{x.name}: {_taught(x, _who(x, []))}" for x in study.teachers)


def _taught(agent: Agent, teacher: str) -> str:
    """Return how the teacher was asked, in a sentence; of a recording it is not known."""
    if teacher == WORKED_SOLUTIONS:
        return "the worked solutions of a table; no model was asked."
    if agent.is_recorded:
        return f"{teacher}, whose answers were recorded elsewhere; how it was asked is not known."
    return (
        f"{teacher}, temperature {agent.temperature:g}, at most {agent.max_tokens:,} tokens, "
        f"{phrases.several(agent.samples, 'answer')} a problem. It was never given the key."
    )


def _front_matter(
    study: Study, rows: Mapping[str, Mapping[Split, Rows]], files: Mapping[str, Mapping[Split, str]]
) -> str:
    configs = [
        {
            "config_name": level,
            **({"default": True} if level == next(iter(files)) else {}),
            "data_files": [
                {"split": _SPLIT_NAMES[split], "path": f"{level}/{file}"}
                for split, file in by_split.items()
            ],
        }
        for level, by_split in files.items()
        if by_split
    ]
    total = sum(len(found) for by in rows.values() for found in by.values())
    front = {
        "pretty_name": study.name,
        "license": "other",
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "distillation", "synthetic", "potstill"],
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>1M")],
        "configs": configs,
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _levels(rows: Mapping[str, Mapping[Split, Rows]]) -> list[dict[str, Any]]:
    found = []
    for level, by_split in rows.items():
        every = [row for found in by_split.values() for row in found]
        found.append(
            {
                "level": level,
                "train": len(by_split[Split.TRAIN]),
                "validation": len(by_split[Split.VALID]),
                "words": _mean([row["words"] for row in every]),
                "tokens": _mean([row["tokens"] for row in every]),
                "made_by": phrases.listed(sorted({row["made_by"] for row in every})),
            }
        )
    return found


def _problems(rows: Mapping[str, Mapping[Split, Rows]]) -> dict[str, int]:
    """Return how many problems of each split have a lesson at any level written."""
    ids: dict[str, set[str]] = {"train": set(), "valid": set()}
    for by_split in rows.values():
        for split, found in by_split.items():
            ids[split.value] |= {row["problem_id"] for row in found}
    return {split: len(found) for split, found in ids.items()}


def _sources(made: Made) -> list[dict[str, Any]]:
    splits = Counter((p.source, made.splits[p.id]) for p in made.problems)
    names = dict.fromkeys(p.source for p in made.problems)
    shown = [s for s in Split if s is not Split.KEPT]
    return [{"source": name} | {s.value: splits[name, s] for s in shown} for name in names]


def _outcomes(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome.value for verdict in verdicts)
    listed = [f"{n:,} {name.lower().replace('_', ' ')}" for name, n in counts.most_common()]
    return ", ".join(listed)


def _who(agent: Agent, solvers: Sequence[str]) -> str:
    named = sorted(set(solvers)) or [str(agent.options.get("model", agent.solver))]
    return phrases.listed(named)


def _held_by(study: Study) -> str:
    split = study.split
    if split.by == "group":
        return f"by {split.group}: {phrases.listed(split.heldout)}"
    if split.by == "share":
        return f"a share of {split.heldout_share:g}, by a hash of each problem's id"
    return f"as the source's own {split.group} says"


def _beside_heldout(made: Made) -> tuple[set[str], set[str]]:
    """Return the problems with a lesson that a held-out one resembles, and those that it repeats.

    Sought anew: of the pairs that a split is made by, a problem has but one with other numbers.
    """
    heldout, rest = made.in_split(Split.HELDOUT), made.in_split(Split.TRAIN, Split.VALID)
    with_lesson = made.trained_ids()
    pairs = find_pairs(heldout, rest) if heldout and rest else []
    like = {pair.b_id for pair in pairs}
    same = {pair.b_id for pair in pairs if pair.leaks}
    return like & with_lesson, same & with_lesson


def _block(text: str) -> str:
    """Return text as a Markdown code block: each line indented, so that none of them can end it."""
    return "\n".join(f"    {line}" for line in phrases.clip(text).splitlines())


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0
