"""`check`: what can be wrong with a model and its data, said before anything is trained.

What each finding looks at stands in the modules that are named after it; here they are given the
plain arrays and facts that they take.
"""

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerastrain import _feature_findings as features
from kerastrain import _label_findings as of_labels
from kerastrain import _model_findings as of_models
from kerastrain import _output_findings as of_outputs
from kerastrain import _split_findings as splits
from kerastrain._chance import chance_of
from kerastrain._check_parts import (
    Part,
    finding_of,
    named_arrays,
    part_of,
    training_part,
    validation_part,
)
from kerastrain._checks import flag, seed_number, whole_number
from kerastrain._data_checks import DataChecks
from kerastrain._first_steps import HELPED_STEPS, STEPS, Overfit, loss_of, outputs_of, overfit
from kerastrain._model_facts import ModelFacts, facts_of
from kerastrain._row_marks import repeats_in
from kerastrain.check_records import Finding, Report
from kerastrain.data import Rows
from kerastrain.metrics import Loss
from kerastrain.models import model_checked
from kerastrain.tasks import answers_once_a_row, check_agreement, class_of_each_row

_SAMPLE = 4_096
"""Rows that tell what a column is like; what all rows have to show is confirmed in all."""

_RANGED = 1_024
_PREDICTED = 256
_OVERFITTED = 32


def check(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    batch_size: int = 32,
    deep: bool = False,
    seed: int = 0,
) -> Report:
    """Looks for what is wrong with a model and its data, and says what to do about each.

    An error is something with which training can't work: NaN, labels that the head has no unit for,
    a head and a loss that don't belong together, nothing to train. A warning is something with
    which it probably does worse than it could: pictures of 0 to 255, columns of very different
    size, rows that stand in training and validation, sorted labels, a rate at which nobody trains.
    The model needn't be trained, nor compiled, nor built, and stays as it is, to the bit.

    Args:
        model: The model, compiled where head, loss and labels shall be held against each other.
        x: Inputs, `(n, ...)`: an array, a tuple or dict of arrays, a tf.data.Dataset or a
            keras.utils.PyDataset. Of the last two, the first batches are looked at.
        y: Targets with `n` rows.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, a Dataset or a PyDataset.
        batch_size: Rows a step.
        deep: Whether to try to learn one batch by heart too, some hundred steps; a model that
            can't do that won't learn more from more rows.
        seed: Decides which rows are looked at where there is no need to look at all.

    Returns:
        The findings; true where there is no error.

    Raises:
        ValueError: If `batch_size` or `seed` is out of range.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import kerastrain as ktr
        >>> x, y = ktr.load_dataset("fashion_mnist_small").train
        >>> model = ktr.compile_for_task(ktr.build("dense"), y=y)
        >>> bool(check(model, x, y))
        True
        >>> print(check(model, x, y + 1).errors[0])
        error: `y` must lie in 0..9 for a head of 10 units. Received: labels from 1 to 10.
    """
    start = time.perf_counter()
    model_checked("check", model)
    batch_size = whole_number("check", "batch_size", batch_size, least=1)
    flag("check", "deep", deep)
    found: list[Finding] = []
    training = training_part(x, y, found)
    validation = validation_part(validation_data, found)
    look = _Look(
        model,
        training,
        validation,
        batch_size=batch_size,
        is_shuffled=validation_data is not None,
        seed=seed_number("check", seed),
    )
    return look.report(found, start, deep=deep)


def preflight(
    model: keras.Model,
    rows: Rows,
    validation_rows: Rows | None = None,
    *,
    batch_size: int,
    shuffle: bool = True,
) -> Report:
    """Does what `check` does, with rows that are known to be numbers, as `fit` has them.

    Args:
        model: A model.
        rows: The training rows.
        validation_rows: The validation rows.
        batch_size: Rows a step.
        shuffle: Whether the rows will be shuffled, so that sorted ones do no harm.
    """
    start = time.perf_counter()
    names = ("validation_data[0]", "validation_data[1]")
    validation = None if validation_rows is None else part_of(validation_rows, names)
    look = _Look(
        model, part_of(rows), validation, batch_size=batch_size, is_shuffled=shuffle, seed=0
    )
    return look.report([], start, deep=False)


