"""A number that no study means is refused in one sentence, or told: never taken in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from potstill.errors import PotstillError
from potstill.grading.domains.numeric import Options as NumericOptions
from potstill.grading.key_reading import KeyReader
from potstill.pipeline.preflight import check_problems, check_study
from potstill.records import NumberGold, Problem, Split, TextGold
from potstill.study.checks import check_splits
from potstill.study.schema import load_study
from support.small_study import write_small_study

API: dict[str, Any] = {
    "solver": "api",
    "model": "m",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key_env": "",
    "price": {"input": 1.0, "output": 1.0},
}
POCKET = {"solver": "pocket", "model": "pocket-teacher", "problems": 24}
TRAINING = {"preset": "pocket", "iterations": 2, "validate_every": 1}
AS_THE_FILE_IS_READ: dict[str, tuple[dict[str, Any], str]] = {
    "iterations": (
        {"training": {"iterations": 10**9}},
        "'training.iterations': should be 10,000,000 or less or 'auto' (found 1000000000)",
    ),
    "accumulation": (
        {"training": {"accumulation": 10**9}},
        "'training.accumulation': should be 65,536 or less (found 1000000000)",
    ),
    "decay": (
        {"training": {"weight_decay": 1e9}},
        "'training.weight_decay': should be 10 or less (found 1000000000.0)",
    ),
    "tokens of the teacher": (
        {"teacher": POCKET | {"max_tokens": 10**9}},
        "'teacher.max_tokens': should be 10,000,000 or less (found 1000000000)",
    ),
    "batch of answers": (
        {"evaluation": {"batch_size": 10**9}},
        "'evaluation.batch_size': should be 4,096 or less (found 1000000000)",
    ),
    "a loop": (
        {"gates": {"repeat_times": 10**9}},
        "'gates.repeat_times': should be 1,000 or less (found 1000000000)",
    ),
    "words of a lesson": (
        {"gates": {"least_words_r1": 10**9}},
        "'gates.least_words_r1': should be 1,000 or less (found 1000000000)",
    ),
    "letters": (
        {"gates": {"foreign_letters": -1}},
        "'gates.foreign_letters': should be 0 or more (found -1)",
    ),
    "seconds of a shard": (
        {"cluster": {"shard_s": 1e9}},
        "'cluster.shard_s': should be 86,400 or less (found 1000000000.0)",
    ),
    "no time for code": (
        {"kinds": {"code": {"limit_s": 1e-9}}},
        "kinds.code: 'limit_s': should be 0.5 or more (found 1e-09)",
    ),
    "no end for code": (
        {"kinds": {"code": {"limit_s": 1e9}}},
        "kinds.code: 'limit_s': should be 3,600 or less (found 1000000000.0)",
    ),
    "no memory for code": (
        {"kinds": {"code": {"memory_mb": 1}}},
        "kinds.code: 'memory_mb': should be 64 or more (found 1)",
    ),
    "relative": (
        {"kinds": {"numeric": {"relative": 1e9}}},
        "kinds.numeric: 'relative': should be less than 1 (found 1000000000.0)",
    ),
    "a timeout": (
        {"teacher": API | {"timeout_total_s": 1e9}},
        "'timeout_total_s': should be 604,800 or less (found 1000000000.0)",
    ),
    "latency": (
        {"teacher": POCKET | {"latency_s": 1e9}},
        "'latency_s': should be 60 or less (found 1000000000.0)",
    ),
    "nan": (
        {"training": {"alpha": float("nan")}},
        "'training.alpha': a study holds text, numbers of ordinary size, yes and no (found .nan",
    ),
    "infinity of a plugin": (
        {"kinds": {"numeric": {"tolerance": float("inf")}}},
        "'kinds.numeric.tolerance': a study holds text, numbers of ordinary size",
    ),
}


@pytest.mark.parametrize("case", AS_THE_FILE_IS_READ)
def test_it_is_refused_as_the_study_is_read(case: str, tmp_path: Path) -> None:
    changes, says = AS_THE_FILE_IS_READ[case]
    with pytest.raises(PotstillError) as refused:
        load_study(write_small_study(tmp_path, **changes))
    assert says in str(refused.value)


BEFORE_ANYONE_IS_ASKED = {
    "a scale that drowns the base": (
        {"alpha": 1e9, "rank": 16},
        "training.alpha: 1e+09 at rank 16 makes the adapter's scale (alpha / rank) 6.2e+07, which "
        "drowns the base; give 32 or so.",
    ),
    "a scale of nothing": (
        {"alpha": 1e-9, "rank": 10},
        "training.alpha: 1e-09 at rank 10 makes the adapter's scale (alpha / rank) 1e-10, which "
        "leaves the base as it is; give 20 or so.",
    ),
    "a learning rate of nothing": (
        {"learning_rate": 1e-30},
        "training.learning_rate: 1e-30 moves no weight; give 1e-5 to 2e-3, or leave it out for the "
        "base's own.",
    ),
}


@pytest.mark.parametrize("case", BEFORE_ANYONE_IS_ASKED)
def test_it_is_refused_before_anyone_is_asked(case: str, tmp_path: Path) -> None:
    changes, says = BEFORE_ANYONE_IS_ASKED[case]
    study = load_study(write_small_study(tmp_path, training=TRAINING | changes))
    with pytest.raises(PotstillError) as refused:
        check_study(study)
    assert str(refused.value) == says


@pytest.mark.parametrize("training", [{"preset": "paper"}, {"rank": 1, "alpha": 32.0}])
def test_the_scales_that_are_in_use_are_taken(training: dict[str, Any], tmp_path: Path) -> None:
    check_study(load_study(write_small_study(tmp_path, training=training)))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"timeout_read_s": 1e-6},
            "teacher: timeout_read_s: within 1e-06 s no model has answered, and what it answers "
            "later is paid for and lost; give 300 or so.",
        ),
        (
            {"requests_per_minute": 1e-9},
            "teacher: requests_per_minute: at 1e-09 a minute a call is sent every few hours at "
            "most; give what the endpoint allows, or 0 for no bound.",
        ),
        (
            {"tokens_per_minute": 1e-9},
            "teacher: tokens_per_minute: at 1e-09 a minute a call is sent every few hours at most; "
            "give what the endpoint allows, or 0 for no bound.",
        ),
    ],
)
def test_no_endpoint_is_asked_so_that_its_replies_are_lost(
    settings: dict[str, float], says: str, tmp_path: Path
) -> None:
    study = load_study(write_small_study(tmp_path, teacher=API | settings))
    with pytest.raises(PotstillError) as refused:
        check_problems(study, [])
    assert str(refused.value) == says


def test_passes_that_no_student_needs_are_told(tmp_path: Path) -> None:
    counts = {Split.TRAIN: 24, Split.VALID: 8, Split.HELDOUT: 12}
    training = {"preset": "pocket", "iterations": 10_000, "batch_size": 8}
    said = check_splits(load_study(write_small_study(tmp_path, training=training)), [], counts)
    assert said[-1] == (
        "training: 10,000 iterations go through the 24 problems 3,333 times, where a student "
        "overfits after some ten; lower training.iterations"
    )
    training["iterations"] = 300
    said = check_splits(load_study(write_small_study(tmp_path, training=training)), [], counts)
    assert not [sentence for sentence in said if "go through the" in sentence]


@pytest.mark.parametrize(
    ("gold", "tolerance", "wide"),
    [
        (NumberGold(9.8, 1e9), 0.0, True),
        (NumberGold(9.8, 0.1), 0.0, False),
        (NumberGold(0.0, 0.1), 0.0, False),
        (TextGold("72"), 100.0, True),
        (TextGold("72"), 0.5, False),
        (TextGold("-72"), 72.0, True),
    ],
)
def test_a_tolerance_as_wide_as_the_key_is_found(
    gold: TextGold | NumberGold, tolerance: float, wide: bool
) -> None:
    problem = Problem("a/1", "How far?", gold, "numeric", "a", {})
    keys = KeyReader({"numeric": NumericOptions(tolerance=tolerance)})
    assert keys.takes_zero(problem) == wide


def test_a_tolerance_under_which_everything_is_right_is_refused(tmp_path: Path) -> None:
    study = load_study(write_small_study(tmp_path, kinds={"numeric": {"tolerance": 1e9}}))
    keys = {7: TextGold("7"), 8: TextGold("8")}
    problems = [Problem(f"a/{i}", "How far?", key, "numeric", "a", {}) for i, key in keys.items()]
    says = r"^2 problems \(a/7, \.\.\.\) have a tolerance as wide as the key itself"
    with pytest.raises(PotstillError, match=says):
        check_problems(study, problems)
    few = [Problem(f"b/{i}", "How far?", TextGold("1e12"), "numeric", "a", {}) for i in (1, 2)]
    with pytest.raises(PotstillError, match="knows only the pocket world's problems"):
        check_problems(study, [*problems, *few])
