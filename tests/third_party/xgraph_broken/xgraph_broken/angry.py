"""A backend that fails while it is imported."""

raise RuntimeError("not with this version")
