"""Layers whose Keras counterpart is missing or means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """A round number of channels near `value`, never 10 % below it.

    It is a multiple of `divisor`, and at least `min_value`.
    """
    result = max(
        divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor
    )
    return result + divisor if result < 0.9 * value else result


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def shared(
    block: Callable[..., Any],
    given: Any,
    *settings: Any,
    name: str,
    one_size: bool = False,
    **more: Any,
) -> keras.Model:
    """A block as a model of its own, which has the same weights whenever it is called.

    `given` is what it is called on first, or a list; `settings` and `more` are what the block is
    told besides. Images of other heights and widths may follow, but for those of `one_size`.
    """
    shapes = [x.shape[1:] for x in (given if isinstance(given, list) else [given])]
    if not one_size:
        shapes = [(*[None] * (len(shape) - 1), shape[-1]) for shape in shapes]
    inputs = [keras.Input(shape) for shape in shapes]

    def made(x: keras.KerasTensor) -> keras.KerasTensor:
        """Keras takes no model that gives back what it is given."""
        return layers.Identity()(x) if any(x is one for one in inputs) else x

    result = keras.tree.map_structure(made, block(*inputs, *settings, name=name, **more))
    return keras.Model(inputs if isinstance(given, list) else inputs[0], result, name=name)


def every_layer(model: keras.Model) -> Iterator[layers.Layer]:
    """The layers of a model, and those of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from every_layer(layer)
        else:
            yield layer


def gelu(x: keras.KerasTensor) -> keras.KerasTensor:
    """GELU; TensorFlow's own keeps sqrt(2) in float32."""
    return 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5)))


def gelu_tanh(x: keras.KerasTensor) -> keras.KerasTensor:
    """GELU by its approximation with tanh; TensorFlow's own keeps its numbers in float32."""
    return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


class LeakyReLU(layers.LeakyReLU):
    """`LeakyReLU` whose slope is as exact as its input; TensorFlow keeps it in float32.

    On any backend, its gradient at 0 is the slope.
    """

    def call(self, inputs):
        return ops.where(inputs > 0, inputs, self.negative_slope * inputs)


class Rescaling(layers.Rescaling):
    """`Rescaling` whose numbers are as exact as its input; TensorFlow keeps them in float32."""

    def call(self, inputs):
        dtype = self.compute_dtype
        scale = ops.convert_to_tensor(self.scale, dtype)
        return scale * inputs + ops.convert_to_tensor(self.offset, dtype)


class Normalize(layers.Layer):
    """(x - mean) / std, numbers or one for each channel."""

    def __init__(self, mean, std, **options) -> None:
        super().__init__(**options)
        self.mean, self.std = mean, std

    def call(self, inputs):
        mean, std = (ops.convert_to_tensor(n, self.compute_dtype) for n in (self.mean, self.std))
        return (inputs - mean) / std


class HardSigmoid(layers.Layer):
    """slope * x + offset, cut off at 0 and 1."""

    def __init__(self, slope: float, offset: float = 0.5, **options) -> None:
        super().__init__(**options)
        self.slope, self.offset = slope, offset

    def call(self, inputs):
        return ops.relu6(6 * (self.slope * inputs + self.offset)) / 6


class Scale(layers.Layer):
    """A learned factor for every channel."""

    def __init__(self, initial: float = 1.0, **options) -> None:
        super().__init__(**options)
        self.initial = initial

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.initial)
        self.gamma = self.add_weight((input_shape[-1],), initializer, name="gamma")

    def reset(self):
        self.gamma.assign(ops.full(self.gamma.shape, self.initial))

    def call(self, inputs):
        return inputs * self.gamma


class PReLU(layers.Layer):
    """x where it is above 0, else x times a learned slope for every channel.

    The slope is also the gradient at 0, which for Keras' `PReLU` is 0.
    """

    def __init__(self, initial: float = 0.25, **options) -> None:
        super().__init__(**options)
        self.initial = initial

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.initial)
        self.alpha = self.add_weight((input_shape[-1],), initializer, name="alpha")

    def reset(self):
        self.alpha.assign(ops.full(self.alpha.shape, self.initial))

    def call(self, inputs):
        return ops.where(inputs > 0, inputs, self.alpha * inputs)


