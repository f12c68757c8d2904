"""Table 3 of the paper on the machine at hand: training steps a second of both architectures.

    python benchmarks/table3.py [--frameworks torch,flax,keras] [--device cuda ...]
    python benchmarks/table3.py --results FILE

The paper trained on 60 GPUs: Inception V3 took 31 steps a second and Xception 28. Here both take
turns in one process for each framework (`throughput.py`, to which other arguments are passed on),
and the ratio is what can be compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PAPER = {"xception": 28, "inception_v3": 31}
#: The networks of others that stand for one implementation of both.
PUBLIC = {"timm": "public", "torchvision": "public", "keras.applications": "public"}
OWN = ("generated", "program")


def run(frameworks, arguments):
    """Records of all frameworks, measured now."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "records.jsonl")
        for name in frameworks:
            command = [sys.executable, str(Path(__file__).with_name("throughput.py"))]
            command += ["--framework", name, "--output", str(output), *arguments]
            subprocess.run(command, check=True)
        return read(output)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pairs(records):
    """(framework, mode, whose) → network → steps a second, where both were measured alike."""
    found = {}
    for record in records:
        whose = (
            record["contender"] if record["contender"] in OWN else PUBLIC.get(record["contender"])
        )
        if whose:
            alike = record["framework"], record["mode"], record["batch"], whose
            rate = record["images_per_s"] / record["batch"]
            found.setdefault(alike, {})[record["network"]] = rate
    return {alike: rates for alike, rates in found.items() if rates.keys() == PAPER.keys()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frameworks", default="torch,flax,keras")
    parser.add_argument("--results", type=Path, help="records of `throughput.py`, instead")
    options, others = parser.parse_known_args()
    records = (
        read(options.results) if options.results else run(options.frameworks.split(","), others)
    )
    for device in dict.fromkeys(record["device"] for record in records):
        here = [record for record in records if record["device"] == device]
        print(f"{device}, {here[0]['precision']}: steps a second")
        print(f"{'':38}{'Xception':>10}{'Inception V3':>14}{'ratio':>8}")
        lines = {"the paper, 60 GPUs": PAPER}
        for (framework, mode, batch, whose), rates in pairs(here).items():
            lines[f"{framework}, {mode}, batch {batch}, {whose}"] = rates
        for name, rates in lines.items():
            one, other = rates["xception"], rates["inception_v3"]
            print(f"{name:38}{one:10.2f}{other:14.2f}{one / other:8.2f}")


if __name__ == "__main__":
    main()
