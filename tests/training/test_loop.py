from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from potstill.errors import InputError, PotstillError, StoreError
from potstill.models.adapters import hash_adapter, mounted
from potstill.models.torch_base import Base
from potstill.store import atomic
from potstill.training import loop
from potstill.training.examples import encode_examples
from potstill.training.loop import train_cell
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, TrainedCell
from potstill.training.student_folder import read_history, read_student, write_student
from support.plain_training import SHORT, losses, plain_losses
from support.small_disk import small_disk
from support.tiny_cell import TEXTS, make_examples, state_of


def train(base: Base, out: Path, recipe: Recipe = SHORT, seed: int = 0, **sets) -> TrainedCell:
    return train_cell(
        base,
        GridCell("R1", seed),
        sets.pop("train_set", make_examples(37)),
        sets.pop("valid_set", make_examples(9, first=100)),
        recipe,
        out,
        data_hash="data",
        **sets,
    )


@pytest.mark.parametrize(
    "recipe",
    [
        SHORT,
        SHORT.model_copy(update={"layers": 2, "weight_decay": 0.1, "clip_norm": 0.0}),
        SHORT.model_copy(
            update={"optimizer": "adam_no_bias_correction", "learning_rate": 1e-3, "clip_norm": 0.0}
        ),
    ],
)
def test_losses_are_those_of_a_plain_loop(base: Base, tmp_path: Path, recipe: Recipe) -> None:
    examples = make_examples(37)
    mine = losses(train(base, tmp_path / "R1", recipe, train_set=examples))
    assert mine == pytest.approx(plain_losses(base, recipe, 0, examples), rel=2e-4)
    assert mine[-1] < mine[0]


def test_small_chunks_at_the_head_change_nothing(base, tmp_path, monkeypatch) -> None:
    from potstill.training import head_loss

    whole = losses(train(base, tmp_path / "whole"))
    monkeypatch.setattr(head_loss, "LOGITS_PER_CHUNK", 384 * 7)
    assert losses(train(base, tmp_path / "chunks")) == pytest.approx(whole, rel=1e-4)


def test_accumulated_batches_train_as_one_large_batch(base: Base, tmp_path: Path) -> None:
    same = [make_examples(1)[0]] * 8
    large = SHORT.model_copy(update={"batch_size": 8})
    small = SHORT.model_copy(update={"batch_size": 2, "accumulation": 4})
    whole = losses(train(base, tmp_path / "a", large, train_set=same))
    assert losses(train(base, tmp_path / "b", small, train_set=same)) == pytest.approx(
        whole, rel=1e-3
    )


def test_two_runs_give_the_same_bits_and_leave_the_base_as_it_was(base, tmp_path) -> None:
    before = state_of(base)
    modules = dict(base.model.named_modules())
    recipe = SHORT.model_copy(update={"dropout": 0.1})
    torch.manual_seed(1)
    first = train(base, tmp_path / "first", recipe)
    torch.manual_seed(2)
    second = train(base, tmp_path / "second", recipe)
    other = train(base, tmp_path / "other", recipe, seed=1)
    weights = [
        (tmp_path / n / "adapter_model.safetensors").read_bytes()
        for n in ("first", "second", "other")
    ]
    assert weights[0] == weights[1] != weights[2]
    assert losses(first) == losses(second) != losses(other)
    assert (
        first.student.adapter_hash
        == second.student.adapter_hash
        == hash_adapter(tmp_path / "first")
    )
    assert first.student.id == second.student.id != other.student.id
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert dict(base.model.named_modules()) == modules
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_how_often_one_validates_changes_nothing_trained(base: Base, tmp_path: Path) -> None:
    recipe = SHORT.model_copy(update={"dropout": 0.1})
    often = train(base, tmp_path / "often", recipe)
    seldom = train(base, tmp_path / "seldom", recipe.model_copy(update={"validate_every": 50}))
    assert losses(often) == losses(seldom)
    validated = [p.step for p in seldom.history if p.validation_loss is not None]
    assert validated == [0, 20]


