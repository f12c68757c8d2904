"""One training step of the generated Xception against timm's `legacy_xception`.

    python benchmarks/training_step.py [--batch 2] [--size 299] [--rounds 5]

Each measurement is a process of its own; the two take turns, and ratios are taken pair by pair.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

GENERATED = Path(__file__).parents[1] / "generated" / "xception" / "torch"


def generated_model():
    sys.path.insert(0, str(GENERATED))
    from model import create_model

    return create_model()


def timm_model():
    import torch

    # torchvision's Python code expects operators that its CUDA build of PyTorch registers; beside
    # CPU PyTorch their schemas, without an implementation, are enough to import it.
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool",
                 "deform_conv2d", "qroi_align"):  # fmt: skip
        library.define(f"{name}(Tensor input) -> Tensor")
        library.define(f"_{name}_backward(Tensor input) -> Tensor")
    import timm

    model = timm.create_model("legacy_xception", num_classes=1000, drop_rate=0.5)
    model.library = library  # keep it alive
    return model


def worker(which, options):
    """Steps as training runs them; prints median seconds and the process' peak memory."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    model = {"generated": generated_model, "timm": timm_model}[which]()
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    device = torch.device(options.device)
    model = model.to(device, memory_format=layout).train()
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=layout)
    labels = torch.randint(0, 1000, (options.batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.045, momentum=0.9)
    times = []
    for _ in range(options.steps + 2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps({"seconds": statistics.median(times[2:]), "peak_mib": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--steps", type=int, default=5, help="timed steps in each process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--worker", choices=("generated", "timm"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options)
        return
    results = {"generated": [], "timm": []}
    for _ in range(options.rounds):
        for which, found in results.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", which]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    for key, unit in (("seconds", "s"), ("peak_mib", "MiB")):
        columns = {which: [one[key] for one in found] for which, found in results.items()}
        ratios = [a / b for a, b in zip(columns["generated"], columns["timm"], strict=True)]
        print(
            f"{key}: generated {statistics.median(columns['generated']):.3f} {unit}, "
            f"timm {statistics.median(columns['timm']):.3f} {unit}; ratio "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
