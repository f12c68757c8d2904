"""What training means: optimizer, schedule, loss, averaging, images, cadence.

A recipe is a YAML file of its own and knows nothing of architectures: any recipe trains any model.
"""

from xgraph.recipe.library import load_recipe, recipe_names, recipes_directory
from xgraph.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_names", "recipes_directory"]
