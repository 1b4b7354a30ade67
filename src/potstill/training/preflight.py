"""A base looked at before anything is paid for: whether it can be opened, trained and asked.

Configuration, tokenizer and chat template are read; weights that are here are looked at, file by
file, but make no model. What only shows itself then (too little memory) is found when the base is
opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.chat import Message
from potstill.cores import core_count
from potstill.errors import InputError, PotstillError, StudyError
from potstill.models.architecture import TRIED, context_tokens, read_config
from potstill.models.chat_template import opens_thought, template_arguments, template_text, thinks
from potstill.models.folder import find_described_folder, read_config_file, weight_files
from potstill.models.gguf_base import check_room_for, gguf_of
from potstill.models.model import prompt_text, prompt_tokens
from potstill.text import several
from potstill.training.metrics import check_trackers
from potstill.training.recipe import Recipe
from potstill.training.targets import check_targets

__all__ = ["BaseFindings", "WantedBase", "check_base", "look_at_base"]

_BEYOND = 100
"""So many times its context nobody means an answer's limit to be."""

# Stand-ins for texts, to see what a template makes of them.
_SYSTEM, _PROBLEM = "Potstill's system text", "Potstill's problem"


@dataclass(frozen=True, slots=True)
class WantedBase:
    """What a study asks of its base.

    ``path`` is a folder or hub id, ``recipe`` none where it is asked and not trained, ``system``
    and ``prompt`` the evaluation's, ``answer_tokens`` its limit. ``problems`` are texts to be put
    into the prompt, as far as they are known: the shortest and the longest prompt are compared
    with the limits. ``raw`` says that R0 is taught, in the form ``thinking``,
    and ``condensed`` that other levels are. ``elsewhere`` is for a base that other machines will
    open: what this one has of devices and packages is not asked.
    """

    path: str
    recipe: Recipe | None = None
    backend: str = "torch"
    precision: str = "float32"
    device: str = "auto"
    template: Mapping[str, Any] = field(default_factory=dict)
    thinking: str = "auto"
    raw: bool = False
    condensed: bool = True
    system: str = ""
    prompt: str = "{problem}"
    answer_tokens: int = 1
    problems: Sequence[str] = ()
    trackers: Sequence[str] = ()
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class BaseFindings:
    """What stands in a study's way, a sentence each, and what it had better know."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def check_base(wanted: WantedBase) -> tuple[str, ...]:
    """Return warnings on a study's base. Raises StudyError with the first that stands in its way,
    and how many more there are.
    """
    found = look_at_base(wanted)
    if found.errors:
        more = len(found.errors) - 1
        raise StudyError(found.errors[0] + (f" ({more} more beside it.)" if more else ""))
    return found.warnings


def look_at_base(wanted: WantedBase) -> BaseFindings:
    """Return all that can be said of a study's base without opening it.

    A hub id's configuration and tokenizer are fetched, its weights are not; of a GGUF file the
    header is read.
    """
    errors: list[str] = []
    warnings: list[str] = []
    for look in () if wanted.elsewhere else (_look_at_packages, _look_at_device):
        errors += look(wanted)
    try:
        folder = find_described_folder(wanted.path)
        file = gguf_of(wanted.path)
        if file is not None and not wanted.elsewhere:
            check_room_for(file)
    except InputError as exc:
        return BaseFindings((*errors, str(exc)), ())
    for part in (_look_at_model, _look_at_chat):
        for is_error, sentence in part(wanted, folder):
            (errors if is_error else warnings).append(sentence)
    if not errors:
        errors += _look_at_weights(wanted, folder)
    return BaseFindings(tuple(dict.fromkeys(errors)), tuple(dict.fromkeys(warnings)))


Found = Iterator[tuple[bool, str]]


def _look_at_packages(wanted: WantedBase) -> Iterator[str]:
    from potstill.models.mlx_architecture import refuse_without_mlx

    try:
        check_trackers(wanted.trackers)
    except InputError as exc:
        yield str(exc)
    if wanted.backend == "mlx":
        try:
            refuse_without_mlx()
        except InputError as exc:
            yield str(exc)


def _look_at_device(wanted: WantedBase) -> Iterator[str]:
    from potstill.models.torch_base import check_precision, choose_device

    if wanted.backend == "mlx":
        if wanted.precision not in ("float32", "bfloat16"):
            yield (
                f"backend: mlx knows float32 and bfloat16, not {wanted.precision!r}; set "
                "student.precision: bfloat16, or give a base of mlx-community's that is held in 4 "
                "bits."
            )
        return
    try:
        check_precision(wanted.precision, choose_device(wanted.device))
    except InputError as exc:
        yield str(exc)


def _look_at_model(wanted: WantedBase, folder: Path) -> Found:
    """Yield what is wrong with architecture and adapter."""
    from potstill.models.decoder_check import check_smaller_model

    try:
        _refuse_quantised(wanted, folder)
        config = read_config(folder)
        linear = _linear_of_mlx(config, folder) if wanted.backend == "mlx" else _linear(config)
        if wanted.backend != "mlx" and config.model_type not in TRIED:
            check_smaller_model(config, folder)
    except PotstillError as exc:
        yield True, str(exc)
        return
    if linear and wanted.recipe:
        try:
            check_targets(linear, wanted.recipe, wanted.path, int(config.num_hidden_layers))
        except InputError as exc:
            yield True, str(exc)
    width = getattr(config, "hidden_size", None)
    if wanted.recipe and isinstance(width, int) and wanted.recipe.rank > width:
        yield (
            True,
            f"training.rank: {wanted.recipe.rank:,} is more than the width of {wanted.path} "
            f"({width:,}), beyond which a rank adds nothing; give {min(16, width)} or so.",
        )
    if wanted.recipe and not wanted.elsewhere and wanted.recipe.threads > core_count():
        yield (
            False,
            f"training.threads: {wanted.recipe.threads:,} is more than the "
            f"{several(core_count(), 'core')} here, which they wait for; 0 takes what is good.",
        )
    context = context_tokens(config)
    most = wanted.recipe.max_sequence_tokens if wanted.recipe else "auto"
    if most != "auto" and most > context:
        yield (
            False,
            f"training.max_sequence_tokens ({most:,}) is more than "
            f"the context of {wanted.path} ({context:,} tokens): longer lessons are left out.",
        )


def _look_at_weights(wanted: WantedBase, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the weights, where they are here."""
    from potstill.models.mlx_base import refuse_missing_for_mlx
    from potstill.models.weights import refuse_damaged, refuse_unfit_files

    files = weight_files(folder)
    config = read_config(folder)
    if not files or (wanted.backend != "mlx" and not _linear(config)):
        return
    try:
        if wanted.backend == "mlx":
            refuse_damaged(folder, files)
            refuse_missing_for_mlx(config, folder)
        else:
            refuse_unfit_files(config, folder, files)
    except InputError as exc:
        yield str(exc)


