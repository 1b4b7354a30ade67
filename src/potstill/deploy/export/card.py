"""The model card of an exported student: what it is, how it was asked, how well it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from potstill.deploy.export.card_head import card_head
from potstill.report.claims import difference
from potstill.report.phrases import markdown, percent, shown
from potstill.report.readings import unread_sentence
from potstill.text import several

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.deploy.export.reasking import Reasked
    from potstill.models.gguf_base import Origin

__all__ = ["model_card"]

_POCKET_PARAMETERS = "1.77"
_LIBRARY = {
    "peft": "peft",
    "mlx": "mlx",
    "merged": "transformers",
    "gguf": "gguf",
    "ollama": "gguf",
}
_USE = {
    "peft": (
        "Load the base with transformers, then `PeftModel.from_pretrained(base, FOLDER)` with peft."
    ),
    "mlx": "`mlx_lm.load(BASE, adapter_path=FOLDER)` with mlx-lm.",
    "merged": "`AutoModelForCausalLM.from_pretrained(FOLDER)` with transformers.",
    "gguf": "`llama-server -m model.gguf`, or any program built on llama.cpp.",
    "ollama": "`ollama create NAME -f Modelfile`, then `ollama run NAME`.",
}


def model_card(
    found: FoundStudent, form: str, note: str, reasked: Reasked, origin: Origin | None = None
) -> str:
    """Return README.md with its YAML head; every figure is the study's report's own.

    ``note`` says in what the form departs from the student (its dtype, its quantisation),
    ``origin`` of which GGUF file its base was made. The
    license is left to whoever publishes the student.
    """
    student = found.student
    parts = [
        f"---\n{card_head(found, _LIBRARY[form])}---",
        f"# {student.id}",
        _about(found),
        "## How well it does",
        "\n".join(_figures(found)),
        *_against_base(found),
        *_unread(found),
        reasked.sentence,
        "## How it is asked",
        _asked(found),
        "## How it was trained",
        f"{_examples(found)}, "
        f"{student.trained_parameters:,} trained parameters, "
        f"seed {student.seed}; the checkpoint kept: {student.chosen_why}.",
        f"Base: {_base(found)}; sha256 {student.base_hash}; adapter sha256 {student.adapter_hash}; "
        f"recipe {student.recipe_hash[:16]}, data {student.data_hash[:16]}.",
        *([markdown(origin.sentence)] if origin else []),
        "## How to load it",
        _use(found, form) + (f" {note}" if note else ""),
        "The license is not stated here: that of the base and of the training data decide it.",
    ]
    return "\n\n".join(parts) + "\n"


def _about(found: FoundStudent) -> str:
    study, student = found.study, found.student
    return (
        f"A student of the study {study.name}, distilled with Potstill onto {_base(found)} from "
        f"lessons {student.variant}. {study.about}".strip()
    )


def _examples(found: FoundStudent) -> str:
    """Return what it was trained on: its lessons, and the chats that were replayed beside them."""
    lessons = several(found.student.trained_examples - found.replayed, "lesson")
    if not found.replayed:
        return lessons
    return f"{lessons} and {several(found.replayed, 'ordinary chat')} (replayed against forgetting)"


def _base(found: FoundStudent) -> str:
    """Return the base's name, and of the one that is on no hub where it is to be had."""
    if not found.study.student.is_shipped:
        return found.base_name
    shipped = f"Potstill {version('potstill')}, folder `potstill/pocket/student`"
    toy = f"a toy of {_POCKET_PARAMETERS} million parameters"
    return f"{found.base_name}, {toy} that ships with {shipped}"


def _use(found: FoundStudent, form: str) -> str:
    if form not in ("peft", "mlx") or not found.study.student.is_shipped:
        return _USE[form]
    return f"`from potstill.pocket import STUDENT_PATH as base` is the base. {_USE[form]}"


def _figures(found: FoundStudent) -> Iterator[str]:
    if not found.scores:
        yield "The study has not been scored."
        return
    yield "| asked as | held-out set | n | accuracy | 95 % interval | base | condition |"
    yield "|---|---|---|---|---|---|---|"
    for row in found.scores:
        beside = next((x for x in found.base_scores if _same(x, row)), None)
        base = f"{percent(beside['accuracy'])} %" if beside else ""
        yield (
            f"| {row['level']} | {row['set']} | {row['n']:,} | {percent(row['accuracy'])} % | "
            f"{percent(row['low'])} to {percent(row['high'])} % | {base} | {row['condition_id']} |"
        )


def _against_base(found: FoundStudent) -> Iterator[str]:
    """Yield what the study's report says of its level beside the base, all seeds together."""
    for pair in found.against:
        if pair["blocked"]:
            continue
        seeds = f", all {len(pair['seeds_a'])} seeds," if len(pair["seeds_a"]) > 1 else ""
        told = difference(dict(pair))
        yield f"{pair['a']}{seeds} beside the base on {markdown(pair['set'])}: {told}."


def _unread(found: FoundStudent) -> Iterator[str]:
    """Yield a warning where many answers of the student or its base could not be read; a few of
    them.
    """
    for row in found.unread:
        yield f"**Warning.** {markdown(unread_sentence(row))}"
        yield "\n".join(
            f"- {markdown(x['problem_id'])}, ends with: {markdown(x['end'])}"
            for x in row["examples"]
        )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("set", "condition_id"))


def _asked(found: FoundStudent) -> str:
    condition, sampling = found.condition, found.condition.sampling
    system = f"System text:\n\n{_block(condition.system)}\n\n" if condition.system else ""
    arguments = found.study.student.template
    given = ", ".join(f"{name}={value!r}" for name, value in sorted(arguments.items()))
    with_ = f" (`apply_chat_template(..., {given})`)" if given else ""
    return (
        f"{system}Prompt, put around the problem and rendered with the chat template{with_}:\n\n"
        f"{_block(condition.template)}\n\nTemperature {sampling.temperature:g}, top_p "
        f"{sampling.top_p:g}, at most {sampling.max_tokens:,} tokens, weights in "
        f"{condition.precision}."
    )


def _block(text: str) -> str:
    return "\n".join(f"    {line}" for line in shown(text).splitlines())
