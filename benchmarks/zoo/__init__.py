"""How much of public zoos `xgraph import` reads, and what it writes of it."""
