"""What ops, optimizers and schedules are, once more, from their formulas and in plain NumPy.

Nothing here is taken from the compiler: a fault in code that all backends share changes all of them
alike, so that only something written apart from it can tell.
"""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
from PIL import Image

SAME, VALID = "same", "valid"

# Ops


def sides(size, kernel, stride, dilation, padding):
    """Pixels (before, after) along one axis."""
    if padding == VALID:
        return 0, 0
    if padding != SAME:
        return padding
    total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def windows(x, kernel, stride=(1, 1), padding=VALID, dilation=(1, 1), fill=0.0):
    """(row, column, window (N, kernel height, kernel width, C)) of every place of the output."""
    explicit = not isinstance(padding, str)
    amounts = [
        sides(
            x.shape[1 + a], kernel[a], stride[a], dilation[a], padding[a] if explicit else padding
        )
        for a in (0, 1)
    ]
    x = np.pad(x, ((0, 0), *amounts, (0, 0)), constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    counts = [(x.shape[1 + a] - reach[a]) // stride[a] + 1 for a in (0, 1)]
    for i, j in itertools.product(*map(range, counts)):
        top, left = i * stride[0], j * stride[1]
        yield (
            i,
            j,
            x[:, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]],
        )


def by_window(function, x, *geometry, **options):
    """An image of what `function` makes of every window."""
    found = {(i, j): function(w) for i, j, w in windows(x, *geometry, **options)}
    height, width = (1 + max(place[axis] for place in found) for axis in (0, 1))
    rows = [np.stack([found[i, j] for j in range(width)], axis=1) for i in range(height)]
    return np.stack(rows, axis=1)


def conv(x, kernel, bias=0.0, groups=1, **geometry):
    """Cross-correlation; filter f sees the channels of its group."""
    height, width, channels, filters = kernel.shape

    def one(window):
        columns = []
        for f in range(filters):
            first = f // (filters // groups) * channels
            part = window[..., first : first + channels]
            columns.append((part * kernel[..., f]).sum(axis=(1, 2, 3)))
        return np.stack(columns, axis=-1)

    return by_window(one, x, (height, width), **geometry) + bias


def depthwise(x, kernel, bias=0.0, **geometry):
    """Channel c · multiplier + m of the output is channel c under its filter m."""
    height, width, channels, multiplier = kernel.shape

    def one(window):
        columns = [
            (window[..., c] * kernel[..., c, m]).sum(axis=(1, 2))
            for c in range(channels)
            for m in range(multiplier)
        ]
        return np.stack(columns, axis=-1)

    return by_window(one, x, (height, width), **geometry) + bias


def max_pool(x, kernel, **geometry):
    """The greatest real pixel of each window."""
    return by_window(lambda w: w.max(axis=(1, 2)), x, kernel, fill=-np.inf, **geometry)


def avg_pool(x, kernel, counted=False, **geometry):
    """The mean of the real pixels in each window, or of all with `counted`."""
    if counted:
        return by_window(lambda w: w.mean(axis=(1, 2)), x, kernel, **geometry)
    return by_window(lambda w: np.nanmean(w, axis=(1, 2)), x, kernel, fill=np.nan, **geometry)


def normalized(x, mean, variance, epsilon, gamma, beta):
    """Batch norm with these statistics."""
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def statistics(x):
    """Mean and biased variance of each channel."""
    rows = x.reshape(-1, x.shape[-1])
    mean = rows.sum(axis=0) / len(rows)
    return mean, ((rows - mean) ** 2).sum(axis=0) / len(rows)


def gelu(x):
    """Exact."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    """The approximation."""
    return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def dropout(x, rate, layer, passes=0, seed=0, drawn=None):
    """What is kept, x / (1 - rate), by whole numbers of any size; `drawn` is the mask's shape."""
    drawn = x.shape if drawn is None else drawn
    digest = hashlib.sha256(b"%d %s" % (seed, layer.encode())).digest()
    word = _mixed(passes ^ sum(byte << 8 * place for place, byte in enumerate(digest[:4])))
    numbers = [_mixed(_mixed(place) ^ word) / 2**32 for place in range(math.prod(drawn))]
    kept = np.array(numbers).reshape(drawn) * 2**32 >= math.floor(rate * 2**32)
    return np.where(kept, x / (1 - rate), 0)


def _mixed(number):
    number = (number ^ number >> 16) * 0x21F0AAAD % 2**32
    number = (number ^ number >> 15) * 0x735A2D97 % 2**32
    return number ^ number >> 15


def hard_sigmoid(x):
    """relu6(x + 3) / 6."""
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


# Training


def cross_entropy(logits, labels, smoothing=0.0, weights=1.0):
    """(mean loss, its gradient with respect to the logits).

    `labels` are numbers of classes, or shares of all of them; `weights` are those of the classes.
    """
    count, classes = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    target = weights * (np.eye(classes)[labels] if labels.ndim == 1 else labels)
    whole = target.sum(axis=1, keepdims=True)
    target = (1 - smoothing) * target + smoothing / classes * whole
    return -(target * log).sum() / count, (whole * np.exp(log) - target) / count


def balanced(labels, classes):
    """Weights of the classes by which all count alike."""
    return [len(labels) / classes / max(1, list(labels).count(c)) for c in range(classes)]


def cosine(step, total, initial, final):
    """Half a cosine over the whole run."""
    return final + (initial - final) * (1 + math.cos(math.pi * step / total)) / 2


def staircase(step, every, initial, factor):
    """`factor` once more every so many steps."""
    return initial * factor ** math.floor(step / every)


def warmup(step, steps):
    """From 1/steps to 1 in a straight line."""
    return min(1.0, (step + 1) / steps)


def momentum_step(weight, gradient, velocity, rate, momentum, nesterov):
    """(weight, velocity) after an update; the velocity holds gradients."""
    velocity = momentum * velocity + gradient
    step = gradient + momentum * velocity if nesterov else velocity
    return weight - rate * step, velocity


def factor_of(name, frozen, rates):
    """What the rate of a weight is multiplied by, by the innermost part that it is in."""
    factors = {**rates, **dict.fromkeys(frozen, 0.0)}
    path = name.split(".")
    for end in range(len(path), 0, -1):
        if ".".join(path[:end]) in factors:
            return factors[".".join(path[:end])]
    return 1.0


def averaging(decay, step, warm):
    """What remains of the average at update `step`."""
    return min(decay, (1 + step) / (10 + step)) if warm else decay


# Random numbers


def uniform(count, key, counter=(0, 0, 0, 0)):
    """53 bits each, in [0, 1)."""
    philox = np.random.Philox(key=np.array(key, np.uint64), counter=np.array(counter, np.uint64))
    return np.array([(int(word) >> 11) / 2**53 for word in philox.random_raw(count)])


def kernel(name, shape, seed, initializer="glorot_uniform"):
    """What a kernel starts from."""
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    key = (seed, word)
    window = math.prod(shape[:-2])
    fan_in, fan_out = window * shape[-2], window * shape[-1]
    count = math.prod(shape)
    limits = {
        "glorot_uniform": math.sqrt(6 / (fan_in + fan_out)),
        "he_uniform": math.sqrt(6 / fan_in),
        "lecun_uniform": math.sqrt(3 / fan_in),
    }
    if initializer in limits:
        limit = limits[initializer]
        return (limit * (2 * uniform(count, key) - 1)).reshape(shape)
    variances = {
        "glorot_normal": 2 / (fan_in + fan_out),
        "he_normal": 2 / fan_in,
        "lecun_normal": 1 / fan_in,
    }
    # The deviation of a standard normal that is cut off at ±2.
    mass = math.erf(math.sqrt(2))
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    cut = math.sqrt(1 - 4 * density / mass)
    scale = (
        initializer if isinstance(initializer, float) else math.sqrt(variances[initializer]) / cut
    )
    philox = np.random.Philox(key=np.array(key, np.uint64))
    found = []
    while len(found) < count:
        words = [(int(word) >> 11) / 2**53 for word in philox.random_raw(2 * count)]
        for place, chance in zip(words[:count], words[count:], strict=True):
            x = 4 * place - 2
            if chance < math.exp(-x * x / 2):
                found.append(x)
    return scale * np.array(found[:count]).reshape(shape)


def start(name, shape, seed):
    """What any weight starts from, kernels being glorot_uniform."""
    word = name.rpartition(".")[2]
    if word.endswith("kernel"):
        return kernel(name, shape, seed)
    return np.full(shape, 1.0 if word in ("gamma", "moving_variance") else 0.0)


def order(count, seed, epoch):
    """The permutation of an epoch."""
    drawn = uniform(count, (seed, 0), (0, epoch, 0, 0))
    return sorted(range(count), key=lambda index: drawn[index])


def augmented(image, seed, epoch, index, ratio, height, width):
    """Stretched, cut out at random, mirrored half of the time; to [-1, 1]."""
    random = uniform(3, (seed, 1), (0, epoch, index, 0))
    rows, columns = round(ratio * height), round(ratio * width)
    top, left = int(random[0] * (rows - height + 1)), int(random[1] * (columns - width + 1))
    # What of the image becomes this part. Cut out of the whole, stretched, it would differ by one
    # level here and there.
    x, y = image.width / columns, image.height / rows
    box = (x * left, y * top, x * (left + width), y * (top + height))
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))
    if random[2] < 0.5:
        pixels = pixels[:, ::-1]
    return pixels / 127.5 - 1


