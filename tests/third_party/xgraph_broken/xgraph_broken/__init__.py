"""What entry points may wrongly name."""

PLAIN = {"name": "plain"}
