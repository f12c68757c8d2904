"""How long the compiler takes, as whole processes.

    python benchmarks/compile_time.py [--rounds 11]

`xgraph compile` of Xception in multiples of `python -c pass`, and `xgraph summary` of graphs of
1,000 to 1,000,000 nodes.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIG = """
xgraph: 1
name: big
params: {n: 100}
input: {shape: [32, 32, 3]}
blocks:
  unit:
    params: {filters}
    body:
    - residual:
      - repeat: 2
        body: [{conv: {filters: $filters, kernel: 3, padding: same, bias: false}}, batch_norm, relu]
      - identity
      - identity
    - relu
graph:
  stem: [{conv: {filters: 8, kernel: 3, padding: same}}]
  body: [{repeat: $n, body: [{unit: 8}]}]
  head: [global_avg_pool, {dense: 10}]
"""  # ten nodes a unit


def seconds(*command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        xgraph = [sys.executable, "-m", "xgraph"]
        ratios, times = [], []
        for number in range(options.rounds + 1):
            output = str(Path(folder, f"out{number}"))
            compiled = seconds(*xgraph, "compile", "xception", "-o", output)
            nothing = seconds(sys.executable, "-c", "pass")
            if number:  # the first round warms the caches
                times.append(compiled)
                ratios.append(compiled / nothing)
        print(
            f"compile xception: {statistics.median(times):.3f} s, "
            f"{statistics.median(ratios):.1f} × `python -c pass` "
            f"({min(ratios):.1f} to {max(ratios):.1f})"
        )
        spec = Path(folder, "big.yaml")
        spec.write_text(BIG)
        for units in (100, 1_000, 10_000, 100_000):
            taken = seconds(*xgraph, "summary", str(spec), "--set", f"n={units}")
            print(f"summary of {units * 10:>9,} nodes: {taken:.2f} s")


if __name__ == "__main__":
    main()
