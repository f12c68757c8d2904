"""How workers that do not wait for each other train one model. One file each."""
