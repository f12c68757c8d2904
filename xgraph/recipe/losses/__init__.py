"""Losses: what is minimized. One file each."""
