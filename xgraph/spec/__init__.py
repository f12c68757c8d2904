"""From YAML text to the author's program: loading, expressions, extends, overrides."""
