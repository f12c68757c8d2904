"""One pass per file. Passes read the program or the graph and return new data; none mutates."""
