"""How Keras says the parts of a recipe, and the definitions that programs take from here."""
