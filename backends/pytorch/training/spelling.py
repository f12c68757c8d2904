"""The parts of a recipe in PyTorch: one function each, from the part to what it adds to train.py.

Precisions are contributions too.

The constants of a part (`Part.constants`) are in the program by their names. Places of train.py:

    precision   before a model is made
    weights     what the optimizer is given instead of all parameters, one expression
    groups      the same in groups, one expression
    factors     nothing but the wish that groups have factors of the learning rate
    optimizer   the optimizer, one expression; `{weights}` stands for what it is given
    layers      definitions of layers.py that are other ones, of `shared_layers.py`
    prepare     in `Training.__init__`, before the optimizer is made
    create      after it
    begin       at the start of an update
    forward     `with` statements around what the model computes
    loss        the body of the loss of `logits` and `labels`
    weighted    that of the one that is minimized, of `class_weights` too, where there are such
    logits      what is done to `logits` before
    passed      what the loss is given besides, with a comma before it
    parts       what shares a batch's `images` and `labels` out, the beginning of a loop
    within      at the beginning of that loop
    weight      what the loss is multiplied by, with its sign
    share       what the loss of each is divided by, with its sign
    each        at the end of the loop
    returned    the loss of the batch, one expression
    together    the same of all processes, one expression; `{loss}` stands for it
    zeros       where `{sums}` sums of an evaluation begin, one expression
    sums        when it has come to its end
    own_keys    what is done to `keys` of images to train with
    held_out    what is done to `keys` of images to evaluate
    usage       how the program is started besides
    start       what is called to train, one expression
    run         what that is given, a class
    arguments   more of the command line
    apart       nothing but the wish that gradients and updates are of use each alone
    backward    what makes the gradients of `loss`
    before_step after the gradients, before the optimizer's step
    step        the optimizer's step
    after_step  after it
    evaluated   the model that is evaluated, where it is another than the one that is trained
    slots       what of it a checkpoint holds, as tensors where they are
    state       as arrays that are made for the checkpoint
    load        how those are put back
    ready       before a run begins to train
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xgraph.emit.contributions import Contribution
from xgraph.emit.training import (
    Measure,
    Spellings,
    asynchronous,
    balanced_lines,
    replicas_lines,
)
from xgraph.recipe.asynchrony.asynchronous import Asynchronous
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.clips.norm import Norm
from xgraph.recipe.clips.value import Value
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.losses.base import Loss
from xgraph.recipe.losses.sigmoid_cross_entropy import SigmoidCrossEntropy
from xgraph.recipe.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from xgraph.recipe.metrics import Metric
from xgraph.recipe.metrics.map import MeanAveragePrecision
from xgraph.recipe.metrics.recall import Recall
from xgraph.recipe.metrics.top import Top
from xgraph.recipe.optimizers.adam import Adam
from xgraph.recipe.optimizers.adamw import AdamW
from xgraph.recipe.optimizers.rmsprop import Rmsprop
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.prose import number
from xgraph.recipe.regularizations.decoupled import Decoupled
from xgraph.recipe.regularizations.l2 import L2
from xgraph.recipe.tunings.tune import Tune


def _optimizer(made: str, memories: Mapping[str, str]) -> Contribution:
    """An optimizer by its expression, and what it keeps: the part's words → PyTorch's."""
    if not memories:
        return Contribution(places={"optimizer": (made,)})
    words = ", ".join(f'"{word}": "{own}"' for word, own in memories.items())
    return Contribution(
        definitions=frozenset({"memories"}),
        places={
            "optimizer": (made,),
            "slots": (f"**memories(self.model, self.optimizer, {{{words}}}),",),
        },
    )


def sgd(part: Sgd) -> Contribution:
    if not part.momentum:
        return _optimizer("torch.optim.SGD({weights})", {})
    nesterov = ", nesterov=True" if part.nesterov else ""
    made = f"torch.optim.SGD({{weights}}, momentum=MOMENTUM{nesterov})"
    return _optimizer(made, {"momentum": "momentum_buffer"})


def rmsprop(part: Rmsprop) -> Contribution:
    settings = "RHO, EPSILON"
    settings += ", momentum=MOMENTUM" if part.momentum else ""
    settings += f", initial={number(part.initial)}" if part.initial else ""
    made = _optimizer(f"RMSprop({{weights}}, {settings})", {word: word for word in part.memories})
    return made + Contribution(definitions=frozenset({"RMSprop"}))


def adam(part: Adam) -> Contribution:
    return _corrected("torch.optim.Adam({weights}, betas=(BETA1, BETA2), eps=EPSILON)")


def adamw(part: AdamW) -> Contribution:
    made = _corrected("torch.optim.AdamW({weights}, betas=(BETA1, BETA2), eps=EPSILON)")
    return made + _decay_groups("WEIGHT_DECAY")


def _corrected(made: str) -> Contribution:
    """One of the Adams, which count updates to correct their means."""
    return _optimizer(made, {"mean": "exp_avg", "mean_square": "exp_avg_sq"}) + Contribution(
        definitions=frozenset({"updates_taken", "set_updates_taken"}),
        places={
            "state": ('"optimizer.updates": updates_taken(self.optimizer),',),
            "load": ('set_updates_taken(self.optimizer, state["optimizer.updates"])',),
        },
    )


def l2(part: L2) -> Contribution:
    return _decay_groups("L2")  # which is what `weight_decay` means to all but AdamW


def _decay_groups(strength: str) -> Contribution:
    return Contribution(
        definitions=frozenset({"decay_groups"}),
        places={"groups": (f"decay_groups(model, {strength})",)},
    )


def decoupled(part: Decoupled) -> Contribution:
    return Contribution(
        definitions=frozenset({"decay_groups", "decay_kernels"}),
        places={
            "groups": ('decay_groups(model, WEIGHT_DECAY, "decoupled")',),
            # Which a step that float16 leaves out, for its gradients overflow, does not call.
            "create": ("self.optimizer.register_step_pre_hook(decay_kernels)",),
        },
    )


def norm(part: Norm) -> Contribution:
    return Contribution(
        definitions=frozenset({"clip_by_norm"}),
        places={"before_step": ("clip_by_norm(self.model, CLIP_NORM)",)},
    )


def value(part: Value) -> Contribution:
    line = "nn.utils.clip_grad_value_(self.model.parameters(), CLIP_VALUE)"
    return Contribution(places={"before_step": (line,)})


def ema(part: Ema) -> Contribution:
    decay = "min(EMA_DECAY, (1 + step) / (10 + step))" if part.warmup else "EMA_DECAY"
    return Contribution(
        definitions=frozenset({"Ema"}),
        places={
            "create": ("self.ema = Ema(model)",),
            "after_step": (f"self.ema.update({decay})",),
            "evaluated": ("self.ema.model",),
            "slots": ('**named("ema", self.ema.model),',),
        },
    )


def tune(part: Tune) -> Contribution:
    made = Contribution()
    if part.frozen:
        others = ", RATES" if part.excepts else ""
        made += Contribution(
            definitions=frozenset({"freeze"}),
            places={
                "prepare": (f"self.frozen = freeze(model, FROZEN{others})",),
                "begin": ("self.frozen.eval()  # whatever `model.train()` has said",),
                "weights": ("[w for w in model.parameters() if w.requires_grad]",),
            },
        )
    if part.factors:
        made += Contribution(frozenset({"rate_groups"}), {"factors": ("",)})
    return made


def devices(part: Devices) -> Contribution:
    """DistributedDataParallel: gradients are means over the processes."""
    made = Contribution(
        definitions=frozenset({"mean_of_all", "sums_of_all"}),
        places={
            "create": (
                "self.forward = DistributedDataParallel(self.forward)",
                "self.forward.broadcast_buffers = False  # they are the same in all as it is",
            ),
            "within": (
                "last = len(losses) == ACCUMULATION - 1",
                "self.forward.require_backward_grad_sync = last  # gradients add up until then",
            ),
            "weight": (" * share_of_batch()",),
            "together": ("mean_of_all({loss})",),
            "zeros": ("next(model.parameters()).new_zeros({sums}, dtype=torch.float64)",),
            "sums": ("totals, count = sums_of_all(totals, count)",),
            "own_keys": ("keys = run.parts(keys, run.recipe.micro_batches)",),
            "held_out": ("keys = run.parts(keys)",),
            "usage": (
                "",
                "On several devices, a process for each:",
                "    torchrun --nproc-per-node 8 train.py --data DIR --output RUN",
            ),
            "start": ("together(start)",),
            "run": ("SharedRun",),
        },
    )
    if part.statistics == "global":
        return made + Contribution(places={"layers": ("batch_norm",)})
    return made + Contribution(
        definitions=frozenset({"average_statistics"}),
        places={
            "after_step": ("average_statistics(self.model)",),
            "ready": replicas_lines("run.count"),
        },
    )


#: The masks of a batch do not depend on how it is shared out.
_PLACED = Contribution(places={"layers": ("drop_entries",)})


def softmax_cross_entropy(part: SoftmaxCrossEntropy) -> Contribution:
    smoothing = ", label_smoothing=LABEL_SMOOTHING" if part.label_smoothing else ""
    line = f"return nn.functional.cross_entropy(logits, labels{smoothing})"
    plain = Contribution(places={"loss": (line,)})
    if part.class_weights is None:
        return plain
    lines = (
        "targets = class_weights * multi_hot(labels, CLASSES)",
        *((_SMOOTHED,) if part.label_smoothing else ()),
        "return nn.functional.cross_entropy(logits, targets)",
    )
    return plain + _class_weights(part, lines)


def sigmoid_cross_entropy(part: SigmoidCrossEntropy) -> Contribution:
    over = "sum(1).mean()" if part.over_classes == "sum" else "mean()"

    def lines(given: str) -> tuple[str, ...]:
        return (
            "target = multi_hot(labels, CLASSES).to(logits.dtype)",
            "entropy = nn.functional.binary_cross_entropy_with_logits",
            f'return entropy(logits, target{given}, reduction="none").{over}',
        )

    plain = Contribution(definitions=frozenset({"multi_hot"}), places={"loss": lines("")})
    if part.class_weights is None:
        return plain
    return plain + _class_weights(part, lines(", weight=class_weights"))


#: The labels' weights are in the targets, which need not sum to 1.
_SMOOTHED = (
    "targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING * targets.mean(1, keepdim=True)"
)


def _class_weights(part: Loss, lines: tuple[str, ...]) -> Contribution:
    """A loss with class weights, which is minimized; evaluation's has none."""
    given = "next(model.parameters())"
    balanced = part.class_weights == "balanced"
    made = f"{given}.new_ones(CLASSES)" if balanced else f"{given}.new_tensor(CLASS_WEIGHTS)"
    own = "training.class_weights = training.class_weights.new_tensor(class_weights)"
    return Contribution(
        definitions=frozenset({"multi_hot"}),
        places={
            "weighted": lines,
            "passed": (", self.class_weights",),
            "create": (f"self.class_weights = {made}",),
            "ready": balanced_lines(own) if balanced else (),
        },
    )


