"""The first case, a dense network with dropout, as others would train it.

Each is written as its users would write it, data in memory, and does the same work: shuffled
batches, Adam, and loss and accuracy on the validation rows after each epoch.
"""

import importlib.util
import time

import numpy as np

from kerastrain import bench

UNITS, DROPOUT, CLASSES = 100, 0.3, 10


def installed():
    """Returns the contenders whose packages are installed, by name."""
    rivals = {
        "PyTorch": ("torch", by_torch),
        "skorch": ("skorch", by_skorch),
        "Lightning": ("lightning", by_lightning),
        "JAX scan": ("jax", by_jax),
    }
    return {
        name: contender
        for name, (package, contender) in rivals.items()
        if importlib.util.find_spec(package)
    }


def clocked(case, epoch_of):
    """Runs some epochs and returns what the whole fit would have taken."""
    seconds, before = [], time.perf_counter()
    for _ in range(min(case.epochs, bench.RIVAL_EPOCHS)):
        start = time.perf_counter()
        epoch_of()
        seconds.append(time.perf_counter() - start)
    return bench.extrapolated(seconds, time.perf_counter() - before, case.epochs)


def network():
    from torch import nn

    layers = [nn.Linear(784, UNITS), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(UNITS, CLASSES)]
    return nn.Sequential(nn.Flatten(), *layers)


def by_torch(case):
    """A loop by hand over tensors, which no DataLoader slows down, with the fused Adam."""
    import torch

    (x, y), (x_val, y_val) = (map(torch.from_numpy, pair) for pair in (case.data, case.validation))
    model, loss_of = network(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def epoch():
        model.train()
        total, right = torch.zeros(()), torch.zeros(())
        for chosen in torch.randperm(len(x)).split(case.batch_size):
            optimizer.zero_grad()
            outputs = model(x[chosen])
            loss = loss_of(outputs, y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(chosen)
            right += (outputs.argmax(1) == y[chosen]).sum()
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in x_val.split(1024)])
        validation = loss_of(outputs, y_val), (outputs.argmax(1) == y_val).float().mean()
        return [float(number) for number in (total, right, *validation)]

    return clocked(case, epoch)


def by_skorch(case):
    import skorch
    import torch
    from skorch.callbacks import EpochScoring
    from skorch.helper import predefined_split

    accuracy = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="accuracy")
    net = skorch.NeuralNetClassifier(
        network,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        batch_size=case.batch_size,
        iterator_train__shuffle=True,
        train_split=predefined_split(skorch.dataset.Dataset(*case.validation)),
        callbacks=[accuracy],
        verbose=0,
    )
    net.initialize()
    return clocked(case, lambda: net.partial_fit(*case.data, epochs=1))


def by_lightning(case):
    import lightning
    import torch

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.loss_of = network(), torch.nn.CrossEntropyLoss()

        def training_step(self, batch, number):
            return self._logged(batch, "")

        def validation_step(self, batch, number):
            self._logged(batch, "val_")

        def _logged(self, batch, prefix):
            x, y = batch
            outputs = self.network(x)
            loss = self.loss_of(outputs, y)
            accuracy = (outputs.argmax(1) == y).float().mean()
            logs = {f"{prefix}loss": loss, f"{prefix}accuracy": accuracy}
            self.log_dict(logs, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), fused=True)

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, trainer, module):
            self.start = time.perf_counter()

        def on_train_epoch_end(self, trainer, module):
            seconds.append(time.perf_counter() - self.start)

    def loader(pair, size, *, shuffle):
        rows = torch.utils.data.TensorDataset(*map(torch.from_numpy, pair))
        return torch.utils.data.DataLoader(rows, size, shuffle=shuffle)

    seconds, before = [], time.perf_counter()
    trainer = lightning.Trainer(
        max_epochs=min(case.epochs, bench.RIVAL_EPOCHS),
        callbacks=[Clock()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        Module(),
        loader(case.data, case.batch_size, shuffle=True),
        loader(case.validation, 1024, shuffle=False),
    )
    return bench.extrapolated(seconds, time.perf_counter() - before, case.epochs)


def by_jax(case):
    """A compiled `lax.scan` over the steps, with JAX's fastest random numbers."""
    import jax
    import jax.numpy as jnp

    (x, y), (x_val, y_val) = (
        (jnp.asarray(inputs.reshape(len(inputs), -1)), jnp.asarray(targets))
        for inputs, targets in (case.data, case.validation)
    )

    def logits_of(weights, x, key=None):
        hidden = jax.nn.relu(x @ weights["w"] + weights["b"])
        if key is not None:
            kept = jax.random.bernoulli(key, 1 - DROPOUT, hidden.shape)
            hidden = jnp.where(kept, hidden / (1 - DROPOUT), 0)
        return hidden @ weights["v"] + weights["c"]

    def loss_of(weights, x, y, key=None):
        logits = logits_of(weights, x, key)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return -chosen.mean(), (logits.argmax(axis=1) == y).mean()

    def step(state, rows):
        weights, m, v, number, key = state
        key, now = jax.random.split(key)
        (loss, accuracy), gradient = jax.value_and_grad(loss_of, has_aux=True)(
            weights, x[rows], y[rows], now
        )
        number = number + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, gradient)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        return (weights, m, v, number, key), (loss, accuracy)

    run = jax.jit(lambda state, order: jax.lax.scan(step, state, order))
    evaluate = jax.jit(loss_of)
    generator = np.random.default_rng(0)
    sides = {"w": (x.shape[1], UNITS), "v": (UNITS, CLASSES)}
    weights = {
        name: jnp.asarray(generator.normal(0, np.sqrt(2 / sum(shape)), shape), jnp.float32)
        for name, shape in sides.items()
    }
    weights |= {"b": jnp.zeros(UNITS), "c": jnp.zeros(CLASSES)}
    nothing = jax.tree.map(jnp.zeros_like, weights)
    state = [(weights, nothing, nothing, jnp.zeros(()), jax.random.key(0, impl="unsafe_rbg"))]

    def epoch():
        order = generator.permutation(len(x)).reshape(-1, case.batch_size)
        state[0], logs = run(state[0], jnp.asarray(order))
        validation = evaluate(state[0][0], x_val, y_val)
        return [float(jnp.mean(part)) for part in (*logs, *validation)]

    return clocked(case, epoch)
