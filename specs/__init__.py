"""Specs and recipes that come with xgraph."""