def centered(image, height, width):
    """Stretched to size; to [-1, 1]."""
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)) / 127.5 - 1


def beta(alpha, u, v, first, second):
    """A number of the distribution Beta(α, α), out of four that are uniform."""
    above = (1 + math.cos(2 * math.pi * v) * (1 - (1 - u) ** (2 / (2 * alpha + 1))) ** 0.5) / 2
    odds = above / (1 - above) * ((1 - first) / (1 - second)) ** (1 / alpha)
    return odds / (1 + odds)


def mixed(images, labels, seed, epoch, index, classes, ways):
    """A batch mixed with itself in reverse; labels become shares.

    Args:
        images: (B, H, W, C).
        labels: (B,).
        seed: of the run.
        epoch: of the batch's first image.
        index: of it too.
        classes: how many there are.
        ways: α and the share of batches of CutMix, and of mixup.
    """
    chance, *four, y, x = uniform(7, (seed, 7), (0, epoch, index, 0))
    shares = np.eye(classes)[labels]
    (cut, often), (mix, _) = ways
    if chance >= often:
        share = beta(mix, *four)
        images, shares = (share * one + (1 - share) * one[::-1] for one in (images, shares))
        return images, shares
    height, width = images.shape[1:3]
    side = math.sqrt(1 - beta(cut, *four))
    rows, columns = (math.floor(math.floor(n * side) / 2) for n in (height, width))
    middle = math.floor(y * height), math.floor(x * width)
    found, area = images.copy(), 0
    for i, j in itertools.product(range(height), range(width)):
        if -rows <= i - middle[0] < rows and -columns <= j - middle[1] < columns:
            found[:, i, j] = images[::-1, i, j]
            area += 1 / height / width
    return found, (1 - area) * shares + area * shares[::-1]