_PLAIN = Contribution(places={"backward": ("loss.backward()",), "step": ("self.optimizer.step()",)})


def _autocast(dtype: str) -> Contribution:
    """Layers compute in this type, and the loss in float32 at least."""
    return Contribution(
        places={
            "forward": (f"with torch.autocast(images.device.type, torch.{dtype}):",),
            "logits": ("logits = logits.to(torch.promote_types(logits.dtype, torch.float32))",),
        }
    )


#: The loss is multiplied so that small gradients do not vanish.
_SCALING = Contribution(
    definitions=frozenset({"scaler_state", "load_scaler"}),
    places={
        "create": ("self.scaler = torch.amp.GradScaler(next(model.parameters()).device.type)",),
        "backward": ("self.scaler.scale(loss).backward()",),
        "before_step": ("self.scaler.unscale_(self.optimizer)",),
        "step": ("self.scaler.step(self.optimizer)", "self.scaler.update()"),
        "state": ("**scaler_state(self.scaler),",),
        "load": ("load_scaler(self.scaler, state)",),
    },
)

_PRECISIONS = {
    "float32": _PLAIN,
    "bfloat16": _PLAIN + _autocast("bfloat16"),
    "float16": _SCALING + _autocast("float16"),
    "float64": _PLAIN
    + Contribution(places={"precision": ("torch.set_default_dtype(torch.float64)",)}),
}
#: The mean gradients of all micro-batches make the update.
_ACCUMULATION = Contribution(
    places={
        "parts": (
            "parts = zip(images.chunk(ACCUMULATION), labels.chunk(ACCUMULATION), strict=True)",
            "losses = []",
            "for images, labels in parts:",
        ),
        "share": (" / ACCUMULATION",),
        "each": ("losses.append(loss.detach())",),
        "returned": ("torch.stack(losses).sum()",),
    }
)
_PARTS: dict[type[Any], Callable[[Any], Contribution]] = {
    Sgd: sgd,
    Rmsprop: rmsprop,
    Adam: adam,
    AdamW: adamw,
    L2: l2,
    Decoupled: decoupled,
    Norm: norm,
    Value: value,
    Ema: ema,
    Tune: tune,
    Devices: devices,
    Asynchronous: asynchronous,
    SoftmaxCrossEntropy: softmax_cross_entropy,
    SigmoidCrossEntropy: sigmoid_cross_entropy,
}
#: `cross_entropy` takes numbers of classes and shares of them.
_SHARES: dict[type[Any], Callable[[Any], Contribution]] = {}
_MEASURES: dict[type[Metric], Measure] = {
    Top: Measure("hits[:, :k].any(1).sum()", "hits[:, :k].sum()"),
    MeanAveragePrecision: Measure(
        "average_precision(hits, labels.sum(1), k).sum()",
        definitions=frozenset({"average_precision"}),
    ),
    Recall: Measure("(hits[:, :k].sum(1) / labels.sum(1).clip(1)).sum()"),
}
SPELLINGS = Spellings(_PARTS, _PRECISIONS, _SHARES, _ACCUMULATION, _MEASURES, _PLACED)
