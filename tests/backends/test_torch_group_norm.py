"""Group norms of what no gradient is asked for of: their backward pass ended PyTorch's process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xgraph.backend import Compilation, get
from xgraph.compile import analyse
from xgraph.recipe import load_recipe

#: Of images in channels_last memory, as training programs have them.
SCRIPT = """
import sys
import numpy as np
from xgraph import backend, interpreter
from xgraph.backend import Compilation
from xgraph.compile import analyse
from xgraph.programs import Length
from xgraph.recipe import load_recipe

analysis, torch = analyse(sys.argv[1]), backend.get("torch")
program = torch.load(torch.emit(Compilation(analysis, load_recipe(sys.argv[2]))))
program.set_weights(interpreter.random_weights(analysis.graph, analysis.types))
images = np.random.default_rng(0).standard_normal((2, 3, 9, 8, 3))
batches = [(batch, np.array([0, 1, 0])) for batch in images]
print(np.isfinite(program.train(batches, Length(3, 2, 2), lambda *at: None).losses))
"""
FIRST = "{group_norm: 1, name: norm}, {conv: {filters: 4, kernel: 3}, name: stem}"
SECOND = "{conv: {filters: 4, kernel: 3}, name: stem}, {group_norm: 2, name: norm}"
#: One channel is in both kinds of memory at once.
GRAY = "{conv: {filters: 1, kernel: 1, bias: false}, name: stem}, {group_norm: 1}"
FROZEN = "tune: {freeze: [stem]}"


def written(items, tune, folder):
    spec, recipe = folder / "spec.yaml", folder / "recipe.yaml"
    spec.write_text(
        "xgraph: 1\nname: normed\ninput: {shape: [9, 8, 3]}\n"
        f"graph: [{items}, global_avg_pool, {{dense: 3}}]\n"
    )
    recipe.write_text(f"xgraph_recipe: 1\nname: tuned\nextends: imagenet\n{tune}\n")
    return str(spec), str(recipe)


@pytest.mark.parametrize(("items", "tune"), [(FIRST, ""), (SECOND, FROZEN), (GRAY, FROZEN)])
def test_a_step_is_taken(items, tune, tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, *written(items, tune, tmp_path)],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[ True  True]"


def test_others_stay_in_channels_last(tmp_path):
    spec, recipe = written(SECOND, "", tmp_path)
    files = get("torch").emit(Compilation(analyse(spec), load_recipe(recipe)))
    assert "self.norm(x)" in files["model.py"]
