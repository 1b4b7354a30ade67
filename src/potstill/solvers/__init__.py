"""Whoever answers: an API, a local model, a record.

A solver completes chats (:class:`~potstill.chat.Ask` in, :class:`~potstill.chat.Completion` out, in
any order, as they come). The teacher, the verifier, the condenser, the base and every student are
solvers; :func:`~potstill.solvers.solve.solve` asks any of them any problems under a stated
condition.
"""