class RMSNormalization(layers.Layer):
    """Channels of each pixel divided by their root mean square, in float32 at least."""

    def __init__(self, epsilon: float, scale: bool = True, **options) -> None:
        super().__init__(**options)
        self.epsilon, self.scaled = epsilon, scale

    def build(self, input_shape):
        if self.scaled:
            self.gamma = self.add_weight((input_shape[-1],), "ones", name="gamma")

    def call(self, inputs):
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        x *= ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        x = ops.cast(x, inputs.dtype)
        return x * self.gamma if self.scaled else x


class Maximum(layers.Layer):
    """The greatest entry of several tensors; two that are equal share the gradient evenly."""

    def call(self, inputs):
        most, *rest = inputs
        for x in rest:
            most = ops.where(most > x, most, ops.where(most < x, x, (most + x) / 2))
        return most


class ChannelSlice(layers.Layer):
    """A segment of channels."""

    def __init__(self, channels: int, start: int = 0, **options) -> None:
        super().__init__(**options)
        self.segment = slice(start, start + channels)

    def call(self, inputs):
        return inputs[..., self.segment]


class ChannelShuffle(layers.Layer):
    """The first channel of each group, then the second of each, and so on."""

    def __init__(self, groups: int, **options) -> None:
        super().__init__(**options)
        self.groups = groups

    def call(self, inputs):
        *size, channels = ops.shape(inputs)[1:]
        x = ops.reshape(inputs, (-1, *size, self.groups, channels // self.groups))
        return ops.reshape(ops.swapaxes(x, -1, -2), (-1, *size, channels))


class LocalResponseNormalization(layers.Layer):
    """x / (k + alpha * mean) ** beta, the mean of the squares of `size` channels around."""

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **options
    ) -> None:
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs):
        channels, reach = inputs.shape[-1], self.size // 2
        squares = ops.pad(ops.square(inputs), ((0, 0), (0, 0), (0, 0), (reach, reach)))
        total = sum(squares[..., first : first + channels] for first in range(self.size))
        return inputs / ops.power(self.k + self.alpha / self.size * total, self.beta)


def projected(x, kernel, bias=None):
    """x · kernel + bias."""
    y = ops.matmul(x, kernel)
    return y if bias is None else y + bias


class Attention(layers.Layer):
    """Multi-head self-attention over the positions of an image (N, H, W, C)."""

    def __init__(
        self, heads: int, head_size: int | None = None, use_bias: bool = True, **options
    ) -> None:
        super().__init__(**options)
        self.heads = heads
        self.head_size = head_size
        self.use_bias = use_bias

    def build(self, input_shape):
        channels = input_shape[-1]
        if self.head_size is None and channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {channels} channels")
        self.size = channels // self.heads if self.head_size is None else self.head_size
        width = self.heads * self.size
        self.query = self.add_projection("query", channels, width)
        self.key = self.add_projection("key", channels, width)
        self.value = self.add_projection("value", channels, width)
        self.merged = self.add_projection("output", width, channels)

    def add_projection(self, name: str, channels: int, width: int) -> list:
        """The weights of a linear layer."""
        weights = [self.add_weight((channels, width), "glorot_uniform", name=f"{name}_kernel")]
        if self.use_bias:
            weights.append(self.add_weight((width,), "zeros", name=f"{name}_bias"))
        return weights

    def call(self, inputs):
        _, height, width, channels = ops.shape(inputs)
        positions = ops.reshape(inputs, (-1, height * width, channels))
        query, key, value = (
            ops.reshape(projected(positions, *weights), (-1, height * width, self.heads, self.size))
            for weights in (self.query, self.key, self.value)
        )
        # TensorFlow would round a scale to float32.
        y = ops.dot_product_attention(query / math.sqrt(self.size), key, value, scale=1.0)
        return projected(ops.reshape(y, (-1, height, width, self.heads * self.size)), *self.merged)

    def compute_output_shape(self, input_shape):
        return input_shape


class PositionEmbedding(layers.Layer):
    """A learned number for every position and channel of images of one size."""

    def build(self, input_shape):
        self.embedding = self.add_weight(input_shape[1:], "zeros", name="embedding")

    def call(self, inputs):
        return inputs + self.embedding


