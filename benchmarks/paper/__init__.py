"""The paper's figures of training, on Fashion-MNIST: `python -m benchmarks.paper`."""