def overfitting(base: Base, out: Path, **changes) -> TrainedCell:
    """A single example, learnt by heart: the validation loss falls at first and then rises."""
    learnt = {"rank": 16, "alpha": 32, "learning_rate": 2e-2, "schedule": "constant"}
    length = {"iterations": 60, "validate_every": 4}
    recipe = SHORT.model_copy(update=learnt | length | changes)
    valid = make_examples(20, first=100)
    return train(base, out, recipe, train_set=make_examples(1), valid_set=valid)


def test_the_best_checkpoint_is_kept_at_the_weights_it_was_measured_at(base, tmp_path) -> None:
    result = overfitting(base, tmp_path / "R1")
    curve = {p.step: p.validation_loss for p in result.history if p.validation_loss is not None}
    best = min((step for step in curve if step), key=curve.__getitem__)
    assert 0 < best < 60
    assert curve[60] > curve[best]
    assert result.student.chosen_step == best
    assert result.student.validation_loss == curve[best]
    assert f"step {best} of 60" in result.student.chosen_why
    recipe = Recipe(**json.loads((tmp_path / "R1" / "student.json").read_text())["recipe"])
    with mounted(base, tmp_path / "R1"):
        valid = encode_examples(base.tokenizer, make_examples(20, first=100), 2048).examples
        saved = reference_loss(base, valid)
    assert saved == pytest.approx(curve[best], rel=1e-4)
    assert recipe.iterations == 60


def reference_loss(base: Base, examples) -> float:
    total, count = 0.0, 0
    for example in examples:
        tokens = torch.tensor([example.tokens])
        with torch.no_grad():
            logits = base.model(tokens).logits[0, example.prompt_length - 1 : -1]
        targets = tokens[0, example.prompt_length :]
        total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        count += len(targets)
    return total / count


def test_patience_stops_a_run_that_no_longer_improves(base: Base, tmp_path: Path) -> None:
    result = overfitting(base, tmp_path / "R1", patience=3)
    assert result.stopped_step == result.student.chosen_step + 3 * 4 < 60
    assert "3 validations in a row" in result.student.chosen_why


def test_step_0_is_on_the_curve_and_is_no_candidate(base, tmp_path, monkeypatch) -> None:
    from potstill.training.torch_trainer import TorchTrainer

    rising = iter(range(1, 100))
    monkeypatch.setattr(TorchTrainer, "validate", lambda *_: float(next(rising)))
    result = train(base, tmp_path / "R1")
    assert (result.history[0].train_loss, result.history[0].validation_loss) == (None, 1.0)
    assert (result.student.chosen_step, result.student.validation_loss) == (5, 2.0)


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(base, tmp_path, monkeypatch) -> None:
    from potstill.training.torch_trainer import TorchTrainer

    honest = TorchTrainer.step
    steps = []

    def diverging(self, batches, rate):
        steps.append(rate)
        return math.nan if len(steps) == 13 else honest(self, batches, rate)

    monkeypatch.setattr(TorchTrainer, "step", diverging)
    result = train(base, tmp_path / "R1")
    assert result.stopped_step == 12
    assert result.student.chosen_step in (5, 10)
    assert "not finite at step 13" in result.student.chosen_why
    assert read_student(tmp_path / "R1") == result.student


def test_a_run_that_diverges_at_once_says_what_to_lower(base: Base, tmp_path: Path) -> None:
    recipe = SHORT.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0, "clip_norm": 0.0})
    with pytest.raises(PotstillError, match=r"R1 seed 0 .*not finite.*lower learning_rate"):
        train(base, tmp_path / "R1", recipe)
    assert list(tmp_path.iterdir()) == []
    train(base, tmp_path / "R1")


