"""Training students: a recipe, examples, one loop, and the adapter of the best checkpoint.

``recipe``, ``examples`` and ``loop`` import no torch; ``base``, ``adapters`` and ``torch_trainer``
do.
"""
