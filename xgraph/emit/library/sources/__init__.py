"""Readers: a file for each of `xgraph.recipe.sources`, by the same name."""
