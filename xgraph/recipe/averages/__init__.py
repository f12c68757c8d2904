"""Averages of weights, which are what gets evaluated and kept. One file each."""