class SpaceToDepth(layers.Layer):
    """Blocks of pixels as one pixel each: (N, H, W, C) → (N, H/block, W/block, block²·C)."""

    def __init__(self, block: int, **options) -> None:
        super().__init__(**options)
        self.block = block

    def call(self, inputs):
        _, height, width, channels = ops.shape(inputs)
        b = self.block
        x = ops.reshape(inputs, (-1, height // b, b, width // b, b, channels))
        x = ops.swapaxes(x, 2, 3)
        return ops.reshape(x, (-1, height // b, width // b, b * b * channels))

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        blocks = (None if n is None else n // self.block for n in sizes)
        return (batch, *blocks, channels * self.block**2)


class DepthToSpace(layers.Layer):
    """Pixels as blocks of them: (N, H, W, block²·C) → (N, H·block, W·block, C)."""

    def __init__(self, block: int, **options) -> None:
        super().__init__(**options)
        self.block = block

    def call(self, inputs):
        _, height, width, channels = ops.shape(inputs)
        b = self.block
        x = ops.reshape(inputs, (-1, height, width, b, b, channels // b**2))
        x = ops.swapaxes(x, 2, 3)
        return ops.reshape(x, (-1, height * b, width * b, channels // b**2))

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        pixels = (None if n is None else n * self.block for n in sizes)
        return (batch, *pixels, channels // self.block**2)


class NearestResizing(layers.Layer):
    """Pixels in which the centres of those of another size lie.

    `Resizing` rounds where a centre lies on the border of two.
    """

    def __init__(self, size: int | tuple[int, int], **options) -> None:
        super().__init__(**options)
        self.size = pair(size)

    def call(self, inputs):
        x = inputs
        for axis, n, m in zip((1, 2), ops.shape(inputs)[1:3], self.size, strict=True):
            centres = (2 * ops.arange(m, dtype="int32") + 1) * n
            x = ops.take(x, centres // (2 * m), axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, input_shape[-1])


class BilinearResizing(layers.Layer):
    """Bilinear interpolation without antialiasing; the centres of pixels are at halves.

    TensorFlow's own computes in float32.
    """

    def __init__(self, size=None, scale: int | tuple[int, int] = 1, **options) -> None:
        super().__init__(**options)
        self.size = None if size is None else pair(size)
        self.scale = pair(scale)

    def resized(self, sizes) -> tuple:
        """Height and width that come out of these."""
        if self.size is not None:
            return self.size
        return tuple(None if n is None else n * s for n, s in zip(sizes, self.scale, strict=True))

    def call(self, inputs):
        x = inputs
        sizes = ops.shape(inputs)[1:3]
        for axis, n, m in zip((1, 2), sizes, self.resized(sizes), strict=True):
            place = (2 * ops.arange(m, dtype="int32") + 1) * n - m  # in parts of 2m
            place = ops.clip(place, 0, 2 * m * (n - 1))
            low = place // (2 * m)
            share = ops.cast(place % (2 * m), x.dtype) / ops.cast(2 * m, x.dtype)
            share = ops.reshape(share, (-1, *(1,) * (3 - axis)))
            high = ops.take(x, ops.minimum(low + 1, n - 1), axis=axis)
            low = ops.take(x, low, axis=axis)
            x = low + (high - low) * share
        return x

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.resized(input_shape[1:3]), input_shape[-1])


def every(
    y: keras.KerasTensor, strides: tuple[int, int], reach: tuple[int, int], padding: str
) -> keras.KerasTensor:
    """What a window of this extent gives at a stride, out of what it gives at every pixel.

    With SAME padding the first window begins at a pixel that depends on the size of the image.
    """
    if strides == (1, 1):
        return y
    places = []
    for size, stride, extent in zip(ops.shape(y)[1:3], strides, reach, strict=True):
        first = 0
        if padding == "same":
            total = (-(-size // stride) - 1) * stride + extent - size
            total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
            first = (extent - 1) // 2 - total // 2
        places.append(slice(first, None, stride))
    return y[:, places[0], places[1]]


def fewer(shape: tuple, strides: tuple[int, int]) -> tuple:
    """The shape of `every` second, third … pixel."""
    batch, *sizes, channels = shape
    kept = (None if n is None else -(-n // s) for n, s in zip(sizes, strides, strict=True))
    return (batch, *kept, channels)


def extent(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """Height and width that a dilated window covers."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


class SteppedConv2D(layers.Conv2D):
    """`Conv2D` with a stride and a dilation at once, which Keras refuses."""

    def __init__(self, filters: int, kernel_size, strides=1, **options) -> None:
        super().__init__(filters, kernel_size, **options)
        self.step = pair(strides)

    def call(self, inputs):
        reach = extent(self.kernel_size, self.dilation_rate)
        return every(super().call(inputs), self.step, reach, self.padding)

    def compute_output_shape(self, input_shape):
        return fewer(super().compute_output_shape(input_shape), self.step)


class GroupedConv2D(SteppedConv2D):
    """`Conv2D` of groups with a dilation, group by group.

    On TensorFlow Keras has XLA do it at once, whose gradient of the kernel is not finite there.
    """

    def convolution_op(self, inputs, kernel):
        convolve = super().convolution_op
        images, kernels = (ops.split(value, self.groups, axis=-1) for value in (inputs, kernel))
        parts = [convolve(x, k) for x, k in zip(images, kernels, strict=True)]
        return ops.concatenate(parts, axis=-1)


class CroppedConv2DTranspose(layers.Conv2DTranspose):
    """`Conv2DTranspose` whose padding is taken from the sides of what comes out.

    With SAME padding, n pixels become n * stride. Where an odd number goes, Keras' own takes the
    odd pixel from another side when it runs on PyTorch.
    """

    def __init__(self, filters: int, kernel_size, strides=1, around="same", **options) -> None:
        super().__init__(filters, kernel_size, strides, **options)
        if around == "same":
            sizes = zip(self.kernel_size, self.strides, strict=True)
            totals = [max(k - s, 0) for k, s in sizes]
            self.around = tuple((total // 2, total - total // 2) for total in totals)
        else:
            self.around = around
            if self.output_padding is None:
                self.output_padding = (0, 0)

    def call(self, inputs):
        x = super().call(inputs)
        _, height, width, _ = ops.shape(x)
        (top, bottom), (left, right) = self.around
        return x[:, top : height - bottom, left : width - right]

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = super().compute_output_shape(input_shape)
        around = zip(sizes, self.around, strict=True)
        left = (None if n is None else n - low - high for n, (low, high) in around)
        return (batch, *left, channels)


class SteppedDepthwiseConv2D(layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with any stride and dilation; Keras wants equal strides, or no dilation."""

    def __init__(self, kernel_size, strides=1, **options) -> None:
        super().__init__(kernel_size, **options)
        self.step = pair(strides)

    def call(self, inputs):
        reach = extent(self.kernel_size, self.dilation_rate)
        return every(super().call(inputs), self.step, reach, self.padding)

    def compute_output_shape(self, input_shape):
        return fewer(super().compute_output_shape(input_shape), self.step)


class SteppedSeparableConv2D(layers.SeparableConv2D):
    """`SeparableConv2D` with any stride and dilation, and an activation between its two parts."""

    def __init__(
        self, filters: int, kernel_size, strides=1, depthwise_activation=None, **options
    ) -> None:
        super().__init__(filters, kernel_size, **options)
        self.step = pair(strides)
        self.between = keras.activations.get(depthwise_activation)

    def call(self, inputs):
        x = ops.depthwise_conv(
            inputs, self.depthwise_kernel, padding=self.padding, dilation_rate=self.dilation_rate
        )
        x = every(x, self.step, extent(self.kernel_size, self.dilation_rate), self.padding)
        x = ops.conv(self.between(x), self.pointwise_kernel)
        return x + self.bias if self.use_bias else x

    def compute_output_shape(self, input_shape):
        return fewer(super().compute_output_shape(input_shape), self.step)


class PaddedMaxPooling2D(layers.MaxPooling2D):
    """Max pooling with ((top, bottom), (left, right)) pixels around, which never win."""

    def __init__(self, pool_size, strides=None, around=((0, 0), (0, 0)), **options) -> None:
        super().__init__(pool_size, strides, **options)
        self.around = ((0, 0), *around, (0, 0))

    def call(self, inputs):
        return super().call(ops.pad(inputs, self.around, constant_values=-float("inf")))

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(larger(input_shape, self.around))


def beyond(shape, window, strides, around) -> tuple:
    """Pixels, beyond ((top, bottom), (left, right)), that the last windows of a pooling reach over.

    No window begins behind the image.
    """
    more = []
    for n, w, s, (low, high) in zip(shape[1:3], window, strides, around, strict=True):
        if n is None:
            more.append((0, None))
            continue
        last, begins = (n + low + high - w + s - 1) // s, (n + low - 1) // s
        known = isinstance(n, int)
        last = s * (min(last, begins) if known else ops.minimum(last, begins))
        over = last + w - n - low - high
        more.append((0, max(over, 0) if known else ops.maximum(over, 0)))
    return ((0, 0), *more, (0, 0))


class CeilMaxPooling2D(layers.MaxPooling2D):
    """Max pooling whose last windows may reach over the border, ((top, bottom), (left, right))."""

    def __init__(self, pool_size, strides=None, around=((0, 0), (0, 0)), **options) -> None:
        super().__init__(pool_size, strides, **options)
        self.around = around

    def call(self, inputs):
        more = beyond(ops.shape(inputs), self.pool_size, self.strides, self.around)
        for sides in (((0, 0), *self.around, (0, 0)), more):
            inputs = ops.pad(inputs, sides, constant_values=-float("inf"))
        return super().call(inputs)

    def compute_output_shape(self, input_shape):
        more = beyond(input_shape, self.pool_size, self.strides, self.around)
        shape = larger(input_shape, ((0, 0), *self.around, (0, 0)))
        return super().compute_output_shape(larger(shape, more))


class CeilAveragePooling2D(layers.AveragePooling2D):
    """Average pooling whose last windows may reach over ((top, bottom), (left, right)) around.

    What is around counts if `counted` says so; what is beyond never does.
    """

    def __init__(
        self,
        pool_size,
        strides=None,
        around=((0, 0), (0, 0)),
        counted: bool = False,
        **options,
    ) -> None:
        super().__init__(pool_size, strides, **options)
        self.around = around
        self.counted = counted

    def call(self, inputs):
        more = beyond(ops.shape(inputs), self.pool_size, self.strides, self.around)
        around = ((0, 0), *self.around, (0, 0))
        pixels = ops.ones_like(inputs[:1, :, :, :1])
        pixels = ops.pad(pixels, around, constant_values=1.0 if self.counted else 0.0)
        counts = super().call(ops.pad(pixels, more))
        return super().call(ops.pad(ops.pad(inputs, around), more)) / counts

    def compute_output_shape(self, input_shape):
        more = beyond(input_shape, self.pool_size, self.strides, self.around)
        shape = larger(input_shape, ((0, 0), *self.around, (0, 0)))
        return super().compute_output_shape(larger(shape, more))


def greatest(x: keras.KerasTensor, axis: int) -> keras.KerasTensor:
    """The greatest entries along an axis, which stays; of several the first has the gradient."""
    unsigned = ops.where(x == 0, 0.0, x)  # in argmax, -0 is below 0
    return ops.take_along_axis(x, ops.argmax(unsigned, axis=axis, keepdims=True), axis=axis)


class GlobalMaxPooling2D(layers.GlobalMaxPooling2D):
    """`GlobalMaxPooling2D` whose gradient goes to the first of several equal maxima.

    Keras' own shares it between them.
    """

    def call(self, inputs):
        batch, height, width, channels = ops.shape(inputs)
        y = greatest(ops.reshape(inputs, (batch, height * width, channels)), axis=1)
        return y[:, None] if self.keepdims else y[:, 0]


class AdaptivePooling2D(layers.Layer):
    """Pooling by a grid of windows that covers the image, of any size: along rows, then columns.

    Pixel i of m is made of the pixels i * n // m, ... of n, up to and with the one that ends at
    (i + 1) * n / m or beyond. Windows may share pixels.
    """

    def __init__(self, size: int | tuple[int, int], **options) -> None:
        super().__init__(**options)
        self.size = pair(size)

    def pooled(self, x, axis):
        """One number for each line along an axis, which stays."""
        raise NotImplementedError  # of no kind in particular

    def call(self, inputs):
        height, width = ops.shape(inputs)[1:3]
        x = inputs
        for axis, n in ((2, width), (1, height)):
            m = self.size[axis - 1]
            bounds = [(i * n // m, ((i + 1) * n + m - 1) // m) for i in range(m)]
            parts = [x[:, a:b] if axis == 1 else x[:, :, a:b] for a, b in bounds]
            x = ops.concatenate([self.pooled(part, axis) for part in parts], axis=axis)
        return x

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, input_shape[-1])


class AdaptiveAveragePooling2D(AdaptivePooling2D):
    """Adaptive pooling by the mean."""

    def pooled(self, x, axis):
        return ops.mean(x, axis=axis, keepdims=True)


class AdaptiveMaxPooling2D(AdaptivePooling2D):
    """Adaptive pooling by the maximum; of several, the first has the gradient."""

    def pooled(self, x, axis):
        return greatest(x, axis)


class PaddedAveragePooling2D(layers.AveragePooling2D):
    """Average of the real pixels in each window, ((top, bottom), (left, right)) around."""

    def __init__(self, pool_size, strides=None, around=((0, 0), (0, 0)), **options) -> None:
        super().__init__(pool_size, strides, **options)
        self.around = ((0, 0), *around, (0, 0))

    def call(self, inputs):
        pixels = ops.ones_like(inputs[:1, :, :, :1])
        counts = super().call(ops.pad(pixels, self.around))
        return super().call(ops.pad(inputs, self.around)) / counts

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(larger(input_shape, self.around))


class CountingAveragePooling2D(layers.AveragePooling2D):
    """Average pooling with SAME padding that counts the border as pixels of value zero."""

    def __init__(self, pool_size, strides=None, **options) -> None:
        super().__init__(pool_size, 1, **options)
        self.step = pair(strides or pool_size)

    def call(self, inputs):
        sides = [((k - 1) // 2, k // 2) for k in self.pool_size]
        y = super().call(ops.pad(inputs, ((0, 0), *sides, (0, 0))))
        return every(y, self.step, self.pool_size, "same")

    def compute_output_shape(self, input_shape):
        return fewer(input_shape, self.step)


class LargeAveragePooling2D(CountingAveragePooling2D):
    """Average pooling with SAME padding, for windows that may be larger than the image.

    TensorFlow's own gradient is wrong there.
    """

    def call(self, inputs):
        return super().call(inputs) / super().call(ops.ones_like(inputs[:1, :, :, :1]))


def mix_bits(x):
    """Scramble 32-bit numbers: github.com/skeeto/hash-prospector, issue 19.

    In 64 bits with a sign, where a framework has no others, no product needs more than 63.
    """
    low = ops.convert_to_tensor(0xFFFFFFFF, x.dtype)
    x = ops.bitwise_xor(x, ops.right_shift(x, 16))
    x = ops.bitwise_and(x * 0x21F0AAAD, low)
    x = ops.bitwise_xor(x, ops.right_shift(x, 15))
    x = ops.bitwise_and(x * 0x735A2D97, low)
    return ops.bitwise_xor(x, ops.right_shift(x, 15))


class Dropout(layers.Dropout):
    """Dropout by a mask that is the same in any framework.

    The mask follows from a key, which `initialize` gives, from the passes so far, and an entry's
    place in (N, H, W, C). The first two are the state of Keras' own `seed_generator`. Where
    `noise_shape` is 1, entries share a draw. `before` says how many images come before these.
    """

    def __init__(self, rate, noise_shape=None, before=None, **kwargs):
        super().__init__(rate, **kwargs)
        self.noise_shape = noise_shape
        self.before = before

    def begin(self, key: int) -> None:
        """Begin a run with this key."""
        if self.rate > 0:
            state = self.seed_generator.state
            state.assign(np.array([key, 0]).astype(state.dtype))

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        word = "uint32" if keras.backend.backend() == "jax" else "int64"  # which JAX has not
        key, passes = ops.unstack(ops.cast(self.seed_generator.next(), word), 2)
        low = ops.convert_to_tensor(0xFFFFFFFF, word)
        word_of_pass = mix_bits(ops.bitwise_and(ops.bitwise_xor(key, passes), low))
        shape = ops.shape(inputs)
        if self.noise_shape is not None:
            shape = [given or n for given, n in zip(self.noise_shape, shape, strict=True)]
        places = ops.arange(math.prod(shape), dtype=word)
        if self.before is not None:
            places = places + self.before() * math.prod(shape[1:])
        bits = mix_bits(ops.bitwise_xor(mix_bits(places), word_of_pass))
        dropped = bits < ops.convert_to_tensor(int(self.rate * 2**32), word)
        return ops.where(ops.reshape(dropped, shape), 0, inputs / (1 - self.rate))


def larger(shape: tuple, around: tuple[tuple[int, int], ...]) -> tuple:
    """The shape of a padded tensor."""
    return tuple(
        None if n is None else n + low + high for n, (low, high) in zip(shape, around, strict=True)
    )
