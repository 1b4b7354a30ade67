"""A study with ordinary chats beside its lessons, run to its report, and gone on with."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.students import find_student
from potstill.deploy.export.card import model_card
from potstill.deploy.export.reasking import Reasked
from potstill.errors import InputError, StudyError
from potstill.lessons.replay import count_replayed
from potstill.models.torch_base import load_tokenizer
from potstill.pipeline.replay import open_replay
from potstill.pipeline.run import open_run, read_lessons, run_study
from potstill.pipeline.students import plan_grid
from potstill.pocket import STUDENT_PATH
from potstill.progress import quiet
from potstill.records import Split
from potstill.study.intake import problems_of_study
from potstill.study.schema import Study, load_study
from potstill.training.examples import encode_examples
from potstill.training.grid import Job
from potstill.training.recipe import Recipe
from support.small_bases import CHATML, write_small_base
from support.small_study import write_small_study

TRAINING = {"preset": "pocket", "iterations": 2, "validate_every": 1}
SHARE = 0.2


def write_chats(folder: Path, heldout: str, count: int = 20) -> Path:
    rows: list[Any] = [
        {
            "messages": [
                {"role": "user", "content": f"Name {n} birds."},
                {"role": "assistant", "content": "In which country?"},
                {"role": "user", "content": "Here."},
                {"role": "assistant", "content": f"Wren, robin and {n} others."},
            ]
        }
        for n in range(count)
    ]
    rows.append({"prompt": f"Help me with this: {heldout}", "completion": "Gladly."})
    rows.append({"question": "Count on.", "answer": "one two three four " * 200})
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass(frozen=True)
class Done:
    path: Path
    directory: Path
    report: dict[str, Any]

    @property
    def study(self) -> Study:
        return load_study(self.path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("replay")
    plain = load_study(write_small_study(folder, levels=["R1"]))
    problems = problems_of_study(plain).problems
    heldout = next(p for p in problems if "heldout" in p.groups.values())
    write_chats(folder, heldout.text)
    replay = {"path": "chats.jsonl", "share": SHARE}
    path = write_small_study(folder, levels=["R1"], training=TRAINING | {"replay": replay})
    report = run_study(load_study(path), folder / "run")
    assert report is not None
    return Done(path, folder / "run", report)


def grid_of(done: Done, study: Study) -> list[Job]:
    with ExitStack() as stack:
        run = open_run(study, done.directory, quiet, stack, read_only=True)
        made = read_lessons(run)
        return [job for _, job in plan_grid(run.context, run.models, made.chosen, made.by_split())]


def without_replay(study: Study) -> Study:
    recipe = study.training.model_copy(update={"replay": None})
    return study.model_copy(update={"training": recipe})


def test_chats_stand_behind_the_lessons_and_validation_is_as_without(done: Done) -> None:
    (job,), (plain,) = grid_of(done, done.study), grid_of(done, without_replay(done.study))
    lessons = len(plain.train)
    assert count_replayed(x.problem_id for x in plain.train) == 0
    assert job.train[:lessons] == plain.train
    chats = job.train[lessons:]
    assert len(chats) == round(lessons / 4)  # a fifth of all
    assert all(x.problem_id.startswith("replay/") for x in chats)
    assert not {"replay/21", "replay/22"} & {x.problem_id for x in chats}
    assert job.valid == plain.valid
    assert job.recipe == plain.recipe
    assert job.out != plain.out


def test_only_the_last_turn_is_learnt(done: Done) -> None:
    (job,) = grid_of(done, done.study)
    chat = job.train[-1]
    assert [m.role for m in chat.messages] == ["user", "assistant", "user"]
    tokenizer = load_tokenizer(STUDENT_PATH, {})
    (found,) = encode_examples(tokenizer, [chat], 256).examples
    prompt, learnt = found.tokens[: found.prompt_length], found.tokens[found.prompt_length :]
    assert tokenizer.decode(learnt[:-1]) == chat.completion
    assert learnt[-1] == tokenizer.eos_token_id
    assert "In which country?" in tokenizer.decode(prompt)


def test_counts_stand_on_card_and_report_and_no_path_anywhere(done: Done) -> None:
    found = find_student(done.directory, "R1")
    replayed = found.replayed
    assert replayed == round((found.student.trained_examples - replayed) / 4) > 0
    card = model_card(found, "peft", "", Reasked())
    lessons = found.student.trained_examples - replayed
    assert f"{lessons} lessons and {replayed} ordinary chats (replayed" in card
    assert any("20% are ordinary chats of chats.jsonl" in x for x in done.report["notes"])
    lock = json.loads((done.directory / "study.lock.json").read_text())
    replay = lock["decides"]["training"]["replay"]
    assert replay["path"].startswith("sha256:")
    assert replay["share"] == SHARE
    record = (found.folder / "student.json").read_text()
    assert str(done.path.parent) not in record + json.dumps(lock)


def test_it_goes_on_to_the_same_student_and_another_file_makes_another(done: Done) -> None:
    found = find_student(done.directory, "R1")
    (found.folder / "manifest.json").unlink()  # killed before the student was kept
    assert run_study(done.study, done.directory) is not None
    assert find_student(done.directory, "R1").student == found.student
    chats = done.path.parent / "chats.jsonl"
    kept = chats.read_text()
    try:
        chats.write_text(kept.replace("Wren", "Finch"))
        (job,) = grid_of(done, done.study)
        assert job.out != found.folder
    finally:
        chats.write_text(kept)


def test_a_study_without_it_says_and_hashes_what_it_did() -> None:
    recipe = Recipe(learning_rate=5e-4)
    # as it was before there was replay: students trained then stay known
    assert recipe.recipe_hash.startswith("1cb16665e6833246")
    assert "replay" not in recipe.model_dump(mode="json")
    mixed = Recipe.model_validate(
        {"learning_rate": 5e-4, "replay": {"path": Path("x.jsonl"), "share": 0.1}}
    )
    assert mixed.recipe_hash == recipe.recipe_hash
    assert mixed.model_dump(mode="json")["replay"] == {"path": "x.jsonl", "share": 0.1}


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_outside_is_refused(tmp_path: Path, share: float) -> None:
    training = TRAINING | {"replay": {"path": "chats.jsonl", "share": share}}
    with pytest.raises(StudyError, match=r"training\.replay\.share"):
        load_study(write_small_study(tmp_path, training=training))


def test_a_file_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    training = TRAINING | {"replay": {"path": "none.jsonl", "share": SHARE}}
    study = load_study(write_small_study(tmp_path, training=training))
    with pytest.raises(InputError, match=r"none\.jsonl does not exist"):
        run_study(study, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_chat_that_the_bases_template_refuses_is_named_by_its_row(tmp_path: Path) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    base = write_small_base(tmp_path / "base", "llama", template=refuses + CHATML)
    turns = [{"role": r, "content": f"The {r}."} for r in ("system", "user", "assistant")]
    rows = [{"prompt": "Name a bird.", "completion": "A wren."}, {"messages": turns}]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    training = TRAINING | {"replay": {"path": "chats.jsonl", "share": SHARE}}
    study = load_study(write_small_study(tmp_path, training=training, student={"base": str(base)}))
    with ExitStack() as stack:
        run = open_run(study, tmp_path / "run", quiet, stack)
        with pytest.raises(InputError, match=r"row 2: .*no system"):
            open_replay(run.context, run.models, dict.fromkeys(Split, ()))
