"""Backends of xgraph: one folder per framework."""
