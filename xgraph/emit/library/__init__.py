"""What programs are made of that is the same in every framework, as real Python.

`run.py`, `arguments.py`, `checkpoint.py`, `event_file.py` and `inference.py` are emitted as they
are; of the other files, data.py gets what its recipe needs. xgraph reads them as text and never
imports them. Names that a recipe gives a value, such as HEIGHT, have an example's here.
"""
