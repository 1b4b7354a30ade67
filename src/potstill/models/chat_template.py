"""Arguments of a chat template, such as Qwen3's ``enable_thinking: false``, made its defaults.

They are written into the template itself, so that whatever renders a chat with the tokenizer, in
training, answering, serving and in the files of an export, renders it alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.plugins import nearest

__all__ = [
    "Arguments",
    "opens_thought",
    "set_defaults",
    "template_arguments",
    "template_text",
    "thinks",
]

Arguments = Mapping[str, Any]

# What whoever renders a chat fills in, and what transformers gives to every template.
_OURS = {
    *("messages", "add_generation_prompt", "tools", "documents", "bos_token", "eos_token"),
    *("pad_token", "unk_token", "raise_exception", "strftime_now", "continue_final_message"),
}


def set_defaults(tokenizer: Any, arguments: Arguments, folder: Path) -> None:
    """Give the tokenizer's template these arguments, wherever a caller does not give others.

    Raises InputError for a name that the template does not read, with the nearest one that it does,
    and for a truth value in quotes.
    """
    if not arguments:
        return
    templates = tokenizer.chat_template
    texts = templates if isinstance(templates, dict) else {"default": templates}
    _check(arguments, template_arguments(template_text(tokenizer)), folder)
    head = "".join(
        f"{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}"
        for name, value in sorted(arguments.items())
    )
    changed = {name: head + text for name, text in texts.items()}
    tokenizer.chat_template = changed if isinstance(templates, dict) else changed["default"]


def template_text(tokenizer: Any) -> str:
    """Return what a tokenizer's chat template reads, all of them joined where it has several."""
    templates = tokenizer.chat_template
    text: str = "".join(templates.values()) if isinstance(templates, dict) else templates
    return text


def thinks(tokenizer: Any) -> bool:
    """Return whether a chat template knows think tags and leaves the answer room for a thought."""
    end = "</think>"
    return end in template_text(tokenizer) and not _prompt_end(tokenizer).endswith(end)


def opens_thought(tokenizer: Any) -> bool:
    """Return whether a prompt ends with an opened thought: the answer begins within it."""
    return _prompt_end(tokenizer).endswith("<think>")


def _prompt_end(tokenizer: Any) -> str:
    chat = [{"role": "user", "content": "?"}]
    text: str = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return text.rstrip()


def template_arguments(template: str) -> tuple[str, ...]:
    """Return the names that a template reads and no one fills in; none where it cannot be read."""
    from jinja2 import TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    # transformers' own tag, around what an assistant says
    plain = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template)
    try:
        read = meta.find_undeclared_variables(environment.parse(plain))
    except TemplateError:
        return ()
    return tuple(sorted(read - _OURS - set(environment.globals)))


def _check(arguments: Arguments, known: tuple[str, ...], folder: Path) -> None:
    for name, value in arguments.items():
        if name in _OURS or not name.isidentifier():
            raise InputError(
                f"student.template: {name!r} is not to be set here; set what the template of the "
                f"model itself asks for ({', '.join(known) or 'nothing'})."
            )
        if name not in known:
            says = nearest(name, known) if known else "; it reads no argument at all"
            raise InputError(
                f"student.template: the chat template of {folder} knows no {name!r}{says}."
            )
        if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off"):
            raise InputError(
                f"student.template: {name} is the text {value!r}, which a template takes for true; "
                "write true or false without quotes."
            )


def _literal(value: Any) -> str:
    """Return a plain value as jinja2 writes it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(_literal(x) for x in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(k)}: {_literal(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
