"""The data module by itself, under Lightning with a resume in the middle of an epoch, and with two processes."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from onebit import data
from onebit.data import DataModule, autoaugment
from onebit.data.cifar import CIFAR10
from onebit.errors import OnebitError

pytestmark = pytest.mark.usefixtures("one_thread")


def same(a, b):
    return all(torch.equal(x, y) for batch, other in zip(a, b, strict=True) for x, y in zip(batch, other, strict=True))


@pytest.mark.parametrize("augment", ["none", "flip_crop", "cyclebnn"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_repeat_and_epochs_differ(augment, num_workers):
    def epochs(workers, seed=3):
        loader = DataModule(
            "digits", batch_size=100, augment=augment, seed=seed, num_workers=workers
        ).train_dataloader()
        return list(loader), list(loader)

    first, second = epochs(0)
    torch.manual_seed(7)
    again = epochs(num_workers)
    assert same(first, again[0])
    assert same(second, again[1])
    assert not same(first, second)
    assert not same(first, epochs(0, seed=4)[0])
    labels = torch.cat([labels for _, labels in first])
    assert labels.bincount().tolist() == data.create("digits").train()[1].bincount().tolist()
    assert all(len(images.unique(dim=0)) > 90 for images, _ in first[:-1]), "nothing is blotted out"


@pytest.mark.parametrize("done", [0, 1, 7, 14, 15])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_loader_goes_on_with_the_next_batch(done, num_workers):
    module = DataModule("digits", batch_size=100, augment="cyclebnn", num_workers=num_workers)
    whole = module.train_dataloader()
    batches = [*whole, *whole]
    assert len(batches) == 30
    broken = module.train_dataloader()
    iterator = iter(broken)
    for _ in range(done):
        next(iterator)
    resumed = module.train_dataloader()
    resumed.load_state_dict(broken.state_dict())
    rest = list(resumed)
    if done < 15:
        rest += list(resumed)
    assert same(rest, batches[done:])


def test_normalisation_is_the_contract():
    module = DataModule("cifar100_subset") if _has("cifar100_subset") else DataModule("digits")
    images, labels = next(iter(module.test_dataloader()))
    pixels, expected = module.data_set.test()
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (module.mean, module.std))
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.allclose(images, (pixels[:64] / 255 - mean) / std, atol=1e-5)
    assert torch.equal(labels, expected[:64])


def _has(name):
    try:
        data.create(name).folder()
    except OnebitError:
        return False
    return True


def test_without_normalisation_pixels_are_from_0_to_1():
    module = DataModule("digits", normalize=False)
    images, _ = next(iter(module.test_dataloader()))
    assert (module.mean, module.std) == ((0.0,), (1.0,))
    assert (images.min(), images.max()) == (0, 1)


@pytest.mark.slow
def test_what_cyclebnn_uncovers_has_the_mean_colour_of_cifar10_and_of_a_crop_alone_is_black(monkeypatch):
    white = torch.full((200, 3, 32, 32), 255, dtype=torch.uint8)
    monkeypatch.setattr(CIFAR10, "train", lambda _: (white, torch.zeros(200, dtype=torch.int64)))
    never = np.zeros(25, int), np.zeros(25), np.ones(25, np.float32)
    monkeypatch.setattr(autoaugment, "_TABLES", [never, never])

    def colours(**options):
        module = DataModule("cifar10", batch_size=200, **options)
        ((images, _),) = module.train_dataloader()
        pixels = images * torch.tensor(module.std).view(3, 1, 1) + torch.tensor(module.mean).view(3, 1, 1)
        rounded = (25500 * pixels).permute(0, 2, 3, 1).reshape(-1, 3).round() / 100
        return {tuple(round(value, 2) for value in colour) for colour in rounded.unique(dim=0).tolist()}

    for normalize in (True, False):
        assert colours(augment="flip_crop", normalize=normalize) == {(255, 255, 255), (0, 0, 0)}
        expected = {(255, 255, 255), (125, 122, 113), (125.31, 122.95, 113.87)}  # the hole is the mean itself
        assert colours(augment="cyclebnn", normalize=normalize) == expected


def test_training_images_are_held_out_for_validation():
    whole = DataModule("digits")
    module = DataModule("digits", batch_size=50, validation=137, augment="flip_crop")
    (kept, labels), (images, _) = module.train_split, whole.train_split
    held = torch.cat([batch for batch, _ in module.val_dataloader()])
    assert (len(kept), len(labels), len(held)) == (1300, 1300, 137)
    assert sum(module.samples) == 1300
    bytes_held = (held * torch.tensor(module.std[0]) + module.mean[0]).mul(255).round().to(torch.uint8)
    both = torch.cat([kept, bytes_held]).flatten(1)
    assert sorted(both.tolist()) == sorted(images.flatten(1).tolist()), "each image once"
    again = DataModule("digits", validation=137, seed=5)
    assert torch.equal(again.train_split[0], kept), "the same ones whatever the seed"
    assert same(module.test_dataloader(), DataModule("digits", batch_size=50).test_dataloader())


def test_not_all_can_be_held_out():
    with pytest.raises(OnebitError, match="1437 of 1437 training images"):
        DataModule("digits", validation=1437).train_split  # noqa: B018  # reads the data


def test_images_come_channels_last():
    for augment in ("none", "flip_crop", "cyclebnn"):
        images, _ = next(iter(DataModule("digits", augment=augment).train_dataloader()))
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.shape == (64, 1, 8, 8)


def test_the_test_part_comes_in_order_and_without_augmentation():
    module = DataModule("digits", batch_size=50, augment="cyclebnn")
    for loader in (module.test_dataloader(), module.val_dataloader()):
        assert same(loader, DataModule("digits", batch_size=50).test_dataloader())


def test_classes_are_kept_and_relabelled_in_the_stated_order():
    module = DataModule("digits", classes=["7", 2, "5"])
    assert module.classes == ("7", "2", "5")
    images, labels = module.test_split
    all_images, all_labels = data.create("digits").test()
    for label, original in enumerate((7, 2, 5)):
        assert torch.equal(images[labels == label], all_images[all_labels == original])
    assert module.samples == tuple(data.create("digits").train()[1].bincount()[[7, 2, 5]].tolist())
    assert sum(module.samples) == len(torch.cat([batch for _, batch in module.train_dataloader()]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "digit"}, "did you mean digits"),
        ({"augment": "flip"}, "there is no augmentation 'flip'"),
        ({"classes": ["eleven"]}, "has no class 'eleven'"),
        ({"classes": [10]}, "has no class 10"),
        ({"classes": []}, "name one class or more"),
        ({"classes": [1, "1"]}, "each once"),
        ({"options": {"size": 3}}, "size"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, message):
    with pytest.raises(OnebitError, match=message):
        DataModule(**({"name": "digits"} | options))


class Linear(LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(64, 10)
        self.seen = []

    def training_step(self, batch, index):
        images, labels = batch
        self.seen.append((self.current_epoch, index, images.double().sum().item(), labels.tolist()))
        return torch.nn.functional.cross_entropy(self.layer(images.flatten(1)), labels)

    def validation_step(self, batch, index):
        self.log("top1", (self.layer(batch[0].flatten(1)).argmax(1) == batch[1]).float().mean(), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class StopAndSave(Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def fit(root, callbacks=(), checkpoint=None):
    module = Linear()
    trainer = Trainer(
        default_root_dir=root,
        max_epochs=3,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        module, DataModule("digits", batch_size=200, augment="cyclebnn"), ckpt_path=checkpoint, weights_only=True
    )
    return module


@pytest.mark.parametrize("step", [3, 8, 11, 15, 16], ids=lambda step: f"after step {step} of 8 an epoch")
def test_lightning_resumes_in_the_middle_of_an_epoch(tmp_path, step):
    unbroken = fit(tmp_path)
    assert len(unbroken.seen) == 24
    path = tmp_path / "middle.ckpt"
    fit(tmp_path, [StopAndSave(step, path)])
    resumed = fit(tmp_path, checkpoint=path)
    assert resumed.seen == unbroken.seen[step:]
    for a, b in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


class Recorder(Callback):
    """Writes which training images, and how many test images, a process sees."""

    def __init__(self, folder):
        self.folder = folder
        self.train, self.tested = [], 0

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.train.append(batch[0].flatten(1).double().sum(1))

    def on_validation_batch_end(self, trainer, module, outputs, batch, index, *_):
        self.tested += len(batch[1])

    def on_fit_end(self, trainer, module):
        seen = {"train": torch.cat(self.train), "tested": self.tested, "weight": module.layer.weight.detach()}
        torch.save(seen, self.folder / f"{trainer.global_rank}.pt")


@pytest.mark.slow
def test_two_processes_share_an_epoch(tmp_path):
    trainer = Trainer(
        default_root_dir=tmp_path,
        max_epochs=1,
        accelerator="cpu",
        devices=2,
        strategy="ddp_spawn",
        callbacks=[Recorder(tmp_path)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Linear(), DataModule("digits", batch_size=100))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert len(first["train"]) == len(second["train"]) == 719
    assert first["tested"] + second["tested"] == 360
    assert torch.equal(first["weight"], second["weight"])
    module = DataModule("digits", batch_size=2000)
    every = next(iter(module.train_dataloader()))[0].flatten(1).double().sum(1)
    seen = torch.cat([first["train"], second["train"]])
    assert set(every.tolist()) == set(seen.tolist())
