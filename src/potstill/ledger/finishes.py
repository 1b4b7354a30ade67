"""How a reply ended, in whatever word its provider says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from potstill.records import Finish

__all__ = ["FINISH_WORDS", "NO_FINISH", "ending_of", "finish_of", "graver", "is_known", "is_listed"]

_LISTED = {
    Finish.STOP: "stop end_turn stop_sequence eos eos_token complete completed tool_calls tool_use"
    " function_call finished done end stopped_eos stopped_word"
    " success succeeded ok normal no_error",
    Finish.LENGTH: "length max_tokens model_length max_output_tokens max_length limit error_limit"
    " model_context_window_exceeded context_length_exceeded incomplete token_limit max_new_tokens",
    Finish.FILTERED: "content_filter content_filtered sensitive safety refusal recitation spii"
    " prohibited_content blocklist guardrail_intervened error_toxic language",
    # The provider gave up on its own account: nothing was answered, the ask is worth repeating.
    Finish.ERROR: "insufficient_system_resource network_error error server_error abort aborted"
    " cancelled canceled timeout overloaded engine_overloaded load unload malformed_response"
    " internal_error failed failure",
}
_FINISHES = {word: finish for finish, words in _LISTED.items() for word in words.split()}
# What a word that is not listed hints at, the first that fits; any other is a stop.
_HINTS = (
    (
        r"filter|safe|unsafe|sensitiv|moderat|polic|block|prohibit|refus|recit|guard|censor|flag|declin"
        r"|toxic|harm|violat|denied|copyright|pii|jailbreak|abus|inappropriate|forbid",
        Finish.FILTERED,
    ),
    (r"rate|quota|time|deadline", Finish.ERROR),
    (
        r"max|limit|length|truncat|incomplete|unfinished|not_finished|context|budget|exhaust|cut"
        r"|window|partial|too_long|repeti|repeat|loop|exceed|overflow|out_of|num_predict|pause|cap(?:ped)?(?:_|\Z)",
        Finish.LENGTH,
    ),
    (
        r"err|fail|abort|cancel|overload|exception|crash|disconnect|unavailable|malformed|invalid"
        r"|interrupt|expire|shutdown|kill|preempt|evict|oom|panic|lost|reject|broken|internal"
        r"|network|connection|unexpected|reset|insufficient|capacity|stall",
        Finish.ERROR,
    ),
)
_HINTED = [(re.compile(rf"(?:\A|_)(?:{words})"), finish) for words, finish in _HINTS]
_NO_END = {
    *("null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified", "continue"),
    *("in_progress", "generating", "running", "queued", "pending", "processing", "streaming"),
}
_SEAM = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s.:-]+")
NO_FINISH = "no finish_reason"
# Our own word for each.
FINISH_WORDS = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.FILTERED: "content_filter",
    Finish.ERROR: "error",
}
_GRAVITY = [Finish.STOP, Finish.LENGTH, Finish.FILTERED, Finish.ERROR]


def finish_of(word: str) -> Finish:
    """Return how a reply ended of which a provider says this word."""
    if word in _FINISHES:
        return _FINISHES[word]
    return next((finish for hint, finish in _HINTED if hint.search(word)), Finish.STOP)


def is_listed(word: str) -> bool:
    """Return whether a word is one that providers are known to say."""
    return word in _FINISHES


def is_known(word: str) -> bool:
    """Return whether a word tells an ending, by what is known of it or what it hints at."""
    return is_listed(word) or finish_of(word) is not Finish.STOP


def ending_of(choice: Mapping[str, Any]) -> str:
    """Return a provider's word for how a choice ended in lower case, "" for none."""
    names = ("finish_reason", "native_finish_reason", "finishReason", "finish_details")
    return next(filter(None, (_word(choice.get(name)) for name in names)), "")


def _word(finish: Any) -> str:
    if isinstance(finish, list) and len(finish) == 1:
        finish = finish[0]
    if isinstance(finish, Mapping):  # SGLang's own: {"type": "length", "length": 99}
        finish = finish.get("type") or finish.get("reason")
    if not isinstance(finish, str):
        return ""
    word = _SEAM.sub("_", finish.strip()).lower().removeprefix("finish_reason_")
    return "" if word in _NO_END else word


def graver(one: str, other: str) -> str:
    """Return which of two words of a stream tells its ending: a failure before a filter, a cut,
    a stop, and a word that nobody knows.
    """
    return max(one, other, key=_gravity) if one and other else one or other


def _gravity(word: str) -> int:
    return _GRAVITY.index(finish_of(word)) if is_known(word) else -1
