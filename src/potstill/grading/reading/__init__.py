"""Reading prose: from the sentences of a response to the answer that they state.

:func:`~potstill.grading.reading.statements.answer_stated` is the whole of it. From below:
``vocabulary``, ``sentences`` and ``numerals`` say what stands in a text, ``question`` what a
problem asks, ``cues`` how sentences commit themselves; ``numbers``, ``formulas`` and ``words`` read
the value of a sentence, ``claims`` and ``choosing`` weigh the sentences against one another.
"""
