"""An exported student asked again: the same held-out problems, from the form it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.chat import render_messages
from potstill.deploy.engines import Engine, ask_all, llama_of_file, load_model, model_engine
from potstill.deploy.export.gguf_file import GGUF_NAME
from potstill.errors import InputError
from potstill.grading import grade_responses
from potstill.models.loading import open_decoder
from potstill.records import Finish, Outcome

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.models.model import LanguageModel
    from potstill.records import Problem, Response

__all__ = ["Reasked", "reask"]


@dataclass(frozen=True, slots=True)
class Reasked:
    """How an exported student answered ``asked`` held-out problems, beside its study's answers.

    ``right_before`` and ``right_now`` are counted by the symbolic check alone; ``same`` counts
    answers of the very same text. ``why_not`` says why nothing was asked.
    """

    engine: str = ""
    asked: int = 0
    right_before: int = 0
    right_now: int = 0
    same: int = 0
    why_not: str = ""

    @property
    def sentence(self) -> str:
        """What became of it, for a card or a terminal."""
        if self.why_not:
            return f"Not asked again after the export: {self.why_not}"
        lost = self.right_before - self.right_now
        change = f"{abs(lost)} {'fewer' if lost > 0 else 'more'}" if lost else "no change"
        return (
            f"Asked again after the export through {self.engine}: {self.right_now} of {self.asked} "
            f"held-out problems right where the study had {self.right_before} ({change}); "
            f"{self.same} of {self.asked} answers are the same to the letter."
        )


def reask(found: FoundStudent, form: str, out: Path, base: str, count: int) -> Reasked:
    """Return how the student exported to ``out`` answers up to ``count`` problems of the held-out
    sets.

    An adapter whose base cannot run on this machine is not asked; a whole model that was written
    and cannot be loaded raises InputError.
    """
    from potstill.grading.plugins import runs_code

    # grading code runs it, and a study directory is untrusted
    answers = _slice([pair for pair in found.answers() if not runs_code(pair[0])], count)
    if not answers:
        why = "none was wanted." if count == 0 else "the study has no held-out answers to ask for."
        return Reasked(why_not=why)
    if form == "mlx" and find_spec("mlx_lm") is None:
        return Reasked(why_not="mlx-lm is not installed (pip install 'potstill[mlx]').")
    if form == "gguf" and find_spec("llama_cpp") is None:
        return Reasked(why_not="llama-cpp-python is not installed (pip install 'potstill[llama]').")
    chats = [render_messages(problem, found.condition) for problem, _ in answers]
    try:
        with _opened(found, form, out, base) as engine:
            said = ask_all(engine, chats, found.condition.sampling)
    except InputError as exc:
        if form in ("merged", "gguf"):  # what was written cannot be loaded
            raise
        return Reasked(why_not=str(exc))
    return _compared(engine.name, answers, said)


def _slice(
    answers: Sequence[tuple[Problem, Response]], count: int
) -> list[tuple[Problem, Response]]:
    """Return ``count`` of them from end to end, so that no group of problems stands for all."""
    if len(answers) <= count:
        return list(answers)
    return [answers[number * len(answers) // count] for number in range(count)]


@contextmanager
def _opened(found: FoundStudent, form: str, out: Path, base: str) -> Iterator[Engine]:
    if form == "gguf":
        yield llama_of_file(found, out / GGUF_NAME, base)
        return
    adapter = None
    model: LanguageModel
    if form == "merged":
        from potstill.models.torch_base import load_base

        wanted = found.study.student.precision
        precision = wanted if wanted == "float32" else "bfloat16"
        model = load_base(out, precision, found.study.student.device)
    elif form == "mlx":
        model = load_model(found, base, "mlx")
        _put_on(model, out)
    else:
        model = load_model(found, base, "torch")
        adapter = out
    tokens = model.context_tokens
    with (
        model.lease("the check of an export"),
        open_decoder(model, adapter, tokens, found.study.evaluation.batch_size) as decoder,
    ):
        names = {"mlx": "mlx-lm", "merged": "transformers", "peft": "peft"}
        yield model_engine(model, decoder, names[form])


def _put_on(model: LanguageModel, folder: Path) -> None:
    """Put an MLX adapter on a base with mlx-lm's own loader."""
    from mlx_lm.tuner.utils import load_adapters

    mlx_model = model.model  # type: ignore[attr-defined]
    load_adapters(mlx_model, str(folder))
    mlx_model.eval()


def _compared(
    name: str, answers: Sequence[tuple[Problem, Response]], said: Sequence[tuple[str, Finish]]
) -> Reasked:
    now = [
        (problem, replace(response, text=text, reasoning="", finish=finish, attempt=-1))
        for (problem, response), (text, finish) in zip(answers, said, strict=True)
    ]
    verdicts = list(grade_responses([*answers, *now]))
    right = [verdict.outcome is Outcome.CORRECT for verdict in verdicts]
    same = sum(_whole(was) == text for (_, was), (text, _) in zip(answers, said, strict=True))
    count = len(answers)
    return Reasked(name, count, sum(right[:count]), sum(right[count:]), same)


def _whole(response: Response) -> str:
    """Return what the student wrote, whose reasoning the study may have parted from its answer."""
    return response.text if not response.reasoning else f"{response.reasoning}{response.text}"
