"""The two levels of a program: the flat graph, and the author's structure."""
