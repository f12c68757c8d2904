"""Finding recipes: a bundled one by name, or any file by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, suggest
from xgraph.ir.document import Entry, Scalar, describe
from xgraph.recipe import overlay
from xgraph.recipe.reading import read_recipe
from xgraph.recipe.recipe import Recipe
from xgraph.spec.library import specs_directory
from xgraph.spec.overlay import load_layers


def recipes_directory() -> Path:
    """The folder of bundled recipes, in a checkout as in an installed wheel."""
    return specs_directory() / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Names of the bundled recipes, sorted."""
    return tuple(sorted(path.stem for path in recipes_directory().glob("*.yaml")))


def load_recipe(
    path_or_name: str | Path,
    shown_as: str | None = None,
    span: Span | None = None,
    settings: Sequence[str] = (),
) -> Recipe:
    """The recipe in a file (`my/recipe.yaml`), or the bundled one of that name (`imagenet`).

    Args:
        path_or_name: what is wanted.
        shown_as: how messages call a file.
        span: where it is wanted, such as in a spec.
        settings: `recipe.key=value` texts laid over it.

    Raises:
        SpecError: XG604 when it is not found, XG101–XG112 when the file is not sound YAML,
            XG601–XG603 when it is not a sound recipe, XG801–XG804 when it extends what cannot be
            or a setting is none.
    """
    given = str(path_or_name)
    where = span or Span(Source("--recipe", given), 1, 1, max(1, len(given)))
    path, found_as = _locate(path_or_name, where)
    tree, texts = load_layers(path, shown_as or found_as, overlay.lay_over, _extended)
    return read_recipe(overlay.override(tree, settings), texts[-1])


def _extended(extends: Entry, path: Path, shown_as: str) -> tuple[Path, str]:
    """Where the recipe lies that another extends: beside it, or a bundled one by name."""
    node = extends.value
    name = node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""
    if name in recipe_names():
        return recipes_directory() / f"{name}.yaml", f"specs/recipes/{name}.yaml"
    is_file = name.endswith((".yaml", ".yml")) and not Path(name).is_absolute()
    if is_file and "\0" not in name and os.path.isfile(path.parent / name):
        return path.parent / name, (Path(shown_as).parent / name).as_posix()
    raise SpecError(
        Diagnostic(
            "XG801",
            "there is no such recipe to extend",
            node.span,
            expected="a .yaml file beside this one, or one of " + ", ".join(recipe_names()),
            received=describe(node),
            hint=suggest(name, recipe_names()),
        )
    )


def _locate(path_or_name: str | Path, span: Span) -> tuple[Path, str]:
    """Where the recipe lies, and how messages call it."""
    given = str(path_or_name)
    if isinstance(path_or_name, Path) or given.endswith((".yaml", ".yml")) or "/" in given:
        path, shown_as = Path(given), given
        hint = None
    else:
        names = recipe_names()
        path = recipes_directory() / f"{given}.yaml"
        shown_as = f"specs/recipes/{given}.yaml"
        hint = suggest(given, names) or "a path to a recipe ends in .yaml"
        if given not in names:
            raise SpecError(_not_found("one of " + ", ".join(names), hint, span))
    if not os.path.isfile(path):
        raise SpecError(_not_found("a recipe file", hint, span))
    return path, shown_as


def _not_found(expected: str, hint: str | None, span: Span) -> Diagnostic:
    return Diagnostic("XG604", "there is no such recipe", span, expected=expected, hint=hint)
