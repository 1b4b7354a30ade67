"""A student as folders and files that other tools open."""
