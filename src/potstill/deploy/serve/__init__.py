"""A student behind HTTP: an OpenAI-compatible server and the tutor's page."""
