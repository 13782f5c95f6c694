"""The network: a strided stem, one pooled stage, residual blocks at 7 × 7, one strided stage, one dense layer.

With channels (32, 64, 128), one block and 10 classes: 197,642 parameters, 7.6 million multiply-adds per character.
The stem halves the image at once, because at 28 × 28 the layers around a convolution cost more than it does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from handwriting.contract import IMAGE_SIZE
from pipelines.recipe import Network

if TYPE_CHECKING:
    import keras


def build(network: Network, class_count: int) -> keras.Model:
    """The network with random weights: float32 (N, 28, 28, 1), paper 0, ink 1 → logits, float32 (N, class_count)."""
    import keras
    from keras import layers

    first, second, third = network.channels
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1))
    x = _convolution(images, first, size=4, stride=2)  # (N, 14, 14, first)
    x = _convolution(x, first)
    x = layers.MaxPooling2D()(x)  # (N, 7, 7, first)
    x = _convolution(x, second)  # (N, 7, 7, second)
    for _ in range(network.blocks):
        x = _residual(x, second)
    x = _convolution(x, third, stride=2)  # (N, 4, 4, third)
    x = layers.Dropout(network.dropout)(layers.Flatten()(x))  # (N, 16 · third)
    return keras.Model(images, layers.Dense(class_count)(x))  # (N, class_count)


def _convolution(x: Any, channels: int, size: int = 3, stride: int = 1, is_active: bool = True) -> Any:
    """Convolution, batch normalisation and, where active, ReLU."""
    from keras import layers

    x = layers.Conv2D(channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x) if is_active else x


def _residual(x: Any, channels: int) -> Any:
    from keras import layers

    change = _convolution(_convolution(x, channels), channels, is_active=False)
    return layers.ReLU()(layers.Add()([x, change]))


def multiply_adds(model: keras.Model) -> int:
    """How many multiplications and additions the convolutions and the dense layer make for one character."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            positions = math.prod(layer.output.shape[1:-1])  # 1 for a dense layer
            total += math.prod(layer.kernel.shape) * positions
    return total
