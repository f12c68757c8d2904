"""Names that `nnx.Module` already uses; a layer of that name gets a trailing underscore."""

MODULE_ATTRIBUTES = frozenset(
    {
        "eval",
        "iter_children",
        "iter_modules",
        "perturb",
        "set_attributes",
        "set_view",
        "sow",
        "train",
    }
)
