"""Random specs, each compiled and compared; what disagrees is cut down to a small spec."""
