"""A small study that never ran, internally consistent: every number comes from its answers."""

from __future__ import annotations

import random

from potstill.evaluation import Answered, Evaluated, evaluate
from potstill.evaluation.scores import LevelScore
from potstill.records import Condition, Outcome, Role, Sampling, Split
from potstill.report.data import (
    CallCount,
    CauseCount,
    Corpus,
    Disagreement,
    Grader,
    LessonCount,
    LossCurve,
    LossPoint,
    OverlapPair,
    ReportData,
    Reproduction,
    Unread,
    UnreadExample,
)

HERE = Condition("set-1a2b", "", "{problem}", Sampling(max_tokens=256), "float32")
THERE = Condition("set-1a2b", "Reason.", "{problem}", Sampling(max_tokens=4096), "api")
CONDITIONS = {c.condition_id: c for c in (HERE, THERE)}

LADDER = {
    "R1": (0.81, 65),
    "R2": (0.82, 38),
    "R3": (0.73, 17),
    "R4": (0.39, 14),
    "R5": (0.235, 12),
    "R6": (0.155, 4),
}
FAMILIES = ("shopping", "equations", "remainders", "means", "angles")
HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>]]>-->\u202e{{ 7*7 }}|`#*[a](b)'
    "\x00\x1b\ud800\r\nnew line"
)


def answers(
    n: int = 330,
    seeds: int = 1,
    split: Split = Split.HELDOUT,
    ladder: dict[str, tuple[float, int]] = LADDER,
    base: float = 0.58,
    set: str = "pocket",
) -> list[Answered]:
    """Make answers of base, teacher and students, harder problems being harder for everyone."""
    rng = random.Random(7)
    hardness = [rng.random() for _ in range(n)]

    def ask(solver: str, role: Role, level: str, seed: int, skill: float, words: int) -> None:
        luck = random.Random(f"{solver}/{seed}")
        for i in range(n):
            right = 0.75 * hardness[i] + 0.25 * luck.random() < skill
            miss = luck.choice([Outcome.WRONG] * 9 + [Outcome.TRUNCATED])
            rows.append(
                Answered(
                    solver=solver,
                    role=role,
                    level=level,
                    seed=seed,
                    set=set,
                    split=split,
                    problem_id=f"p{i:04}",
                    groups={"family": FAMILIES[i % 5], "steps": "one" if i % 3 == 0 else "several"},
                    condition_id=(THERE if role is Role.TEACHER else HERE).condition_id,
                    outcome=Outcome.CORRECT if right else miss,
                    words=max(1, round(luck.gauss(words, words / 6))),
                    tokens=2 * words,
                )
            )

    rows: list[Answered] = []
    ask("pocket-base", Role.BASE, "", 0, base, 11)
    for level, (skill, words) in ladder.items():
        for seed in range(seeds):
            ask(f"{level}-s{seed}", Role.STUDENT, level, seed, skill, words)
    ask("pocket-teacher", Role.TEACHER, "", 0, 0.91, 92)
    return rows


def curve(variant: str, seed: int) -> LossCurve:
    """Make a loss that falls, turns and rises, sooner at shorter levels."""
    turn = 150 - 18 * (int(variant[1]) - 1) + 3 * seed
    floor = 0.06 + 0.05 * int(variant[1])
    history = tuple(
        LossPoint(
            step,
            0.5 / (1 + step / 25),
            floor + 0.4 / (1 + step / 12) + max(0.0, step - turn) * 0.0009,
        )
        for step in range(0, 201, 10)
    )
    best = min(history, key=lambda p: p.validation_loss or 0.0)
    return LossCurve(variant, seed, history, best.step, "lowest validation loss")


def _causes(x: LevelScore) -> dict[str, int]:
    wrong = x.outcomes["WRONG"]
    return {"other": wrong - wrong // 3, "sign": wrong // 3, "truncated": x.outcomes["TRUNCATED"]}


def unread(hostile: str = "") -> tuple[Unread, ...]:
    """Make the warning of a base, with ``hostile`` in what it said."""
    examples = tuple(
        UnreadExample(f"p000{i}{hostile}", f"so it is {i}{hostile}", f"no answer{hostile}")
        for i in (1, 2, 3)
    )
    return (Unread("pocket", Split.HELDOUT, "base", Role.BASE, 330, 31, examples),)


def report_data(
    evaluation: Evaluated | None = None, seeds: int = 1, hostile: str = "", **others: object
) -> ReportData:
    """Make a whole report's data, ``hostile`` in every field that a model or a person fills.

    Only then is there a warning of unread answers, which these answers do not bear out.
    """
    evaluation = evaluation or evaluate(answers(seeds=seeds), CONDITIONS)
    teacher = [s.outcomes for s in evaluation.scores if s.role is Role.TEACHER]
    disagreement = Disagreement(
        problem_id=f"p0007{hostile}",
        key=f"1/2{hostile}",
        answer=f"0.5 <b>{hostile}",
        symbolic="EQUAL",
        symbolic_why=f"both are 0.5{hostile}",
        judge="DIFFERENT",
        judge_why=f"the key is a fraction{hostile}",
        solver="pocket-teacher",
        outcome="CORRECT",
    )
    fields: dict[str, object] = {
        "conditions": (HERE, THERE),
        "corpus": Corpus(
            problems=700,
            set_aside={"no text": 3, "duplicate": 2},
            splits={"train": 300, "valid": 65, "heldout": 330},
            teacher_outcomes=teacher[0] if teacher else {},
            not_asked={"pocket-teacher": 4},
            lessons=tuple(
                LessonCount(x, 270 - i, {"wrong answer": i, "too long": 2 * i}, w, 2 * w, 3 * i)
                for i, (x, (_, w)) in enumerate(LADDER.items())
            ),
            trained=212,
            validated=50,
        ),
        "training": tuple(curve(x, s) for x in LADDER for s in range(seeds)),
        "calls": (
            CallCount("teach", "pocket-teacher", 369, 4, 41_000, 88_214, 0.0412),
            CallCount("verify", "pocket-verifier", 369, 11, 60_113, 2_104, None),
            CallCount("condense", "pocket-condenser", 1_640, 37, 302_881, 71_004, 0.19),
        ),
        "causes": tuple(
            CauseCount(x.set, x.split, x.level or x.role.value, x.group, x.responses, _causes(x))
            for x in evaluation.levels
        ),
        "unread": unread(hostile) if hostile else (),
        "grader": Grader({"both": 300, "symbolic": 2_400}, (disagreement,), 5, 2, 305),
        "overlap": (OverlapPair("p0009", "t0101", "near-duplicate", 0.93, "removed"),),
        "reproduction": Reproduction(
            command=f"potstill reproduce sample{hostile}",
            versions={"potstill": "0.1.0", "torch": "2.13.0"},
            hashes={"data": "9f86d081884c7d65", "base": "60303ae22b998861"},
            seeds=tuple(range(seeds)),
            created="2026-11-21",
        ),
        "notes": (f"The base has met worked text of these families in pretraining.{hostile}",),
        "description": f"A small world whose effects are real.{hostile}",
    }
    return ReportData.of(f"Pocket{hostile}", evaluation, **(fields | others))  # type: ignore[arg-type]
