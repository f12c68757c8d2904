"""From a flat network to the structure that an author would have written.

`decompose` finds what runs side by side, `blocks` and `options` what is said several times with
other numbers, `loops` what follows itself, `skips` what is added where it can be, `rates` the
formula of stochastic depth; `cost` says what a text is worth, and `compress` takes
the steps that pay. All of it works on the trees of `tree`, whose numbers are holes.
"""