def test_a_loss_that_is_not_finite_moves_nothing(base: Base) -> None:
    from potstill.training.batches import collate
    from potstill.training.torch_trainer import open_torch_trainer

    batch = collate(encode_examples(base.tokenizer, make_examples(3), 500).examples)
    with open_torch_trainer(base, SHORT, 0) as trainer:
        assert math.isfinite(trainer.step([batch], 1e-2))
        before = trainer.snapshot()
        weight = base.model.model.norm.weight
        kept = weight.clone()
        weight.data.fill_(math.nan)
        assert math.isnan(trainer.step([batch], 1e-2))
        weight.data.copy_(kept)
        after = trainer.snapshot()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_adapter_loads_in_peft_after_its_folder_was_moved(base, model_folder, tmp_path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = train(base, tmp_path / "study" / "R1")
    (tmp_path / "study").rename(tmp_path / "moved")
    folder = tmp_path / "moved" / "R1"
    assert str(model_folder) not in (folder / "adapter_config.json").read_text()
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    student = PeftModel.from_pretrained(model, folder)
    tokens = torch.tensor([AutoTokenizer.from_pretrained(folder)("What is 2 + 2?")["input_ids"]])
    with torch.no_grad(), mounted(base, folder):
        assert torch.allclose(student(tokens).logits, base.model(tokens).logits, atol=1e-4)
    assert read_student(folder) == result.student
    content = json.loads((folder / "student.json").read_text())
    assert read_history(folder) == result.history
    assert content["format_version"] == 1
    assert content["versions"]["torch"] == torch.__version__
    assert [point["step"] for point in content["history"]] == list(range(21))
    assert set(content["history"][5]) == {
        "step", "train_loss", "validation_loss", "learning_rate", "tokens_per_s",
        "validation_right",
    }  # fmt: skip


def test_mounting_an_adapter_leaves_the_base_as_it_was(base: Base, tmp_path: Path) -> None:
    train(base, tmp_path / "R1")
    before, modules = state_of(base), dict(base.model.named_modules())
    with pytest.raises(KeyboardInterrupt), mounted(base, tmp_path / "R1"):
        raise KeyboardInterrupt
    after = base.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert dict(base.model.named_modules()) == modules


def test_an_adapter_of_another_base_is_refused(base, tmp_path) -> None:
    from potstill.models.torch_base import load_base
    from random_model import write_random_model

    train(base, tmp_path / "R1")
    other = load_base(write_random_model(tmp_path / "wide", TEXTS, hidden=48), device="cpu")
    before = state_of(other)
    with (
        pytest.raises(InputError, match="does not fit the base wide"),
        mounted(other, tmp_path / "R1"),
    ):
        pass
    assert state_of(other).keys() == before.keys()
    with pytest.raises(InputError, match="holds no adapter"), mounted(base, tmp_path / "nothing"):
        pass


def test_a_kill_leaves_nothing_half_written(base, tmp_path, monkeypatch) -> None:
    first = train(base, tmp_path / "R1")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "rename_into_place", killed)
    with pytest.raises(KeyboardInterrupt):
        train(base, tmp_path / "R1", seed=1)
    assert read_student(tmp_path / "R1") == first.student
    assert {path.name for path in tmp_path.iterdir()} == {"R1", ".R1.checkpoint"}
    monkeypatch.undo()
    (tmp_path / ".R1.partial-1").mkdir()  # as SIGKILL leaves it
    again = train(base, tmp_path / "R1", seed=1)
    assert read_student(tmp_path / "R1") == again.student
    assert [path.name for path in tmp_path.iterdir()] == ["R1"]


def test_a_full_disk_is_one_sentence_and_leaves_the_student_before(
    base: Base, tmp_path: Path
) -> None:
    first = train(base, tmp_path / "R1")
    weights = {"a": np.zeros(1000)}
    with (
        small_disk(512),
        pytest.raises(StoreError, match=r"student could not be written to .*free"),
    ):
        write_student(
            first,
            Recipe(),
            base,
            tmp_path / "R1",
            lambda x: save_file(weights, x / "a.safetensors"),
        )
    assert read_student(tmp_path / "R1") == first.student
    assert [path.name for path in tmp_path.iterdir()] == ["R1"]


def test_an_interrupted_run_gives_the_base_back(base: Base, tmp_path: Path) -> None:
    def interrupt(report: loop.StepReport) -> None:
        if report.point.step == 3:
            raise KeyboardInterrupt

    before = state_of(base)
    with pytest.raises(KeyboardInterrupt):
        train(base, tmp_path / "R1", on_step=interrupt)
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    train(base, tmp_path / "R1")


