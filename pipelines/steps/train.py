"""Data set → trained network → servable version, not measured yet.

    hcr train            99.6 % of MNIST's test images, after 4 to 6 minutes on two cores
    hcr train --quick    99.3 %, after a minute or less

The same seed gives the same weights on the same machine with the same libraries.
"""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import checkpoint, dataset, drift, finished, network, provenance
from pipelines.augment import training_batches, validation_batches
from pipelines.calibration import fit_temperature, fit_thresholds, softmax
from pipelines.data.images import LabelledImages
from pipelines.progress import say
from pipelines.recipe import Preset, Recipe, Training
from pipelines.servable import export, read_card, write_golden, write_warmup

if TYPE_CHECKING:
    import keras

_WARMUP_SHARE = 0.2
_FIRST_RATE = 0.05  # of the highest learning rate


def train(
    recipe: Recipe,
    dataset_dir: Path,
    model_dir: Path,
    preset: str = "default",
    seed: int | None = None,
    state_dir: Path = Path(".hcr/data"),
) -> dict[str, Any]:
    """The card of the version that it writes to `model_dir`. Without a seed, the recipe's own.

    A training that was interrupted goes on after its last whole epoch, from what it kept under `state_dir`; one that was
    finished with the same data, recipe, preset, seed, code and packages is not done again.

    Raises:
        RecipeError: the recipe has no such preset.
        DataError: the data set is missing or damaged.
    """
    import keras
    import tensorflow as tf

    chosen, seed = recipe.preset(preset), recipe.seed if seed is None else seed
    manifest = dataset.read_manifest(dataset_dir)
    inputs, kept = provenance.inputs(recipe, preset, seed, manifest["sha256"]), state_dir / finished.FOLDER
    if finished.take(kept, inputs, model_dir):
        card = read_card(model_dir)
        say(
            f"not trained again: the same data, recipe, seed, code and packages gave the version of {card['created']} in {kept}"
        )
        return card
    data, held_out = (dataset.read_part(dataset_dir, part) for part in ("train", "validation"))
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = network.build(chosen.network, len(recipe.labels))
    say(
        f"{recipe.name}, preset {preset}, seed {seed}: {model.count_params():,} parameters, "
        f"{network.multiply_adds(model) / 1e6:.1f} M multiply-adds per character, {len(data):,} images"
    )
    states = state_dir / checkpoint.FOLDER / checkpoint.key(recipe, preset, seed, manifest)
    seconds = fit(model, data, held_out, chosen, seed, states)
    logits = model.predict(validation_batches(held_out, len(recipe.labels)), verbose=0)
    temperature = fit_temperature(logits, held_out.labels)
    thresholds = fit_thresholds(softmax(logits, temperature), held_out.labels, recipe.keep)
    training = {"seconds": round(seconds, 1), "parameters": model.count_params(), "multiply_adds": network.multiply_adds(model)}
    card = provenance.draft_card(recipe, preset, seed, manifest, temperature, thresholds, training)
    export(model, temperature, recipe.labels, thresholds, card, model_dir)
    write_warmup(model_dir, recipe.name, held_out.images)
    write_golden(model_dir, held_out.images, softmax(logits, temperature))
    shutil.copyfile(dataset_dir / drift.SUMMARY, model_dir / drift.ASSET)
    finished.keep(kept, inputs, model_dir)
    checkpoint.discard(states)  # not before: a process that is killed during the export loses no epoch either
    say(f"trained in {seconds:.0f} s; temperature {temperature:.2f}, from {len(held_out):,} held-out images")
    return card


def fit(model: keras.Model, data: LabelledImages, held_out: LabelledImages, preset: Preset, seed: int, states: Path) -> float:
    """Trains the model in place; gives the seconds that it took, without those before an interruption.

    The state after each epoch is kept in the folder `states`, and training goes on from the newest one there.
    """
    import keras

    from pipelines.training_progress import Checkpoints, Progress

    training, class_count = preset.training, model.output_shape[-1]
    steps = max(1, len(data) // training.batch)
    model.compile(
        optimizer=optimizer(training, steps * training.epochs),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA takes twice as long for convolutions on a CPU
    )
    if done := checkpoint.restore(model, states):
        say(f"going on after epoch {done} of {training.epochs}, from {states}")
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras, as it writes its state
        model.fit(
            training_batches(data, class_count, training.batch, preset.augmentation, seed, done * steps),
            validation_data=validation_batches(held_out, class_count),
            initial_epoch=done,
            epochs=training.epochs,
            steps_per_epoch=steps,
            callbacks=[Progress(training.epochs, steps), Checkpoints(states)],
            shuffle=False,  # the batches come shuffled
            verbose=0,
        )
    return time.monotonic() - started


def optimizer(training: Training, total_steps: int) -> keras.optimizers.Optimizer:
    """AdamW whose learning rate rises in a straight line for the first fifth and then falls as a cosine to nearly zero."""
    import keras

    warmup = max(1, round(total_steps * _WARMUP_SHARE))
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=training.learning_rate * _FIRST_RATE,
        warmup_target=training.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(1, total_steps - warmup),
        alpha=0.001,
    )
    averaging = {"use_ema": True, "ema_momentum": 0.999} if training.averaging else {}
    return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, beta_2=0.99, **averaging)
