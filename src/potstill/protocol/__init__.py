"""The chat completions protocol: a reply read in whatever dialect it comes, and a server of it."""
