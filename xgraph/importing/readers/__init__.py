"""Readers: each makes a network of what one framework has written down, op by op, in a table."""
