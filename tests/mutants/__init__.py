"""Seeded faults: each is put into a copy of the compiler, and the checks must notice it.

python -m tests.mutants [--only NAME]
"""
