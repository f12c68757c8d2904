"""Networks from elsewhere: read as graphs of ops, brought to one form, walked beside a spec's.

`readers` make a `Network` of a source's own graph, a file for each kind of source, with the help of
`axes` where a source moves its axes about; `normal` says the same thing of two networks that are
the same; `equal` pairs their layers from the outputs on, and so knows which weight of the one is
which of the other; `sources` finds what a user names; `weights` carries weights over, either way.
"""
