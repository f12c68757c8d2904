"""Compile an update of a generated Flax program for an H100 that is not there, and say what it is.

    python compile_update.py PROGRAM BATCH HEIGHT WIDTH PRECISION

XLA's compiler for CUDA needs a description of the device, and no device. The output is a line of
JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import jax
import jax.numpy as jnp
import model as program
import parts
import train
from flax import nnx
from jax._src import xla_bridge
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

TARGET = Path(__file__).with_name("target.txtpb")


def main() -> None:
    batch, height, width = map(int, sys.argv[2:5])
    xla_bridge.discover_pjrt_plugins()  # without a backend for CUDA, which would want a device
    description = topologies.get_topology_desc(
        platform="cuda", target_config=TARGET.read_text(encoding="utf-8"), topology="1x1x1"
    )
    there = SingleDeviceSharding(description.devices[0])

    def like(array: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=there)

    model = program.create_model()
    if sys.argv[5] != "float32":
        parts.set_precision(model, jnp.dtype(sys.argv[5]))
    definition, state = nnx.split(train.Training(model))
    training = nnx.merge(definition, jax.tree.map(like, state))
    images = like(jnp.zeros((batch, height, width, 3)))
    labels = like(jnp.zeros(batch, jnp.int32))
    traced = train.update.trace(training, 0, images, labels, 0.1)
    compiled = traced.lower(lowering_platforms=("cuda",)).compile()
    memory, text = compiled.memory_analysis(), compiled.as_text()
    found = {
        "state": sum(leaf.nbytes for leaf in jax.tree.leaves(state)),
        "reused": memory.alias_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "cudnn": text.count('custom_call_target="__cudnn$conv'),
        "fusions": text.count("fusion("),
        "float64": "f64[" in text,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
