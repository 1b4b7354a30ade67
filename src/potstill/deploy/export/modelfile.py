"""An Ollama Modelfile for a student: its chat template as a Go template, its prompt, its limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError
from potstill.models.folder import stop_tokens

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent

__all__ = ["MODELFILE_NAME", "go_template", "modelfile"]

MODELFILE_NAME = "Modelfile"
# Stand-ins for the turns while the model's own template is rendered; no model text holds these.
_SYSTEM, _PROMPT, _RESPONSE = "\ue000system\ue000", "\ue000prompt\ue000", "\ue000response\ue000"


def modelfile(
    found: FoundStudent, tokenizer: Any, base: Path, source: str, context_tokens: int
) -> str:
    """Return the Modelfile's text; ``source`` is what stands after FROM, ``base`` the base's
    folder.

    TEMPLATE renders what the study sent: the chat template around the study's prompt. Raises
    InputError for a template that a Modelfile cannot hold.
    """
    condition = found.condition
    sampling = condition.sampling
    lines = [f"FROM {source}", f"TEMPLATE {_quoted(go_template(tokenizer, condition.template))}"]
    if condition.system:
        lines.append(f"SYSTEM {_quoted(condition.system)}")
    ends = tokenizer.convert_ids_to_tokens(stop_tokens(base, tokenizer))
    lines += [f'PARAMETER stop "{token}"' for token in ends if token is not None]
    lines += [
        f"PARAMETER temperature {sampling.temperature:g}",
        f"PARAMETER top_p {sampling.top_p:g}",
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER seed {sampling.seed}",
        f"PARAMETER num_ctx {context_tokens}",
        f"PARAMETER num_predict {sampling.max_tokens}",
    ]
    return "\n".join(lines) + "\n"


def go_template(tokenizer: Any, prompt: str = "{problem}") -> str:
    """Return ollama's template of one turn, made by rendering the tokenizer's own with stand-ins.

    ``prompt`` is put around what the user says. With a system text and without are two renderings,
    for many templates bring a system text of their own.
    """
    user = {"role": "user", "content": prompt.replace("{problem}", _PROMPT)}
    plain = _rendered(tokenizer, [user])
    ends = _rendered(tokenizer, [user, {"role": "assistant", "content": _RESPONSE}], open_=False)
    end = ends.partition(_RESPONSE)[2]
    try:
        told = _rendered(tokenizer, [{"role": "system", "content": _SYSTEM}, user])
    except InputError:  # a family without system turns
        return f"{_go(plain)}{{{{ .Response }}}}{_go(end)}"
    return (
        f"{{{{ if .System }}}}{_go(told)}{{{{ else }}}}{_go(plain)}{{{{ end }}}}"
        f"{{{{ .Response }}}}{_go(end)}"
    )


def _rendered(tokenizer: Any, chat: list[dict[str, str]], *, open_: bool = True) -> str:
    """Return a chat as text, without the first token where the runtime itself puts it there."""
    try:
        text: str = tokenizer.apply_chat_template(chat, add_generation_prompt=open_, tokenize=False)
    except Exception as exc:  # jinja2's errors, and whatever a template raises by itself
        raise InputError(f"The chat template refuses such a chat ({exc}).") from exc
    first = tokenizer.bos_token
    begins = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(first) if first and begins else text


def _go(text: str) -> str:
    """Return rendered text as Go template source: braces quoted, stand-ins turned into its
    fields.
    """
    quoted = text.replace("{{", '{{ "{{" }}')
    return quoted.replace(_SYSTEM, "{{ .System }}").replace(_PROMPT, "{{ .Prompt }}")


def _quoted(text: str) -> str:
    if '"""' in text:
        raise InputError(
            'A Modelfile cannot hold a template or system text with """ in it; change the study\'s '
            "prompt, or export with --to gguf."
        )
    return f'"""{text}"""'
