"""The built-in kinds beyond mathematics, each registered as anyone else's would be."""
