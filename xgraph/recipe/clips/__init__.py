"""Clips: what keeps gradients small. One file each."""
