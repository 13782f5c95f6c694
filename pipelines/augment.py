"""Training images as tf.data: shuffled, in batches, each image under an affine transformation of its own.

Stateless random numbers, from the seed and the batch's number, give the same images for a seed in whatever order the threads
work, without the price of serial execution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.recipe import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


def training_batches(
    data: LabelledImages, class_count: int, batch: int, augmentation: Augmentation, seed: int, first: int = 0
) -> tf.data.Dataset:
    """Endless batches from number `first` on: images float32 (batch, 28, 28, 1), labels float32 (batch, class_count).

    Where there are fewer images than a batch holds, they are repeated within it. An outlier's label is the same share for
    every class.
    """
    import tensorflow as tf

    images, labels = tf.constant(data.images), tf.constant(data.labels)

    def finished(number: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picked = scaled(tf.gather(images, chosen))
        moved = transformed(picked, augmentation, tf.stack([tf.constant(seed, tf.int64), number]))
        return moved, _targets(tf.gather(labels, chosen), class_count)

    order = tf.data.Dataset.range(len(data)).shuffle(len(data), seed=seed).repeat().skip(first * batch)
    numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(first), order.batch(batch, drop_remainder=True))
    return numbered.map(finished, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _targets(labels: tf.Tensor, class_count: int) -> tf.Tensor:
    """float32 (N, class_count): one-hot, and the same for all classes where the label is OUTLIER (Hendrycks et al. 2019)."""
    import tensorflow as tf

    return tf.where(labels[:, tf.newaxis] == OUTLIER, 1.0 / class_count, tf.one_hot(labels, class_count))


def validation_batches(data: LabelledImages, class_count: int, batch: int = 500) -> tf.data.Dataset:
    """All images once, in order, as the network takes them, with one-hot labels."""
    import tensorflow as tf

    examples = tf.data.Dataset.from_tensor_slices((data.images, data.labels)).batch(batch)
    return examples.map(lambda images, labels: (scaled(images), tf.one_hot(labels, class_count)))


def scaled(images: tf.Tensor) -> tf.Tensor:
    """uint8 (N, 28, 28) → what the network takes: float32 (N, 28, 28, 1), paper 0, ink 1."""
    import tensorflow as tf

    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0


def transformed(images: tf.Tensor, limits: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """The images (N, H, W, 1), each turned, scaled, sheared and shifted at random within the limits; paper comes in."""
    import tensorflow as tf

    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=_random_transforms(count, height, width, limits, seed),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _random_transforms(count: tf.Tensor, height: int, width: int, limits: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """float32 (count, 8): for each image the map from a place in the result to one in the image, about its middle."""
    import tensorflow as tf

    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle = draws[0] * math.radians(limits.rotation_degrees)
    scale_x, scale_y = tf.exp(draws[1] * limits.scale), tf.exp(draws[2] * limits.scale)
    shear = draws[3] * limits.shear
    cos, sin = tf.cos(angle), tf.sin(angle)
    xx, xy = cos * scale_x, (cos * shear - sin) * scale_y
    yx, yy = sin * scale_x, (sin * shear + cos) * scale_y
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = middle_x + draws[4] * limits.shift_pixels - xx * middle_x - xy * middle_y
    y = middle_y + draws[5] * limits.shift_pixels - yx * middle_x - yy * middle_y
    none = tf.zeros_like(x)
    return tf.stack([xx, xy, x, yx, yy, y, none, none], axis=1)
