"""Each engine opens a study's student and says what it said there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from potstill.analysis.students import FoundStudent
from potstill.chat import render_messages
from potstill.deploy.engines import ask_all
from potstill.deploy.loading import open_engine
from potstill.errors import InputError
from potstill.pocket import STUDENT_PATH

PACKAGES = {"transformers": "transformers", "mlx": "mlx_lm", "llama": "llama_cpp"}


@pytest.mark.parametrize(
    "name", ["transformers", "mlx", pytest.param("llama", marks=pytest.mark.soak)]
)
def test_every_engine_says_what_the_student_said(found: FoundStudent, name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"{PACKAGES[name]} is not installed")
    answers = found.answers()[:12]
    chats = [render_messages(problem, found.condition) for problem, _ in answers]
    with open_engine(found, name) as engine:
        said = ask_all(engine, chats, found.condition.sampling)
        tokens = [engine.encode(chat) for chat in chats]
        pieces = engine.pieces()
        text = engine.text(tokens[0])
        streamed = "".join(pieces(token) for token in tokens[0])
    assert said == [(response.text, response.finish) for _, response in answers]
    assert [len(prompt) for prompt in tokens] == [response.tokens_in for _, response in answers]
    assert streamed == text


def test_another_base_is_refused_by_its_hash(found: FoundStudent, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(STUDENT_PATH, other)
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    with (
        pytest.raises(InputError, match="is not the base that R4-s0-"),
        open_engine(found, "transformers", str(other)),
    ):
        pass
