"""What data.py is picked from: real Python, of which a program gets what its recipe needs.

xgraph reads these files as text and never imports them. Names that a recipe gives a value, such as
HEIGHT, have an example's here.
"""
