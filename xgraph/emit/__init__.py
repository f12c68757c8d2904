"""From the elaborated program to files: symbolic values, code plan, rendering, atomic writing."""
