"""How a plan is made: what classes share, how numbers are spelled, how items become statements."""
