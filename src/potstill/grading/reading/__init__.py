"""Reading prose: from the sentences of a response to the answer that they state."""
