"""Files of generated programs that are the same in every framework, as they are emitted."""
