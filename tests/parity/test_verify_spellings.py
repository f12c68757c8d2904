"""Ordinary modules of PyTorch, held to specs in numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph.cli import main
from xgraph.endings import Ended, ended_in_order
from xgraph.importing.network import Refused
from xgraph.parity import imported, verify
from xgraph.parity.process import Worker

from ..mutants.ports import SPEC, port

QUANTITIES = ["evaluation output", "training output", "gradients of weights", "gradient of images",
              "moving statistics"]  # fmt: skip


@pytest.fixture(scope="module")
def workers():
    found = {"torch": Worker("torch")}
    yield found
    for worker in found.values():
        worker.close()


def spec_of(folder: Path, text: str) -> str:
    path = folder / "port.yaml"
    path.write_text(text)
    return str(path)


class Around(nn.Module):
    """A port, and what comes before and behind it."""

    def __init__(self, before=lambda x: x, behind=lambda y: y) -> None:
        super().__init__()
        self.port, self.before, self.behind = port(), before, behind

    def forward(self, x):
        return self.behind(self.port(self.before(x)))


def held(spec, model, workers, **more):
    return verify(spec, model, backends=list(workers), workers=workers, **more)


ANSWERS = {
    "softmax": lambda y: y.softmax(1),
    "log_softmax": lambda y: F.log_softmax(y, dim=1),
    "log_of_softmax": lambda y: y.softmax(1).log(),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_port_that_ends_in_probabilities_or_their_logarithms(answer, tmp_path, workers):
    report = held(spec_of(tmp_path, SPEC), Around(behind=ANSWERS[answer]), workers)
    assert report.agree, report
    assert [m.quantity for m in report.measurements] == QUANTITIES
    assert max(m.distance for m in report.measurements) <= 1e-12
    other = Around(behind=ANSWERS[answer])
    other.port.register_forward_hook(lambda part, x, y: 1.01 * y if part.training else None)
    report = held(spec_of(tmp_path, SPEC), other, workers)
    wrong = [m.quantity for m in report.measurements if not m.agree]
    assert wrong[:2] == ["training output", "gradients of weights"]


def test_logarithms_are_not_held_to_probabilities(tmp_path, workers):
    text = SPEC.replace("name: classifier}]", "name: classifier}, softmax]")
    report = held(spec_of(tmp_path, text), Around(behind=ANSWERS["log_softmax"]), workers)
    assert "ends in a softmax that the source has not" in report.of_numbers[0]
    assert report.measurements == ()


@pytest.mark.parametrize("last", [F.softmax, F.log_softmax])
def test_a_softmax_of_a_softmax_is_not_left_out(last, tmp_path):
    twice = Around(behind=lambda y: last(y.softmax(1), 1))
    report = verify(spec_of(tmp_path, SPEC), twice, backends=[])
    assert report.differences
    assert (
        report.differences[0].what
        == "behind it the source has softmax (softmax), which the spec has not"
    )


def test_a_cast_to_float32_is_told_and_rounds_nothing(tmp_path, workers):
    spec = spec_of(tmp_path, SPEC)
    report = held(spec, Around(lambda x: x.float(), lambda y: y.to(torch.float32)), workers)
    assert report.agree, report
    assert [m.quantity for m in report.measurements] == QUANTITIES
    assert max(m.distance for m in report.measurements) <= 1e-13
    assert "its code casts to float32" in report.of_numbers[0]
    assert "note: its code casts to float32" in str(report)
    assert report.of_numbers[0] in report.to_json()["notes"]
    assert held(spec, Around(), workers).of_numbers == ()


@pytest.mark.parametrize("images", [2, 3])
def test_a_number_of_images_is_no_constant_of_a_network(images, tmp_path, workers):
    """Its reader sees one number of images; the numbers are computed with another one."""
    scaled = f"graph:\n  images: [{{rescale: {{scale: {1 / images!r}}}}}]\n"
    spec = spec_of(tmp_path, SPEC.replace("graph:\n", scaled))
    assert not held(spec, Around(before=lambda x: x / x.size(0)), workers).agree
    assert held(spec, Around(before=lambda x: x / images), workers).agree


class Own(nn.Module):
    """A batch norm by a function, with buffers of its own."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.g, self.b = norm.weight, norm.bias
        self.register_buffer("mean", norm.running_mean)
        self.register_buffer("variance", norm.running_var)

    def forward(self, x):
        return F.batch_norm(
            x, self.mean, self.variance, self.g, self.b, self.training, momentum=0.1, eps=1e-3
        )


