"""The tutorial's VGG in Keras, a training step for each line read, in an interpreter that has TensorFlow.

``python keras_vgg.py THREADS float32|mixed_bfloat16``. It prints its number of trainable parameters once it
is warm, then, for every line on its input, the wall-clock and CPU seconds of one step.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH = 16
SIZE = 200


def normalised(x):
    """Normalise and cut at zero, as the tutorial does."""
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, beta_initializer="glorot_normal")(x))


def build() -> keras.Model:
    """Return the tutorial's network, compiled as it compiles it."""
    inputs = x = keras.Input((SIZE, SIZE, 1))
    settings = {"use_bias": False, "kernel_initializer": "glorot_normal"}
    for width in (32, 64, 128, 256):
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", **settings)(x)
        x = normalised(x)
        if width < 256:
            x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for _ in range(3):
        x = normalised(layers.Dense(1024, **settings)(x))
    model = keras.Model(inputs, layers.Dense(1, dtype="float32", **settings)(x))
    model.compile(
        loss="mse", optimizer=keras.optimizers.Adam(0.01), metrics=[keras.metrics.RootMeanSquaredError()]
    )
    return model


def main(threads: int, policy: str) -> None:
    """Answer every line of the input with one timed step."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.mixed_precision.set_global_policy(policy)
    model = build()
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((BATCH, SIZE, SIZE, 1), dtype=np.float32)
    targets = rng.standard_normal((BATCH, 1), dtype=np.float32)
    model.train_on_batch(maps, targets)
    print(sum(int(np.prod(weight.shape)) for weight in model.trainable_weights), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        model.train_on_batch(maps, targets)
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
