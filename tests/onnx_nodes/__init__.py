"""ONNX's own backend tests as an oracle of what ops mean.

`cases` reads them out of the `onnx` package, `mapping` says by rules which of them a spec can
express, and `test_nodes` compiles those specs and compares with the outputs that ONNX expects.
`python -m tests.onnx_nodes` prints what is mapped, what is not, and why.
"""
