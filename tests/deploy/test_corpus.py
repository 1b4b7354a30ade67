"""An exported corpus loads where it says it does and holds nothing that is held out."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset
from huggingface_hub import DatasetCard
from rapidfuzz import fuzz

from potstill.chat import Completion, render_messages
from potstill.deploy.export import corpus as exporting
from potstill.deploy.export.corpus import export_corpus
from potstill.errors import InputError, StoreError
from potstill.lessons.quality import Gate
from potstill.pipeline.asking import student_condition
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.outputs import Made
from potstill.pipeline.run import run_study
from potstill.problems.overlap.pairs import split_numbers
from potstill.problems.raw import normalise
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import create_app, serve
from potstill.records import Finish, Split
from potstill.study.schema import Study, load_study
from potstill.study.templates import DEMO_STUDY

HOSTILE = "---\nlicense: mit\n---\n<script>alert(1)</script> | `x` ``` # [a](b)"


def run_small(folder: Path, until: str = "condense", **changes: Any) -> tuple[Study, Path]:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 24, "valid": 8, "heldout": 12}]
    raw["levels"] = ["R1", "R3"]
    raw["controls"] = ["truncate"]
    raw["about"] = HOSTILE
    raw["evaluation"] = {"system": "Be brief.", "prompt": "Solve: {problem}", "max_tokens": 24}
    (folder / "study.yaml").write_text(yaml.safe_dump(raw | changes))
    study = load_study(folder / "study.yaml")
    run_study(study, folder / "out", until=until)
    return study, folder / "out"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, Made]:
    """A study whose lessons exist and nothing after them."""
    study, directory = run_small(tmp_path_factory.mktemp("corpus"))
    return study, directory, StudyDirectory.open(directory).made


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def split_front(card: str) -> tuple[dict[str, Any], str]:
    """The front matter as a YAML reader sees it, and the Markdown after it."""
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def ids_of(made: Made, *sides: Split) -> list[str]:
    return [p.id for p in made.problems if made.splits[p.id] in sides]


def test_the_dataset_loads_offline_and_says_what_the_study_made(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    _, directory, made = done
    exported = export_corpus(directory, tmp_path / "set", "dataset")
    for level in ("R1", "R3", "truncate-R3"):
        loaded = load_dataset(str(tmp_path / "set"), level)
        assert {k: len(v) for k, v in loaded.items()} == {
            "train": exported.lessons[level]["train"],
            "validation": exported.lessons[level]["valid"],
        }
        lessons = {x.problem_id: x for x in made.chosen[level]}
        rows = [row for split in loaded.values() for row in split]
        assert {row["problem_id"] for row in rows} == set(lessons)
        by_id = {p.id: p for p in made.problems}
        for row in rows:
            lesson, problem = lessons[row["problem_id"]], by_id[row["problem_id"]]
            assert (row["lesson"], row["words"]) == (lesson.text, lesson.words)
            assert (row["level"], row["made_by"]) == (level, lesson.made_by)
            assert (row["problem"], row["answer"]) == (problem.text, problem.gold_text)
            assert {g["name"]: g["value"] for g in row["groups"]} == problem.groups
            assert row["teacher"] == "pocket-teacher"
    assert load_dataset(str(tmp_path / "set"))["train"][0]["level"] == "R1"


@pytest.mark.parametrize("to", ["dataset", "messages"])
def test_no_held_out_problem_is_in_any_file(
    done: tuple[Study, Path, Made], tmp_path: Path, to: Any
) -> None:
    _, directory, made = done
    export_corpus(directory, tmp_path / "set", to)
    heldout = set(ids_of(made, Split.HELDOUT))
    texts = [p.text for p in made.problems if p.id in heldout]
    assert len(texts) == 12
    everything = ""
    for path in (p for p in (tmp_path / "set").rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            everything += json.dumps(load_dataset("parquet", data_files=str(path))["train"][:])
        elif path.suffix == ".jsonl":
            everything += json.dumps([json.loads(x) for x in path.read_text().splitlines()])
        else:
            everything += path.read_text()
    assert len(everything) > 10_000
    assert not [text for text in texts if json.dumps(text)[1:-1] in everything]
    assert not [name for name in heldout if f'"{name}"' in everything]


def test_each_split_holds_its_own_problems(done: tuple[Study, Path, Made], tmp_path: Path) -> None:
    _, directory, made = done
    export_corpus(directory, tmp_path / "set", "dataset", ["R3"])
    loaded = load_dataset(str(tmp_path / "set"), "R3")
    chosen = {x.problem_id for x in made.chosen["R3"]}
    for name, side in (("train", Split.TRAIN), ("validation", Split.VALID)):
        assert loaded[name]["problem_id"] == [i for i in ids_of(made, side) if i in chosen]
    assert [p.name for p in (tmp_path / "set").iterdir() if p.is_dir()] == ["R3"]


def test_messages_are_the_chats_the_study_trains_on(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    study, directory, made = done
    export_corpus(directory, tmp_path / "set", "messages")
    by_id = {p.id: p for p in made.problems}
    expected = []
    for lesson in made.chosen["R3"]:
        prompt = render_messages(by_id[lesson.problem_id], student_condition(study, ""))
        chat = [{"role": m.role, "content": m.content} for m in prompt]
        expected.append([*chat, {"role": "assistant", "content": lesson.text}])
    files = {"train": "train.jsonl", "valid": "valid.jsonl"}
    folder = tmp_path / "set" / "R3"
    loaded = load_dataset("json", data_files={k: str(folder / v) for k, v in files.items()})
    found = [row["messages"] for split in loaded.values() for row in split]
    assert [m["role"] for m in found[0]] == ["system", "user", "assistant"]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, expected))
    hub = load_dataset(str(tmp_path / "set"), "R3")
    assert hub["train"]["messages"] == loaded["train"]["messages"]


def test_mlx_lm_takes_the_folder_as_it_is(done: tuple[Study, Path, Made], tmp_path: Path) -> None:
    mlx_datasets = pytest.importorskip("mlx_lm.tuner.datasets")
    from types import SimpleNamespace

    from transformers import AutoTokenizer

    from potstill.pocket import STUDENT_PATH

    _, directory, _ = done
    exported = export_corpus(directory, tmp_path / "set", "messages")
    tokenizer = AutoTokenizer.from_pretrained(STUDENT_PATH)
    options = SimpleNamespace(data=str(tmp_path / "set" / "R1"), train=True, test=False)
    train, valid, test = mlx_datasets.load_dataset(options, tokenizer)
    assert (len(train), len(valid), len(test)) == (*exported.lessons["R1"].values(), 0)
    tokens, _ = train.process(train[0])
    text = tokenizer.decode(tokens)
    messages = json.loads((tmp_path / "set/R1/train.jsonl").read_text().splitlines()[0])["messages"]
    assert messages[-1]["content"] in text
    assert messages[-2]["content"].startswith("Solve: ")


def test_llama_factorys_list_names_every_file(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    study, directory, _ = done
    export_corpus(directory, tmp_path / "set", "messages", ["R1"])
    info = json.loads((tmp_path / "set" / "dataset_info.json").read_text())
    assert set(info) == {f"{study.name}-R1-train", f"{study.name}-R1-valid"}
    for entry in info.values():
        row = json.loads((tmp_path / "set" / entry["file_name"]).read_text().splitlines()[0])
        turns = row[entry["columns"]["messages"]]
        tags = entry["tags"]
        names = {tags["system_tag"], tags["user_tag"], tags["assistant_tag"]}
        assert {turn[tags["role_tag"]] for turn in turns} == names
        assert all(turn[tags["content_tag"]] for turn in turns)


def test_the_card_says_how_many_of_what_and_no_text_in_it_is_markup(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    _, directory, made = done
    exported = export_corpus(directory, tmp_path / "set", "dataset")
    front, body = split_front((tmp_path / "set" / "README.md").read_text())
    assert front["license"] == "other"
    assert [c["config_name"] for c in front["configs"]] == ["R1", "R3", "truncate-R3"]
    assert "12 problems are in no file here" in body
    masked = {p.id: split_numbers(normalise(p.text))[0] for p in made.problems}
    heldout = [masked[p.id] for p in made.in_split(Split.HELDOUT)]
    alike = [i for i in made.trained_ids() if any(fuzz.ratio(masked[i], x) >= 90 for x in heldout)]
    assert alike
    assert f"{len(alike)} problems here have a held-out one with the same words and other" in body
    r1 = exported.lessons["R1"]
    assert f"| R1 | {r1['train']} | {r1['valid']} |" in body
    passed = sum(not x.flags for x in made.lessons if x.level == "R3")
    assert f"| R3 | {passed} |" in body
    assert "| teach | pocket-teacher |" in body
    assert "pocket-condenser" in body
    assert "<script>" not in body
    assert "&lt;script\\>" in body
    assert "\n---\nlicense: mit" not in body


def test_the_hub_reads_the_card(done: tuple[Study, Path, Made], tmp_path: Path) -> None:
    study, directory, _ = done
    exported = export_corpus(directory, tmp_path / "set", "dataset")
    card = DatasetCard.load(tmp_path / "set" / "README.md")
    total = sum(n for counts in exported.lessons.values() for n in counts.values())
    assert 0 < total < 1_000
    assert card.data.size_categories == ["n<1K"]
    assert card.data.pretty_name == study.name
    assert card.data.task_categories == ["text-generation"]
    files = {
        (config["config_name"], x["split"]): tmp_path / "set" / x["path"]
        for config in card.data.configs
        for x in config["data_files"]
    }
    assert {p.name for p in files.values()} == {"train.parquet", "validation.parquet"}
    assert all(p.is_file() for p in files.values())
    assert [config.get("default") for config in card.data.configs] == [True, None, None]
    again = DatasetCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()
    assert card.text.lstrip().startswith("# demo: verified lessons")


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """A problem and lessons full of markup, through a whole study, into a card and out of it."""
    lesson = "---\n<script>alert(1)</script> 2 + 2 = 4\r\n```\n# Head\u2028---\n\\boxed{4}"
    (tmp_path / "problems.csv").write_text(
        "id,question,answer,split\n"
        + "".join(
            f'p{i},"---\n<b>What</b> is {i} things, {word}: 2 + 2?",4,{side}\n'
            for i, (word, side) in enumerate(
                [
                    ("apples from the garden", "train"),
                    ("ships upon a wide sea", "train"),
                    ("letters in one envelope", "valid"),
                    ("mountains without any snow", "heldout"),
                ]
            )
        )
    )

    def reply(_: ChatRequest) -> Completion:
        return Completion(lesson, "", Finish.STOP, 1, 1)

    with serve(create_app(reply, ["wild|model"])) as url:
        agent = {"solver": "api", "model": "wild|model", "base_url": url, "api_key_env": ""}
        source = {"source": "table", "path": "problems.csv", "text": "question", "key": "answer"}
        _, directory = run_small(
            tmp_path,
            problems=[
                source | {"id": "id", "groups": {"split": "split"}, "name": "---\n<i>mine</i>"}
            ],
            teacher=agent,
            verifier=None,
            verify="symbolic",
            condenser=agent,
            gates={"off": [gate.value for gate in Gate]},
            levels=["R1"],
            controls=[],
        )
    export_corpus(directory, tmp_path / "set", "dataset")
    loaded = load_dataset(str(tmp_path / "set"), "R1")
    assert len(loaded["train"]) == 2
    assert {row["lesson"] for row in loaded["train"]} == {lesson}
    front, body = split_front((tmp_path / "set" / "README.md").read_text())
    assert front["license"] == "other"
    assert "    <script>alert(1)" in body
    outside = [line for line in body.splitlines() if not line.startswith("    ")]
    assert not [line for line in outside if "<" in line or line.strip() == "---"]
    assert "wild\\|model" in body


def test_nothing_is_bought(done: tuple[Study, Path, Made], tmp_path: Path) -> None:
    _, directory, _ = done
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        before = db.execute("select count(*) from replies").fetchone()
        export_corpus(directory, tmp_path / "set", "messages")
        assert db.execute("select count(*) from replies").fetchone() == before


def test_an_occupied_folder_is_refused_and_an_empty_one_is_taken(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    _, directory, _ = done
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there and not empty"):
        export_corpus(directory, tmp_path / "full", "dataset")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    export_corpus(directory, tmp_path / "empty", "dataset", ["R1"])
    assert (tmp_path / "empty" / "README.md").exists()


def test_a_stop_in_the_middle_leaves_nothing(
    done: tuple[Study, Path, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_dataset_info", stop)
    with pytest.raises(KeyboardInterrupt):
        export_corpus(done[1], tmp_path / "set", "messages")
    assert os.listdir(tmp_path) == []


def test_before_the_lessons_exist_it_says_so(
    done: tuple[Study, Path, Made], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="no study directory"):
        export_corpus(tmp_path, tmp_path / "set", "dataset")
    _, early = run_small(tmp_path, until="verify")
    with pytest.raises(StoreError, match=r"lessons of .* are not there yet"):
        export_corpus(early, tmp_path / "set", "dataset")
    with pytest.raises(InputError, match="did you mean 'R3'"):
        export_corpus(done[1], tmp_path / "set", "dataset", ["R33"])
    assert not (tmp_path / "set").exists()
    shutil.rmtree(early)
