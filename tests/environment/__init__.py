"""The packages that everything else is run with: the lock, and the lower bounds."""