class _Look:
    """One look at a model and its data.

    Args:
        model: The model.
        training: The training rows; `None` where they couldn't be read.
        validation: The validation rows; `None` where there are none, or they couldn't be read.
        batch_size: Rows a step.
        is_shuffled: Whether the order of the rows doesn't matter.
        seed: Decides the samples.
    """

    def __init__(
        self,
        model: keras.Model,
        training: Part | None,
        validation: Part | None,
        *,
        batch_size: int,
        is_shuffled: bool,
        seed: int,
    ) -> None:
        self._model, self._facts = model, facts_of(model)
        self._training, self._validation = training, validation
        self._batch_size = training.sizes[0] if training and training.sizes else batch_size
        self._is_shuffled, self._generator = is_shuffled, np.random.default_rng(seed)

    def report(self, found: list[Finding], start: float, *, deep: bool) -> Report:
        """Returns all findings, those before among them."""
        training, validation = self._training, self._validation
        found += self._of_model()
        tried = None
        if training is not None:
            unfit = list(_unfit(self._model, self._facts, training, validation))
            found += [*unfit, *self._of_inputs(training)]
            if validation is not None:
                found += self._of_inputs_held_out(training, validation)
            if not unfit:
                found += self._of_targets(training, validation)
                found += self._of_outputs(training)
            if deep and not any(finding.grade == "error" for finding in found):
                tried = self._tried(training, found)
        return Report(
            found,
            seconds=time.perf_counter() - start,
            rows=0 if training is None else len(training.rows),
            validation_rows=None if validation is None else len(validation.rows),
            overfits=None if tried is None else tried.done,
            loss_before=None if tried is None else tried.before,
            loss_after=None if tried is None else tried.after,
        )

    def _of_model(self) -> Iterator[Finding]:
        facts, training = self._facts, self._training
        looks = [look(facts) for look in of_models.OF_MODELS]
        looks.append(of_models.small_batches_to_normalise(facts, self._batch_size))
        if training is not None and training.count is not None:
            looks.append(of_models.too_few_rows(facts, training.count))
            looks.append(of_models.large_batches(training.count, self._batch_size))
        yield from filter(None, looks)

    def _of_inputs(self, part: Part) -> Iterator[Finding]:
        """Yields what each array of the inputs shows by itself."""
        for name, array in named_arrays(part.rows.x, part.names[0]):
            looks = [features.rows_alike(array, name)]
            if array.dtype.kind in "biuf" and array.size:
                looks += self._of_numbers(array, name) if looks[0] is None else []
            yield from filter(None, looks)

    def _of_numbers(self, array: np.ndarray, name: str) -> list[Finding | None]:
        if self._facts.vocabulary is not None:
            return [features.tokens_out_of_range(array, self._facts.vocabulary, name)]
        sample = array[self._sampled(len(array))]
        looks = [
            features.constant_columns(array, sample, name),
            features.duplicate_columns(array, sample, name),
            features.row_numbers(array, name),
        ]
        if not self._facts.scales:
            scale = features.grey_levels(array, sample, name)
            scale = scale or features.scaled_twice(array, sample, name)
            looks.append(scale or features.large_numbers(array, sample, name))
        return looks

    def _of_inputs_held_out(self, training: Part, validation: Part) -> Iterator[Finding]:
        x, held_out = _table(training.rows.x), _table(validation.rows.x)
        if x is None or held_out is None:
            return
        looks = [splits.rows_in_both(x, held_out, _looked_at(training))]
        if x.dtype != object and held_out.dtype != object and self._facts.vocabulary is None:
            sample, other = (a[self._sampled(len(a), _RANGED)] for a in (x, held_out))
            names = (training.names[0], validation.names[0])
            looks.append(splits.other_range(sample, other, names))
        yield from filter(None, looks)

    def _of_targets(self, training: Part, validation: Part | None) -> Iterator[Finding]:
        y = training.rows.y
        if not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf":
            return
        facts, x = self._facts, _table(training.rows.x)
        labels = class_of_each_row(self._model, y)
        looks = [of_labels.exclusive_classes(y, facts.head, facts.loss)]
        if labels is not None:
            looks += self._of_labels(labels, training)
        elif facts.task == "numbers":
            looks += [of_labels.one_target(y), of_labels.large_targets(y)]
            looks.append(of_labels.targets_out_of_reach(y, facts.head))
            looks.append(None if self._is_shuffled else of_labels.targets_in_order(y))
        if x is not None:
            repeats, looked_at = repeats_in(x), _looked_at(training)
            if validation is None:
                looks.append(splits.repeated_rows(x, repeats, looked_at))
            if labels is not None:
                looks.append(splits.rows_with_two_labels(x, labels, looked_at, repeats=repeats))
        if x is not None and x.dtype != object:
            sampled = self._sampled(len(x))
            looks.append(features.target_among_columns(x, y, sampled))
        if validation is not None and isinstance(validation.rows.y, np.ndarray):
            looks += self._of_targets_held_out(y, labels, validation)
        yield from filter(None, looks)

    def _of_labels(self, labels: np.ndarray, training: Part) -> list[Finding | None]:
        if training.sizes:
            batches = [class_of_each_row(self._model, y) for y in training.batches_of_targets]
            return [of_labels.batches_of_one_class([b for b in batches if b is not None])]
        head = self._facts.head
        looks = [of_labels.one_class(labels)]
        if head is not None and head.units > 1:
            looks.append(of_labels.missing_classes(labels, head.units))
        if training.rows.weight is None:
            looks.append(of_labels.imbalanced_classes(labels))
        looks.append(None if self._is_shuffled else of_labels.in_order(labels))
        return looks

    def _of_targets_held_out(
        self, y: np.ndarray, labels: np.ndarray | None, validation: Part
    ) -> list[Finding | None]:
        other = validation.rows.y
        if labels is None:
            names = ("y", validation.names[1])
            is_number = self._facts.task == "numbers"
            return [splits.other_range(y, other, names) if is_number else None]
        held_out = class_of_each_row(self._model, other)
        is_whole = self._training is not None and not self._training.sizes and not validation.sizes
        if held_out is None or not is_whole:
            return []
        return [
            splits.other_classes(labels, held_out),
            splits.classes_not_validated(labels, held_out),
        ]

    def _of_outputs(self, training: Part) -> Iterator[Finding]:
        """Yields what the model's outputs for some rows show."""
        facts = self._facts
        if not facts.built or facts.odd_weights:
            return
        size = facts.batch_size or _PREDICTED
        rows = training.rows.take(self._sampled(len(training.rows), size))
        if facts.batch_size not in (None, len(rows)):
            return
        try:
            outputs = outputs_of(self._model, rows)
        except Exception as exception:  # Whatever a layer of the user's raises.
            yield of_outputs.not_run(len(rows), training.names[0], exception)
            return
        if not isinstance(outputs, np.ndarray):
            return
        odd = of_outputs.odd_outputs(outputs)
        looks = [odd, None if odd else of_outputs.outputs_alike(outputs, _differ(rows))]
        if not odd and isinstance(rows.y, np.ndarray) and facts.task:
            looks.append(self._of_first_loss(rows.y, outputs))
        yield from filter(None, looks)

    def _of_first_loss(self, y: np.ndarray, outputs: np.ndarray) -> Finding | None:
        facts = self._facts
        try:
            loss = loss_of(self._model, y, outputs)
        except Exception as exception:  # Shapes that nothing before has held against each other.
            return of_outputs.no_loss(y.shape, outputs.shape, exception)
        return of_outputs.first_loss(loss, y, facts.head, facts.loss)

    def _tried(self, training: Part, found: list[Finding]) -> Overfit | None:
        """Tries to learn one batch by heart, and adds a verdict where that fails."""
        facts, y = self._facts, training.rows.y
        if not facts.built or not facts.task or not isinstance(y, np.ndarray):
            return None
        size = facts.batch_size or min(self._batch_size, _OVERFITTED)
        if size > len(y):
            return None
        batch = training.rows.take(self._sampled(len(y), size))
        chance, steps = _best_constant(facts, batch.y), (STEPS, HELPED_STEPS)
        tried = overfit(self._model, batch, chance)
        if tried.done is False:
            found.append(
                of_outputs.not_overfitted(
                    len(batch), steps, (tried.before, tried.after), facts.optimizer
                )
            )
        elif tried.done and tried.own > chance / 2:
            losses = (tried.before, tried.own, tried.after)
            found.append(of_outputs.slow_rate(len(batch), steps, losses, facts.optimizer))
        return tried

    def _sampled(self, count: int, size: int = _SAMPLE) -> np.ndarray:
        """Returns the positions of some rows, in order; of all, where they are few."""
        if count <= size:
            return np.arange(count)
        return np.sort(self._generator.choice(count, size, replace=False))