def _refuse_quantised(wanted: WantedBase, folder: Path) -> None:
    content = read_config_file(folder)
    if wanted.backend == "mlx":
        return
    if "quantization" in content:
        raise StudyError(
            f"{wanted.path} holds weights that mlx-lm has quantised; set student.backend: mlx, or "
            "give the full-precision model that it was made from."
        )
    if "quantization_config" in content:
        told = content["quantization_config"]
        method = told.get("quant_method") if isinstance(told, dict) else None
        raise StudyError(
            f"{wanted.path} holds quantised weights ({method or 'by a method not named'}); give "
            "the full-precision model that it was made from (student.precision: nf4 holds that in "
            "4 bits, on CUDA)."
        )


def _linear(config: Any) -> list[str]:
    """Return the paths of the linear modules of a torch model that has no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config
    try:
        with torch.device("meta"):
            model = make(config)
    except Exception:  # an architecture that computes while it is built: seen when it is opened
        return []
    return [path for path, x in model.named_modules() if isinstance(x, torch.nn.Linear)]


def _linear_of_mlx(config: Any, folder: Path) -> list[str]:
    from potstill.models.mlx_architecture import mlx_settings, untrained_model

    written = read_config_file(folder)
    model = untrained_model(written | mlx_settings(config, folder), folder)
    return [
        name
        for name, module in model.layers[-1].named_modules()
        if type(module).__name__ in ("Linear", "QuantizedLinear")
    ]


def _look_at_chat(wanted: WantedBase, folder: Path) -> Found:
    """Yield what is wrong with tokenizer, template and the lengths of prompts."""
    from potstill.models.torch_base import load_tokenizer

    try:
        tokenizer = load_tokenizer(folder, wanted.template)
        yield from _look_at_template(wanted, tokenizer)
        longest = _prompts(wanted, tokenizer)
        config = read_config(folder)
    except PotstillError as exc:
        yield True, str(exc)
        return
    yield from _look_at_lengths(wanted, longest, context_tokens(config))
    highest = max(tokenizer.eos_token_id, *(max(prompt) for prompt in longest))
    if highest >= config.vocab_size:
        yield (
            True,
            f"The tokenizer of {wanted.path} gives the token {highest:,} and the model has "
            f"{config.vocab_size:,}: they are of two models; fetch it again.",
        )


def _look_at_template(wanted: WantedBase, tokenizer: Any) -> Found:
    user = Message("user", _PROBLEM)
    if _PROBLEM not in prompt_text(tokenizer, [user]):
        yield True, f"The chat template of {wanted.path} leaves out what the user says; mend it."
    if wanted.system:
        try:
            told = prompt_text(tokenizer, [Message("system", _SYSTEM), user])
        except InputError as exc:
            raise StudyError(
                f"The chat template of {wanted.path} takes no system text ({exc}); leave "
                "evaluation.system empty and begin evaluation.prompt with it."
            ) from exc
        if _SYSTEM not in told:
            yield (
                True,
                f"The chat template of {wanted.path} leaves out the system text; leave "
                "evaluation.system empty and begin evaluation.prompt with it.",
            )
    yield from _look_at_thinking(wanted, tokenizer)


def _look_at_thinking(wanted: WantedBase, tokenizer: Any) -> Found:
    """Yield where lessons that think, and those that do not, meet a base of the other sort."""
    text = template_text(tokenizer)
    known, tags = "</think>" in text, thinks(tokenizer)
    asked = "enable_thinking" in template_arguments(text) and (
        "enable_thinking" not in wanted.template
    )
    opened = opens_thought(tokenizer)
    if wanted.raw and wanted.thinking == "tags" and known and not tags:
        yield (
            True,
            f"student.thinking: tags would have R0 think, and the chat template of {wanted.path} "
            "ends the thought before the answer; leave out student.template's argument, or set "
            "thinking: plain.",
        )
    elif wanted.raw and wanted.thinking == "tags" and not known:
        yield (
            False,
            f"The chat template of {wanted.path} knows no <think> tags: R0 teaches them to it as "
            "so many letters; student.thinking: plain leaves them out.",
        )
    elif wanted.raw and wanted.thinking == "plain" and tags:
        yield (
            False,
            f"The base {wanted.path} thinks in <think> tags and R0 is taught without them; "
            "student.thinking: auto writes R0 as the base writes.",
        )
    if wanted.condensed and tags and (asked or opened):
        thinks_too = wanted.raw and wanted.thinking != "plain"
        remedy = (
            "student.template: {enable_thinking: false} tells it"
            if asked and not thinks_too
            else "it learns from them to answer at once"
        )
        unless = "unless it is told not to, " if asked else ""
        which = "no lesson but R0" if thinks_too else "no lesson"
        yield (
            False,
            f"The chat template of {wanted.path} has the base think before it answers {unless}and "
            f"{which} begins with such a thought; {remedy}.",
        )


def _prompts(wanted: WantedBase, tokenizer: Any) -> list[list[int]]:
    """Return the shortest and the longest prompt as tokens."""
    system = [Message("system", wanted.system)] if wanted.system else []
    prompts = [
        prompt_tokens(
            tokenizer, [*system, Message("user", wanted.prompt.replace("{problem}", text))]
        )
        for text in wanted.problems or [""]
    ]
    return [min(prompts, key=len), max(prompts, key=len)]


def _look_at_lengths(wanted: WantedBase, prompts: list[list[int]], context: int) -> Found:
    shortest, longest = (len(prompt) for prompt in prompts)
    limit = wanted.recipe.sequence_tokens(context) if wanted.recipe else context
    # an answer of one token and its end
    if wanted.recipe and shortest + 2 > limit and limit < context:
        yield (
            True,
            f"training.max_sequence_tokens is {limit:,} and the shortest prompt alone has "
            f"{several(shortest, 'token')}, so no lesson would be trained on; set it to "
            f"{min(context, _round_up(longest + wanted.answer_tokens)):,} or so.",
        )
    if shortest >= context:
        yield (
            True,
            f"The shortest prompt has {shortest:,} tokens and the context of {wanted.path} is "
            f"{context:,}; shorten evaluation.prompt, or take a base with a longer context.",
        )
    elif wanted.answer_tokens > _BEYOND * context:
        yield (
            True,
            f"evaluation.max_tokens: {wanted.answer_tokens:,} is far beyond the context of "
            f"{wanted.path} ({context:,}); give {context - longest:,} or fewer.",
        )
    elif longest + wanted.answer_tokens > context:
        yield (
            False,
            f"The longest prompt seen ({longest:,} tokens) and evaluation.max_tokens "
            f"({wanted.answer_tokens:,}) go beyond the context of {wanted.path} ({context:,}): "
            "such answers are cut there.",
        )


def _round_up(tokens: int) -> int:
    return 1 << max(1, tokens - 1).bit_length()
