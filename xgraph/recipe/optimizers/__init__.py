"""Optimizers: how a gradient becomes a step. One file each."""
