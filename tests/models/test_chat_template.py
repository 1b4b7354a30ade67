"""Arguments of a chat template hold alike in training, answering, serving and what is exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from potstill import load_student
from potstill.analysis.students import FoundStudent, find_student
from potstill.chat import Ask, Message, render_messages
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker import Worker
from potstill.deploy.engines import load_model
from potstill.deploy.export.exporting import Export, export_student
from potstill.errors import InputError, StudyError
from potstill.ledger.ledger import Ledger
from potstill.models.chat_template import template_arguments
from potstill.models.folder import hash_base
from potstill.models.model import prompt_tokens
from potstill.models.torch_base import load_base, load_tokenizer
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.records import Sampling
from potstill.solvers.torch import Options as TorchOptions
from potstill.solvers.torch import ledger_model, open_solver
from potstill.store.cells import Store
from potstill.study.schema import load_study
from potstill.study.sections import StudentBase
from support.small_bases import CHATML, THINKING, set_config, write_small_base
from support.small_study import write_small_study

EMPTY_THOUGHT = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
# It reads arguments of every plain kind, within a loop and a macro too.
CURIOUS = (
    "{% macro told() %}[{{ tone }}]{% endmacro %}"
    "{% for message in messages %}{{ message['content'] }}|{{ tone }}|{{ told() }}"
    "{{ tags | join('+') }}|{{ depth }}|{{ thoughts.kind }}|{{ 'none' if last is none }};"
    "{% endfor %}{% if add_generation_prompt %}>{% endif %}"
)
ARGUMENTS: dict[str, Any] = {
    "tone": 'it\'s "dry" %} {{ 1 }} \\n \n é',
    "tags": ["a", True, 1.5, "x'y"],
    "depth": 3,
    "thoughts": {"kind": "few"},
    "last": None,
}
CHAT = [{"role": "user", "content": "What is 3 + 4?"}]


def thinker(folder: Path, template: str = THINKING) -> Path:
    return write_small_base(folder, "qwen3", template=template, max_position_embeddings=1024)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = thinker(tmp_path_factory.mktemp("thinker") / "base")
    # of its two end tokens the second stands in config.json alone
    (folder / "generation_config.json").unlink()
    set_config(folder, eos_token_id=[2, 0])
    return folder


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        (THINKING, {"enable_thinking": False}),
        (THINKING, {"enable_thinking": True}),
        (CURIOUS, ARGUMENTS),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}{{ mood }}", {"mood": "x"}),
    ],
    ids=["off", "on", "every kind", "generation"],
)
def test_the_template_renders_as_with_the_arguments_given(
    template: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    folder = thinker(tmp_path / "base", template)
    plain, ours = AutoTokenizer.from_pretrained(folder), load_tokenizer(folder, arguments)
    for given in ({"add_generation_prompt": True}, {}):
        wanted = plain.apply_chat_template(CHAT, tokenize=False, **arguments, **given)
        assert ours.apply_chat_template(CHAT, tokenize=False, **given) == wanted
    other = {name: "another" for name in arguments if name != "thoughts"}
    assert ours.apply_chat_template(CHAT, tokenize=False, **other) == plain.apply_chat_template(
        CHAT, tokenize=False, **(arguments | other)
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"enable_thinkin": False}, r"knows no 'enable_thinkin'; did you mean 'enable_thinking'\?"),
        ({"add_generation_prompt": False}, r"not to be set here.*\(enable_thinking\)"),
        ({"messages": []}, "not to be set here"),
        ({"enable thinking": False}, "not to be set here"),
        ({"enable_thinking": "false"}, r"the text 'false'.*without quotes"),
    ],
)
def test_an_argument_that_the_template_does_not_read_is_refused(
    arguments: dict[str, Any], says: str, base: Path
) -> None:
    with pytest.raises(InputError, match=says):
        load_base(base, device="cpu", template=arguments)


def test_a_template_without_arguments_says_so(tmp_path: Path) -> None:
    folder = thinker(tmp_path / "base", CHATML)
    with pytest.raises(InputError, match="reads no argument at all"):
        load_tokenizer(folder, {"enable_thinking": False})


def test_only_names_that_no_one_fills_in_are_arguments() -> None:
    assert template_arguments(THINKING) == ("enable_thinking",)
    assert template_arguments(CURIOUS) == ("depth", "last", "tags", "thoughts", "tone")
    assert template_arguments(CHATML) == ()
    assert template_arguments("{% broken") == ()


def test_no_argument_changes_no_hash(base: Path) -> None:
    """Studies made before there were arguments stay up to date."""
    assert hash_base(base) == hash_base(base, {}) != hash_base(base, {"enable_thinking": False})
    for student in (StudentBase(), StudentBase(template={})):
        assert student.model_dump(mode="json") == {
            "base": "pocket",
            "backend": "torch",
            "precision": "float32",
            "device": "auto",
        }
    off = StudentBase(template={"enable_thinking": False})
    assert off.model_dump(mode="json")["template"] == {"enable_thinking": False}


def test_a_study_names_them_as_a_mapping(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, student={"template": {"enable_thinking": False}})
    assert load_study(path).student.template == {"enable_thinking": False}
    path = write_small_study(tmp_path, student={"template": "enable_thinking"})
    with pytest.raises(StudyError, match=r"student\.template"):
        load_study(path)


@pytest.fixture(scope="module")
def found(base: Path, tmp_path_factory: pytest.TempPathFactory) -> FoundStudent:
    """A student of a base that thinks unless it is told not to, as it is here."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("study")
    path = write_small_study(
        folder,
        student={"base": str(base), "device": "cpu", "template": {"enable_thinking": False}},
        problems=[{"source": "pocket", "train": 8, "valid": 4, "heldout": 6}],
        levels=["R1"],
        training={"preset": "pocket", "iterations": 2, "validate_every": 1, "rank": 2},
        evaluation={"prompt": "{problem}", "max_tokens": 16},
        primary=["R1", "base"],
    )
    run_study(load_study(path), folder / "out")
    return find_student(folder / "out", "R1")


