"""What training knows of a model: the digest by which a run knows its network."""

from __future__ import annotations

from xgraph.compile import analyse
from xgraph.recipe.facts import model_facts

SPEC = """\
xgraph: 1
name: {name}
input: {{shape: [8, 8, 3]}}
graph:
- {{max_pool: {{kernel: 2{more}}}}}
- [{{conv: {{filters: {filters}, kernel: 1}}}}, global_avg_pool]
"""


def digest(folder, name="net", more="", filters="4"):
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(name=name, more=more, filters=filters))
    return model_facts(analyse(str(path))).digest


def test_the_digest_is_of_the_network(tmp_path):
    """Not of its name, nor of what is said that is so anyway: a new attribute has a default."""
    usual = digest(tmp_path)
    assert digest(tmp_path, name="other") == usual
    assert digest(tmp_path, more=", padding: valid, ceil_mode: false") == usual
    assert (
        digest(tmp_path, more=", stride: 2") != usual
    )  # not the default, though it means the same
    others = [digest(tmp_path, more=", ceil_mode: true"), digest(tmp_path, filters="5")]
    assert len({usual, *others}) == 3
