"""Which problems two sets share, word for word or nearly."""