def wanted_prompts(found: FoundStudent, base: Path) -> list[list[int]]:
    """The prompts that transformers makes with the argument given, of the held-out problems."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    made = []
    for problem, _ in found.answers():
        chat = [
            {"role": m.role, "content": m.content}
            for m in render_messages(problem, found.condition)
        ]
        made.append(
            tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_dict=False, enable_thinking=False
            )
        )
        assert tokenizer.decode(made[-1]).endswith(EMPTY_THOUGHT)
    return made


def test_a_study_trains_and_answers_with_them(found: FoundStudent, base: Path) -> None:
    """Base and student were given as many tokens as the prompt with the argument has."""
    with_it = [len(prompt) for prompt in wanted_prompts(found, base)]
    assert [response.tokens_in for _, response in found.answers()] == with_it
    tokenizer = AutoTokenizer.from_pretrained(found.folder)
    rendered = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False)
    assert rendered.endswith(EMPTY_THOUGHT)
    model = load_model(found)
    assert model.base_hash == found.student.base_hash == hash_base(base, model.template)
    assert (
        prompt_tokens(model.tokenizer, (Message("user", "Hi"),))[-8:]
        == tokenizer.encode(EMPTY_THOUGHT, add_special_tokens=False)[-8:]
    )


def test_the_study_is_read_and_asked_with_them(found: FoundStudent) -> None:
    assert open_study(found.directory).base_hash == found.student.base_hash
    with load_student(found.directory, "R1") as student:
        problem, response = found.answers()[0]
        assert student.ask(problem.text) == response.text


@pytest.mark.parametrize("form", ["peft", "merged", "ollama"])
def test_every_export_has_them(form: str, found: FoundStudent, tmp_path: Path) -> None:
    reasked = export_student(found, Export(form, tmp_path / "out", reask=6))
    assert (reasked.asked, reasked.same) == (6, 6)
    assert "enable_thinking=False" in (tmp_path / "out" / "README.md").read_text("utf-8")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    rendered = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False)
    assert rendered.endswith(EMPTY_THOUGHT)


def test_the_modelfile_has_them(found: FoundStudent, tmp_path: Path) -> None:
    """Qwen3 is not written to GGUF here: Ollama gets the merged weights, package or not."""
    export_student(found, Export("ollama", tmp_path / "out", reask=0))
    text = (tmp_path / "out" / "Modelfile").read_text("utf-8")
    assert text.startswith("FROM .\n")
    assert f"{EMPTY_THOUGHT}{{{{ else }}}}" in text
    assert f"{EMPTY_THOUGHT}{{{{ end }}}}{{{{ .Response }}}}" in text
    assert "PARAMETER num_ctx 1024\n" in text
    stops = [x for x in text.splitlines() if x.startswith("PARAMETER stop")]
    assert stops == ['PARAMETER stop "<|im_end|>"', 'PARAMETER stop "<|endoftext|>"']
    assert load_model(found).stop_tokens == {2, 0}  # type: ignore[attr-defined]


def test_a_worker_of_a_cluster_loads_the_base_with_them(base: Path, tmp_path: Path) -> None:
    off = {"enable_thinking": False}
    Store(tmp_path)
    spec = BaseSpec(str(base), "float32", "cpu", "torch", hash_base(base, off), tmp_path, 1)
    worker = Worker()
    worker.join(replace(spec, template=off))
    worker.load()
    worker.join(spec)
    with pytest.raises(InputError, match="is another one than on the machine that runs the study"):
        worker.load()


@pytest.mark.parametrize("template", [{}, {"enable_thinking": False}])
def test_a_local_teacher_has_them_too(base: Path, template: dict[str, Any], tmp_path: Path) -> None:
    options = TorchOptions(model=str(base), device="cpu", template=template)
    chat = (Message("user", "What is 3 + 4?"),)
    wanted = AutoTokenizer.from_pretrained(base).apply_chat_template(
        CHAT, add_generation_prompt=True, return_dict=False, **template
    )
    with (
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        open_solver(options, ledger) as solver,
    ):
        (done,) = solver.complete([Ask("x", chat, Sampling(max_tokens=4))], "teach")
    assert done.asked
    assert done.tokens_in == len(wanted)
    assert ("template" in options.identity()) == bool(template)
    assert ledger_model(options) == f"{hash_base(base, template)[:16]}@float32"
