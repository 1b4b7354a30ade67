"""The Modelfile's Go template renders what the tokenizer's own template renders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from potstill.analysis.students import FoundStudent
from potstill.deploy.export.exporting import Export, export_student
from potstill.deploy.export.modelfile import go_template
from potstill.pocket import STUDENT_PATH

# As Qwen2.5's and Llama 3's do: a system text of the template's own, and one that is trimmed.
QWEN_LIKE = (
    "{% if messages[0]['role'] == 'system' %}<|im_start|>system\n{{ messages[0]['content'] }}"
    "<|im_end|>\n{% else %}<|im_start|>system\nYou are helpful {{ '{{' }}x}}.<|im_end|>\n"
    "{% endif %}"
    "{% for m in messages %}{% if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}[{{ m['role'] }}] {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def render_go(template: str, fields: dict[str, str]) -> str:
    """What Go's text/template makes of the few constructs a Modelfile of ours has."""
    chosen = re.sub(
        r"\{\{ if \.System \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}",
        lambda m: m[1] if fields.get("System") else m[2],
        template,
        flags=re.S,
    )
    return re.sub(r'\{\{ (?:\.(\w+)|"(\{\{)") \}\}', lambda m: m[2] or fields.get(m[1], ""), chosen)


@pytest.mark.parametrize("own", ["", QWEN_LIKE, NO_SYSTEM], ids=["pocket", "qwen", "no system"])
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_the_go_template_renders_as_the_tokenizers_own(own: str, system: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(STUDENT_PATH)
    if own:
        tokenizer.chat_template = own
    if own == NO_SYSTEM:
        system = ""
    problem = "What is {{3}} + 4?"
    chat = [{"role": "system", "content": system}] if system else []
    chat.append({"role": "user", "content": f"{problem}\n\nThink."})
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    fields = {"System": system, "Prompt": problem}
    assert render_go(go_template(tokenizer, "{problem}\n\nThink."), fields).startswith(expected)
    answered = [*chat, {"role": "assistant", "content": "Seven."}]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    template = go_template(tokenizer, "{problem}\n\nThink.")
    assert render_go(template, fields | {"Response": "Seven."}) == whole


def test_the_modelfile_of_a_study(found: FoundStudent, tmp_path: Path) -> None:
    export_student(found, Export("ollama", tmp_path / "o", reask=0))
    text = (tmp_path / "o" / "Modelfile").read_text()
    blocks = dict(re.findall(r'^(TEMPLATE|SYSTEM) """(.*?)"""$', text, flags=re.S | re.M))
    source = re.search(r"^FROM (\S+)$", text, flags=re.M)
    assert source is not None
    assert (tmp_path / "o" / source[1]).exists()
    assert blocks["SYSTEM"] == "You solve problems."
    lines = text.splitlines()
    for line in (
        'PARAMETER stop "<|im_end|>"',
        "PARAMETER temperature 0",
        "PARAMETER num_ctx 4096",
    ):
        assert line in lines
    tokenizer = AutoTokenizer.from_pretrained(STUDENT_PATH)
    chat = [
        {"role": "system", "content": "You solve problems."},
        {"role": "user", "content": "1 + 1?\n\nThink first."},
    ]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    fields = {"System": blocks["SYSTEM"], "Prompt": "1 + 1?"}
    assert render_go(blocks["TEMPLATE"], fields).startswith(expected)
