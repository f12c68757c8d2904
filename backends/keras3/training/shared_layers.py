"""Definitions that layers.py has besides where processes share a batch.

As `layers.py` of this backend, it is a library of text, and never imported.
"""

import processes
import tensorflow as tf
from keras import layers


class BatchNormalization(layers.BatchNormalization):
    """Batch norm by the statistics of the whole batch, of which each process has a part.

    Keras' own has them with `synchronized`, by E[x²] − E[x]², of which float32 leaves little where
    the mean is large.
    """

    def call(self, inputs, training=False):
        if not (training and self.trainable):
            return super().call(inputs, training=training)
        x = tf.cast(inputs, self.moving_mean.dtype)  # float32 at least
        mean, variance = tf.nn.moments(x, self._reduction_axes)
        images = tf.fill(tf.shape(mean), tf.cast(tf.shape(x)[0], x.dtype))
        every = processes.of_all(tf.stack([images, mean, variance]))
        images, means, variances = tf.unstack(every, axis=1)
        share = images / tf.reduce_sum(images, axis=0)
        mean = tf.reduce_sum(share * means, axis=0)
        variance = tf.reduce_sum(share * (variances + tf.square(means - mean)), axis=0)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        y = tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(y, self.compute_dtype)


def images_before() -> int:
    """How many images of a batch come before those of this process, for its dropout."""
    return processes.images_before()
