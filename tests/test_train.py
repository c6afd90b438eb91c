"""The training loop: it learns, is repeatable, goes on from a checkpoint, stops early, and says what went wrong."""

from unmagic import data, zoo
from unmagic.train import evaluate, fit

import json
import math

import pytest
import torch
from torch import nn


@pytest.fixture(scope="module")
def digits():
    train, validation = data.digits("train"), data.digits("validation")
    return (train.images, train.labels), (validation.images, validation.labels)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


OPTIONS = {"device": "cpu", "progress": False, "learning_rate": 0.1, "batch_size": 64}


def test_learns_and_says_what_it_saw_each_epoch(digits):
    model = net()
    history = fit(model, digits[0], 8, validation=digits[1], **OPTIONS)
    assert set(history) == {"loss", "accuracy", "learning_rate", "validation_loss", "validation_accuracy"}
    assert all(len(values) == 8 for values in history.values())
    assert history["validation_accuracy"][-1] > 0.93 and history["loss"][-1] < 0.3 * history["loss"][0]
    assert not model.training
    found = evaluate(model, digits[1])
    assert found["accuracy"] == history["validation_accuracy"][-1]
    assert found["loss"] == pytest.approx(history["validation_loss"][-1], rel=1e-5)


def test_evaluate_is_the_mean_over_all_images_whatever_the_batches(digits):
    model = net()
    images, labels = digits[1]
    with torch.no_grad():
        logits = model(images)
    for size in (1, 7, 1000):
        found = evaluate(model, digits[1], batch_size=size)
        assert found["loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
        assert found["accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean().item())


def test_an_objective_sees_the_model_and_its_logits_are_what_is_counted(digits):
    """The same loss, said as an objective, is the same run; logits of its own choosing change the accuracy alone."""

    def plainly(model, images, labels):
        logits = model(images)
        return nn.functional.cross_entropy(logits, labels), logits

    def always_right(model, images, labels):
        return plainly(model, images, labels)[0], nn.functional.one_hot(labels, 10)

    wanted = fit(net(), digits[0], 2, validation=digits[1], **OPTIONS)
    assert fit(net(), digits[0], 2, validation=digits[1], objective=plainly, **OPTIONS) == wanted
    assert fit(net(), digits[0], 2, validation=digits[1], objective=always_right, **OPTIONS) == wanted | {
        "accuracy": [1.0, 1.0]
    }


def test_the_history_is_plain_numbers_that_json_takes(digits):
    history = fit(net(), digits[0], 2, validation=digits[1], **OPTIONS)
    assert type(history) is dict and json.loads(json.dumps(history)) == history
    assert {type(value) for values in history.values() for value in values} == {float}


def test_the_bar_counts_the_steps_of_an_epoch_and_says_what_the_last_one_came_to(digits, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, total, desc, **options):
            bars.append({"total": total, "text": desc, "done": 0, **options})

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self):
            bars[-1]["done"] += 1

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    history = fit(net(), digits[0], 2, validation=digits[1], **(OPTIONS | {"progress": True}))
    assert [(bar["total"], bar["done"]) for bar in bars] == [(19, 19), (19, 19)]  # ⌈1197/64⌉
    assert bars[0]["text"] == "epoch 1/2"
    assert bars[1]["text"].startswith(f"epoch 2/2 (so far: loss {history['loss'][0]:.3g}, accuracy ")
    assert f"validation accuracy {history['validation_accuracy'][0]:.3g})" in bars[1]["text"]
    assert bars[0]["disable"] is None  # tqdm's own: no bar in a file or a pipe


def test_a_run_is_repeated_exactly_and_another_seed_is_another_order(digits):
    one, again, other = (fit(net(), digits[0], 2, seed=seed, **OPTIONS) for seed in (3, 3, 4))
    assert one == again and one["loss"] != other["loss"]


def test_the_default_step_is_torchs_sgd_with_its_schedule(digits):
    images, labels = digits[0][0][:64], digits[0][1][:64]
    model, twin = net(), net()
    fit(model, (images, labels), 1, **OPTIONS)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(twin(images[order]), labels[order]).backward()
    optimizer.step()  # one step of one: warm-up is over at once
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_learning_rate_rises_and_falls_to_nothing(digits):
    rates = fit(net(), digits[0], 10, **OPTIONS)["learning_rate"]
    assert max(rates) <= 0.1 and rates[-1] < 1e-3 and rates == sorted(rates, reverse=True)


class TestCheckpoints:
    def test_a_run_that_was_stopped_goes_on_to_the_same_end(self, digits, tmp_path):
        whole = net()
        wanted = fit(whole, digits[0], 4, validation=digits[1], **OPTIONS)
        stopped = {"n": 0}

        def until(images):
            stopped["n"] += 1
            if stopped["n"] > 40:  # in the third epoch of 19 steps
                raise KeyboardInterrupt
            return images

        path = tmp_path / "run" / "net.pt"
        with pytest.raises(KeyboardInterrupt):
            fit(net(), digits[0], 4, validation=digits[1], checkpoint=path, augment=until, **OPTIONS)
        seen = []
        again = net(seed=9)  # its weights are the checkpoint's
        found = fit(
            again, digits[0], 4, validation=digits[1], checkpoint=path, augment=lambda x: seen.append(1) or x, **OPTIONS
        )
        assert found == wanted and len(seen) == 2 * 19
        for ours, theirs in zip(again.parameters(), whole.parameters(), strict=True):
            assert ours.equal(theirs)
        assert not list(path.parent.glob("*.part"))

    def test_a_finished_run_is_not_repeated(self, digits, tmp_path):
        path = tmp_path / "net.pt"
        wanted = fit(net(), digits[0], 2, checkpoint=path, **OPTIONS)

        def never(images):
            raise AssertionError("a step was taken")

        assert fit(net(), digits[0], 2, checkpoint=path, augment=never, **OPTIONS) == wanted

    def test_a_checkpoint_of_another_run_is_refused_by_name(self, digits, tmp_path):
        path = tmp_path / "net.pt"
        fit(net(), digits[0], 1, checkpoint=path, **OPTIONS)
        few = tuple(part[:600] for part in digits[0])
        for images_and_labels, change, said in (
            (digits[0], {"seed": 1}, r"seed 0, now 1\."),
            (digits[0], {"learning_rate": 0.5}, r"learning_rate 0\.1, now 0\.5\."),
            (digits[0], {"optimizer": torch.optim.Adam}, r"optimizer SGD, now Adam\."),
            (few, {"batch_size": 32}, r"images 1197, now 600; batch_size 64, now 32\."),
        ):
            with pytest.raises(ValueError, match=rf"net.pt is of another run: {said} Take what it began with"):
                fit(net(), images_and_labels, 1, checkpoint=path, **(OPTIONS | change))
        other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        with pytest.raises(ValueError, match=r"net.pt holds another model"):
            fit(other, digits[0], 1, checkpoint=path, **OPTIONS)

    @pytest.mark.parametrize(
        ("content", "said"), [(b"hello", "cannot be read as a checkpoint"), (None, "is no checkpoint of this version")]
    )
    def test_a_file_that_is_no_checkpoint_is_said_and_left_alone(self, content, said, digits, tmp_path):
        path = tmp_path / "net.pt"
        if content is None:
            torch.save(net().state_dict(), path)
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(ValueError, match=rf"net.pt {said}.*delete it or name another file"):
            fit(net(), digits[0], 1, checkpoint=path, **OPTIONS)
        assert path.read_bytes() == before

    def test_a_finished_run_goes_on_for_more_epochs(self, digits, tmp_path):
        path = tmp_path / "net.pt"
        short = fit(net(), digits[0], 2, checkpoint=path, **OPTIONS)
        longer = fit(net(), digits[0], 4, checkpoint=path, **OPTIONS)
        assert longer["loss"][:2] == short["loss"] and len(longer["loss"]) == 4 and longer["learning_rate"][2] > 0


def test_stops_when_validation_gets_no_better_and_goes_back_to_the_best(digits):
    few = (digits[0][0][:40], digits[0][1][:40])
    model = net()
    history = fit(model, few, 200, validation=digits[1], patience=3, **OPTIONS)
    losses = history["validation_loss"]
    assert len(losses) < 200 and min(losses) == losses[-4]
    assert evaluate(model, digits[1])["loss"] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": (torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64))}, "3 images and 2 labels"),
        ({"patience": 2}, "patience without validation"),
        (
            {"patience": 0, "validation": (torch.zeros(3, 64), torch.zeros(3, dtype=torch.int64))},
            "patience is 0; wanted 1",
        ),
        ({"data": (torch.zeros(3, 64), torch.zeros(3), torch.zeros(3))}, "data is 3 parts; wanted two: images"),
        ({"data": torch.zeros(3, 4)}, "data is a Tensor; wanted two"),
        ({"validation": (torch.zeros(3, 4), torch.zeros(2))}, "3 images and 2 labels in validation"),
        ({"epochs": -1}, "-1 epochs in batches of 64"),
        ({"batch_size": 0}, "1 epochs in batches of 0; wanted 0 or more, and 1 or more"),
    ],
)
def test_what_cannot_be_trained_is_said(digits, options, message):
    arguments = {"data": digits[0], "epochs": 1, **OPTIONS, **options}
    with pytest.raises(ValueError, match=message):
        fit(net(), **arguments)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(digits):
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d+, at the learning rate .* Take a smaller"):
        fit(net(), digits[0], 2, **(OPTIONS | {"learning_rate": 1e20}))


def test_convolutional_nets_train_in_half_precision(digits):
    images = nn.functional.interpolate(digits[0][0][:128].reshape(-1, 1, 8, 8), size=32)
    model = zoo.LeNet5(output="linear")
    history = fit(model, (images, digits[0][1][:128]), 2, mixed_precision=True, **(OPTIONS | {"learning_rate": 0.01}))
    assert math.isfinite(history["loss"][-1]) and next(model.parameters()).dtype == torch.float32
