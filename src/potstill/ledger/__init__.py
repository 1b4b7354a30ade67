"""Every model call, raw, before anything parses it: the file, its entries, what they cost."""
