"""Models of Keras as they are computed themselves, in float64."""

from __future__ import annotations

import numpy as np

from xgraph.importing.runtimes.keras import KerasRuntime


def test_a_layer_and_an_operation_of_one_name(keras):
    """As in MobileNetV3, which adds 3 and adds tensors."""
    image = keras.Input((4, 4, 3))
    shifted = keras.layers.ReLU(6.0)(image + 3.0)
    model = keras.Model(image, keras.layers.Add()([keras.layers.Conv2D(3, 1)(shifted), image]))
    runtime = KerasRuntime(model)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3))
    kernel, bias = (np.asarray(one, "float64") for one in model.get_weights())
    expected = np.clip(x + 3.0, 0.0, 6.0) @ kernel[0, 0] + bias + x
    np.testing.assert_allclose(runtime.run(x)[0], expected, rtol=0, atol=1e-13)
