"""A training loop that everyone would write, once: `history = fit(model, (images, labels), epochs=10)`."""

from unmagic.devices import device as find_device

import contextlib
import math
import os
import pickle
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

FORMAT = "unmagic/fit/2"  # of checkpoints
Data = tuple[Tensor, Tensor]
# of (model, images, labels): what is minimised, (), and the logits (B, classes) that accuracy is counted from
Objective = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


def fit(
    model: nn.Module,
    data: Data,
    epochs: int,
    *,
    validation: Data | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    objective: Objective | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    augment: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    mixed_precision: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    patience: int | None = None,
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train a classifier and give its history; the model is left in evaluation mode, on the device.

    Args:
        data: images (N, …) and labels (N,) int64. They go to the device once, whole.
        epochs: passes over the data, each in an order of its own. A run that went on from a checkpoint may have more of
            them than before: the rest is then scheduled as of the longer run.
        validation: images and labels that are only looked at; after each epoch.
        loss: of (logits, labels), a mean.
        objective: in place of `loss` where logits are not enough: of (model, images, labels) it gives what is
            minimised, a mean, and the logits (B, classes) that accuracy is counted from. `look.adversarial(0.03)` is
            one. Validation looks at `loss` all the same.
        optimizer: called as `optimizer(parameters, lr=learning_rate)`; if not given, SGD with momentum 0.9, Nesterov's
            form and weight decay 5e-4. The rate rises for a twentieth of the steps and falls along a cosine to 0.
        augment: called on each batch of images.
        seed: of the order of the data.
        mixed_precision: bfloat16 where it is safe; if not given, on a GPU only, with channels last.
        checkpoint: file that is written after each epoch, and gone on from where it exists, if it is of the same run:
            model, number of images, batch size, learning rate, optimizer and seed.
        patience: stop after so many epochs without a smaller validation loss, and go back to the best.
        progress: a bar (tqdm) an epoch, with what the last epoch came to, where a person looks.

    Returns:
        lists with an entry an epoch: "loss", "accuracy" (of the training data as it was met), "learning_rate", and with
        validation "validation_loss" and "validation_accuracy". Accuracies are from 0 to 1. All are plain numbers, so
        `json.dumps` takes it.

    Raises:
        ValueError: data other than images and as many labels, patience without validation, a checkpoint that cannot be
            read or is of another run; says what differs.
        FloatingPointError: the loss is no number any more; says at which step and what to try.
    """
    images, labels = _pair("data", data)
    if validation is not None:
        _pair("validation", validation)
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"fit: {epochs} epochs in batches of {batch_size}; wanted 0 or more, and 1 or more.")
    if patience is not None and validation is None:
        raise ValueError("fit: patience without validation; pass validation=(images, labels) to stop by.")
    if patience is not None and patience < 1:
        raise ValueError(f"fit: patience is {patience}; wanted 1 or more epochs, or None to run to the end.")
    place = torch.device(device) if device is not None else find_device()
    on_gpu = place.type == "cuda"
    half = on_gpu if mixed_precision is None else mixed_precision
    layout = torch.channels_last if on_gpu and images.ndim == 4 else torch.contiguous_format
    model.to(place, memory_format=layout)
    images, labels = images.to(place), labels.to(place)

    make = optimizer or _sgd
    steps_an_epoch = math.ceil(len(images) / batch_size)
    steps = max(1, epochs * steps_an_epoch)
    update = make(model.parameters(), lr=learning_rate)
    minimised = objective or _of_logits(loss)
    schedule = torch.optim.lr_scheduler.LambdaLR(update, lambda step: _rate(step, steps))
    settings = {
        "images": len(images),
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": type(update).__name__,
        "seed": seed,
    }
    state = _State(model, update, schedule, settings)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(Path(checkpoint))

    for epoch in range(state.epoch, epochs):
        if patience is not None and state.waited >= patience:
            break
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed + epoch)).to(place)
        sums = torch.zeros(2, device=place, dtype=torch.float64)  # of losses and of right answers
        model.train()
        with _bar(progress, steps_an_epoch, f"epoch {epoch + 1}/{epochs}", state.history) as advance:
            for number, chosen in enumerate(order.split(batch_size)):
                batch = images[chosen].contiguous(memory_format=layout)  # (B, …)
                if augment is not None:
                    batch = augment(batch)
                with torch.autocast(place.type, torch.bfloat16, enabled=half):
                    value, logits = minimised(model, batch, labels[chosen])  # (), (B, classes)
                update.zero_grad(set_to_none=True)
                value.backward()
                update.step()
                schedule.step()
                right = (logits.argmax(dim=1) == labels[chosen]).sum()
                sums += torch.stack([value.detach() * len(chosen), right]).double()
                advance()
                if number % 50 == 0 and not math.isfinite(value.item()):
                    raise _diverged(epoch, number, schedule)
        if not math.isfinite(sums[0].item()):
            raise _diverged(epoch, steps_an_epoch - 1, schedule)
        mean = (sums / len(images)).tolist()
        entry = {"loss": mean[0], "accuracy": mean[1], "learning_rate": schedule.get_last_lr()[0]}
        if validation is not None:
            found = evaluate(
                model, validation, loss=loss, batch_size=4 * batch_size, device=place, mixed_precision=half
            )
            entry |= {f"validation_{name}": number for name, number in found.items()}
        state.note(entry)
        if checkpoint is not None:
            state.save(Path(checkpoint))
    if patience is not None:
        state.back_to_best()
    model.eval()
    return state.history


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: Data,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    batch_size: int = 512,
    device: torch.device | str | None = None,
    mixed_precision: bool = False,
) -> dict[str, float]:
    """Mean loss and accuracy (0 to 1) of a classifier on images and labels; the model's mode stays as it was."""
    place = torch.device(device) if device is not None else next(model.parameters()).device
    images, labels = data
    was_training = model.training
    model.eval()
    total, right = 0.0, 0
    try:
        for i in range(0, len(images), batch_size):
            batch, wanted = images[i : i + batch_size].to(place), labels[i : i + batch_size].to(place)
            with torch.autocast(place.type, torch.bfloat16, enabled=mixed_precision):
                logits = model(batch)  # (B, classes)
                total += loss(logits, wanted).item() * len(batch)
            right += int((logits.argmax(dim=1) == wanted).sum())
    finally:
        model.train(was_training)
    return {"loss": total / len(images), "accuracy": right / len(images)}


def _pair(name: str, data: Data) -> Data:
    """Images and labels, as many of one as of the other."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        parts = f"{len(data)} parts" if isinstance(data, tuple | list) else f"a {type(data).__name__}"
        raise ValueError(
            f"fit: {name} is {parts}; wanted two: images and labels, as in `scenes.images, scenes.labels`."
        )
    images, labels = data
    if len(images) != len(labels) or len(images) == 0:
        found = f"{len(images)} images and {len(labels)} labels"
        raise ValueError(f"fit: {found} in {name}; wanted as many of one as of the other.")
    return images, labels


def _of_logits(loss: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    def objective(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images)  # (B, classes)
        return loss(logits, labels), logits

    return objective


def _sgd(parameters: typing.Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate at a step: up for a twentieth of them, then down along a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _diverged(epoch: int, step: int, schedule: typing.Any) -> FloatingPointError:
    return FloatingPointError(
        f"fit: the loss is not a number any more, in epoch {epoch + 1}, step {step + 1}, at the learning rate "
        f"{schedule.get_last_lr()[0]:.3g}. Take a smaller learning_rate; a tenth is a good next try."
    )


@contextlib.contextmanager
def _bar(shown: bool, total: int, text: str, history: dict[str, list[float]]) -> Iterator[Callable[[], None]]:
    if not shown:
        yield lambda: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:  # a bare machine: the loop is worth more than its bar
        yield lambda: None
        return
    last = {name.replace("_", " "): f"{values[-1]:.3g}" for name, values in history.items() if name != "learning_rate"}
    if last:
        text = f"{text} (so far: {', '.join(f'{name} {value}' for name, value in last.items())})"
    with tqdm(total=total, desc=text, leave=False, disable=None) as bar:  # None: not where nobody looks
        yield bar.update


class _State:
    """What a run is made of between two epochs: what a checkpoint holds."""

    def __init__(self, model: nn.Module, update: torch.optim.Optimizer, schedule: typing.Any, settings: dict):
        self.model, self.update, self.schedule, self.settings = model, update, schedule, settings
        self.epoch, self.waited = 0, 0
        self.history: dict[str, list[float]] = {}
        self.best: tuple[float, dict] | None = None

    def note(self, entry: dict[str, float]) -> None:
        self.epoch += 1
        for name, value in entry.items():
            self.history.setdefault(name, []).append(value)
        if "validation_loss" not in entry:
            return
        if self.best is None or entry["validation_loss"] < self.best[0]:
            copy = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.best, self.waited = (entry["validation_loss"], copy), 0
        else:
            self.waited += 1

    def back_to_best(self) -> None:
        if self.best is not None:
            self.model.load_state_dict(self.best[1])

    def save(self, path: Path) -> None:
        """Written beside, then put in place: a run that is stopped leaves the last whole file."""
        parts = {"model": self.model, "update": self.update, "schedule": self.schedule}
        kept = {name: part.state_dict() for name, part in parts.items()}
        kept |= {
            "epoch": self.epoch,
            "waited": self.waited,
            "history": self.history,
            "best": self.best,
            "settings": self.settings,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        torch.save(kept | {"format": FORMAT, "random": torch.get_rng_state()}, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        way_out = "delete it or name another file"
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
            raise ValueError(f"fit: {path} cannot be read as a checkpoint; {way_out}. ({error!r})") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"fit: {path} is no checkpoint of this version of fit; {way_out}.")
        then = found["settings"]
        other = [f"{name} {then[name]}, now {now}" for name, now in self.settings.items() if then[name] != now]
        if other:
            raise ValueError(
                f"fit: {path} is of another run: {'; '.join(other)}. Take what it began with, or {way_out}."
            )
        try:
            self.model.load_state_dict(found["model"])
        except RuntimeError as error:
            raise ValueError(f"fit: {path} holds another model; {way_out}. ({error})") from None
        self.update.load_state_dict(found["update"])
        self.schedule.load_state_dict(found["schedule"])
        self.epoch, self.waited, self.history = found["epoch"], found["waited"], found["history"]
        best = found["best"]
        place = next(self.model.parameters()).device
        self.best = None if best is None else (best[0], {name: value.to(place) for name, value in best[1].items()})
        torch.set_rng_state(found["random"])