def test_every_step_is_reported(base: Base, tmp_path: Path) -> None:
    reports: list[loop.StepReport] = []
    result = train(base, tmp_path / "R1", on_step=reports.append)
    assert tuple(report.point for report in reports) == result.history
    assert reports[-1].best_step == result.student.chosen_step
    assert all(report.point.tokens_per_s > 0 for report in reports[1:])


def test_a_set_smaller_than_a_batch_trains_all_the_same(base: Base, tmp_path: Path) -> None:
    result = train(base, tmp_path / "R1", train_set=make_examples(2))
    assert result.student.trained_examples == 2
    assert losses(result)[-1] < losses(result)[0]


def test_over_long_examples_are_counted_with_their_ids(base: Base, tmp_path: Path) -> None:
    examples = make_examples(10)
    recipe = SHORT.model_copy(update={"max_sequence_tokens": 60, "iterations": 5})
    result = train(base, tmp_path / "R1", recipe, train_set=examples)
    assert result.too_long
    kept = encode_examples(base.tokenizer, examples, 60)
    assert result.student.trained_examples == len(kept.examples)
    assert set(kept.too_long) <= set(result.too_long)
    for what, sets in (("training", {"train_set": []}), ("validation", {"valid_set": []})):
        with pytest.raises(InputError, match=f"R1 seed 0 has no {what} example"):
            train(base, tmp_path / "none", recipe, **sets)
    assert not (tmp_path / "none").exists()


def test_what_to_raise_is_said_only_where_it_would_help(base: Base, tmp_path: Path) -> None:
    short = SHORT.model_copy(update={"max_sequence_tokens": 20})
    with pytest.raises(InputError, match="9 have more than 20 tokens; raise max_sequence_tokens"):
        train(base, tmp_path, short, train_set=make_examples(9))
    narrow = dataclasses.replace(base, context_tokens=20)
    with pytest.raises(InputError, match=r"20 tokens; the base's context holds no more") as said:
        train(narrow, tmp_path, SHORT, train_set=make_examples(9))
    assert "raise" not in str(said.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target_modules": ("q_proj", "query")}, "names query, .* down_proj, gate_proj, k_proj"),
        ({"target_modules": ("Q_proj",)}, r"set training.target_modules: \[q_proj\]"),
        ({"layers": 9}, "top 9 layers and tiny has 3"),
    ],
)
def test_a_recipe_that_does_not_fit_the_model_says_what_would(
    base, tmp_path, changes, says
) -> None:
    before = dict(base.model.named_modules())
    with pytest.raises(InputError, match=says):
        train(base, tmp_path / "R1", SHORT.model_copy(update=changes))
    assert dict(base.model.named_modules()) == before


def test_out_of_memory_names_the_setting_to_lower(base, tmp_path, monkeypatch) -> None:
    from potstill.training.torch_trainer import TorchTrainer

    def hungry(*_: object) -> float:
        torch.empty(2**60)
        return 0.0

    monkeypatch.setattr(TorchTrainer, "step", hungry)
    with pytest.raises(PotstillError, match=r"lower batch_size \(5"):
        train(base, tmp_path / "R1")


def test_a_newer_or_damaged_student_is_not_read(base: Base, tmp_path: Path) -> None:
    train(base, tmp_path / "R1")
    path = tmp_path / "R1" / "student.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format_version": 99}))
    with pytest.raises(InputError, match="newer Potstill"):
        read_student(tmp_path / "R1")
    path.write_text("{")
    with pytest.raises(InputError, match="train the student again"):
        read_student(tmp_path / "R1")


@pytest.mark.parametrize(
    ("empty", "what"), [("train_set", "training"), ("valid_set", "validation")]
)
def test_a_student_without_a_lesson_is_told_where_they_went(
    base: Base, tmp_path: Path, empty: str, what: str
) -> None:
    says = rf"R1 seed 0 has no {what} example to use; potstill inspect DIR --gates says which"
    with pytest.raises(InputError, match=says):
        train(base, tmp_path / "R1", **{empty: []})
