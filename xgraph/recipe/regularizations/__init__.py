"""Regularizations: what keeps weights small. One file each."""