def test_batch_norm_by_a_function(tmp_path, workers):
    model = port()
    model.stem[1] = Own(model.stem[1])
    report = held(spec_of(tmp_path, SPEC), model, workers)
    assert report.agree, report
    (statistics,) = (m for m in report.measurements if m.quantity == "moving statistics")
    assert statistics.distance <= 1e-13


ATTENTION = """\
xgraph: 1
name: looking
input: {shape: [4, 6, 3]}
graph:
- {conv: {filters: 8, kernel: 1, bias: true}}
- residual: {attention: {heads: 2, head_size: 4}}
- [global_avg_pool, {dense: 3}]
"""


class Looking(nn.Module):
    def __init__(self, **more) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.w, self.b = nn.Parameter(torch.zeros(3, 8)), nn.Parameter(torch.zeros(3))
        self.more = more

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        made, _ = self.attention(x, x, x, **self.more)
        return (x + made).mean(1) @ self.w.T + self.b


@pytest.mark.parametrize("more", [{}, {"average_attn_weights": False}, {"need_weights": False}])
def test_attention_as_it_is_called_by_default(more, tmp_path, workers):
    report = held(spec_of(tmp_path, ATTENTION), Looking(**more), workers)
    assert report.agree, report
    assert max(m.distance for m in report.measurements) <= 1e-12


def test_training_that_cannot_be_run_is_a_refusal_to_verify(tmp_path, workers):
    def behind(y):
        raise ValueError("labels are missing")

    model = Around()
    model.port.register_forward_hook(lambda part, x, y: behind(y) if part.training else None)
    with pytest.raises(Refused, match="labels are missing"):
        held(spec_of(tmp_path, SPEC), model, workers)


MODULE = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.top = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x, labels=None):
        if self.training and labels is None:
            raise ValueError("labels are missing")
        return self.top(torch.relu(self.conv(x)).mean(-1).mean(-1))

class Scaled(Net):
    def forward(self, x, labels=None):
        return super().forward(x.float(), labels)
"""
TOLD = ["-o", "net.yaml", "--input", "8,8,3"]


@pytest.mark.parametrize("name", ["Net", "Scaled"])
def test_what_raises_in_training_alone_is_compared_in_evaluation(
    name, tmp_path, monkeypatch, capsys
):
    (tmp_path / "net_with_labels.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imported, "comparable", lambda: ("torch",))
    assert main(["import", f"torch:net_with_labels:{name}", *TOLD]) == 0
    said = capsys.readouterr().out
    assert "torch compute what it does, in float64: evaluation output" in said
    assert "training output" not in said
    reason = f"torch:net_with_labels:{name} cannot be run: ValueError: labels are missing"
    assert f"note: not compared in training: {reason}" in said
    assert ("casts to float32" in said) == (name == "Scaled")


def test_what_raises_in_evaluation_too_is_not_compared(tmp_path, workers):
    class Counting(Around):
        calls = 0

        def forward(self, x):
            if x.dtype == torch.float64:
                raise ValueError("in no such type")
            return super().forward(x)

    with pytest.raises(Refused, match="in no such type"):
        held(spec_of(tmp_path, SPEC), Counting(), workers)


# -- ended by a signal ----------------------------------------------------------------------------

SLOW = """\
import time
from net_with_labels import Net

class Slow(Net):
    def forward(self, x, labels=None):
        if x.dtype.itemsize == 8:  # while it is measured
            open("running", "w").close()
            time.sleep(60)
        return super().forward(x, x)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_end_from_outside_leaves_no_folder(tmp_path):
    (tmp_path / "net_with_labels.py").write_text(MODULE)
    (tmp_path / "slow.py").write_text(SLOW)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    text = """{xgraph: 1, name: a, input: {shape: [8, 8, 3]},
               graph: [{conv: 4}, relu, global_avg_pool, {dense: 5}]}"""
    spec_of(tmp_path, text.replace("{conv: 4}", "{conv: {filters: 4, kernel: 3, bias: true}}"))
    told = ["verify", "port.yaml", "torch:slow:Slow", "--backends", "torch"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; from xgraph.cli import main; sys.exit(main({told}))"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 120
        while not (tmp_path / "running").exists() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert process.poll() is None, process.communicate()
        assert list(temporary.glob("xgraph-verify-*"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGTERM
        assert list(temporary.glob("xgraph-*")) == []
    finally:
        process.kill()
        process.communicate()


def test_handlers_of_signals_are_put_back():
    before = signal.getsignal(signal.SIGTERM)

    def ended():
        with ended_in_order():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(Ended) as caught:
        ended()
    assert caught.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ended_in_order():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, own)


def test_another_thread_has_no_signals():
    def run():
        with ended_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    seen: list[object] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