def _unfit(
    model: keras.Model, facts: ModelFacts, training: Part, validation: Part | None
) -> Iterator[Finding]:
    """Yields what `fit` would refuse, where head, loss and labels each have their say."""
    sentences = set()
    checks = DataChecks("check", model)

    def attempts() -> Iterator[Any]:
        yield lambda: check_agreement("check", facts.head, facts.loss, None)
        yield lambda: checks.rows(training.rows, training.names)
        if isinstance(training.rows.y, np.ndarray) and answers_once_a_row(model):
            # Of head and loss that don't agree, the first that the labels are held against.
            yield lambda: check_agreement("check", None, facts.loss, training.rows.y)
        if validation is not None:
            yield lambda: checks.held_out(validation.rows, validation.names)
            both = zip(validation.names, training.names, strict=True)
            for part, (name, other) in zip(("x", "y"), both, strict=True):
                came, wanted = getattr(validation.rows, part), getattr(training.rows, part)
                if came is not None and wanted is not None:
                    yield lambda a=(name, came, other, wanted): checks.same_shape(*a)

    for attempt in attempts():
        try:
            attempt()
        except ValueError as exception:
            finding = finding_of(exception, "model")
            if finding.sentence not in sentences:
                sentences.add(finding.sentence)
                yield finding


def _table(x: Any) -> np.ndarray | None:
    """Returns one input, or several side by side where they are all numbers of one kind."""
    arrays = keras.tree.flatten(x)
    if len(arrays) == 1:
        return arrays[0] if arrays[0].size else None
    if len({array.dtype for array in arrays}) > 1:
        return None
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def _looked_at(part: Part) -> str:
    """Says of what the rows that were looked at are a part, where they aren't all."""
    if part.count is None:
        return f" (of the first {len(part.rows):,} rows)"
    return "" if len(part.rows) == part.count else f" (of a sample of {len(part.rows):,} rows)"


def _differ(rows: Rows) -> bool:
    return any((array != array[:1]).any() for array in keras.tree.flatten(rows.x))


def _best_constant(facts: ModelFacts, y: np.ndarray) -> float:
    """Returns the loss of the best answer that is the same for all rows, or that of a like loss."""
    one_hot = y.ndim == 2 and y.shape[1] > 1
    classes = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    like = Loss("mean_absolute_error" if facts.task == "numbers" else classes)
    own = chance_of(facts.loss, y) or chance_of(like, y)
    return own.get("loss", 0.0)
