"""The built-in kinds beyond mathematics, each registered as a stranger's would be."""
