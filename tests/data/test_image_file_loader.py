"""What becomes of images, and that a batch is a function of seed, epoch, position and process."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import onebit
from onebit import deploy
from onebit.data import DataModule
from onebit.data.augment import lighting
from onebit.data.image_file_loader import random_box
from onebit.data.sampler import EpochSampler, seeded
from onebit.runtime.image import centre_box, crop, to_pixels
from tests.jpegs import shards, tree


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    return {"imagenet": tree(folder / "tree"), "imagenet_shards": shards(folder / "shards")}


def module(places, name="imagenet", **arguments):
    arguments = {"batch_size": 7, "augment": "cyclebnn", "seed": 3, **arguments}
    return DataModule(name, {"path": str(places[name]), "size": 16}, **arguments)


def same(a, b):
    return all(torch.equal(x, y) for batch, other in zip(a, b, strict=True) for x, y in zip(batch, other, strict=True))


@pytest.mark.parametrize("name", ["imagenet", "imagenet_shards"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_repeat_and_go_on_wherever_they_stopped(places, name, num_workers):
    whole = module(places).train_dataloader()
    expected = [*whole, *whole]
    assert [len(labels) for _, labels in expected[:6]] == [7, 7, 7, 7, 8, 7]
    torch.manual_seed(5)
    other = module(places, name, num_workers=num_workers).train_dataloader()
    assert same(expected, [*other, *other])
    for done in (0, 2, 5):
        broken = module(places, name, num_workers=num_workers).train_dataloader()
        iterator = iter(broken)
        for _ in range(done):
            next(iterator)
        resumed = module(places, name).train_dataloader()
        resumed.load_state_dict(broken.state_dict())
        rest = list(resumed)
        if done < 5:
            rest += list(resumed)
        assert same(rest, expected[done:])
    assert not same(expected[:5], list(module(places, seed=4).train_dataloader()))


def test_every_image_comes_once_an_epoch_over_the_processes(places):
    made = module(places, augment="none", batch_size=4)
    plain = {image.numpy().tobytes() for images, _ in made.train_dataloader() for image in images}
    assert len(plain) == 36
    seen = []
    for rank in range(2):
        loader = made.train_dataloader()
        loader.sampler = EpochSampler(36, 4, shuffle=True, seed=3, rank=rank, world=2)
        seen += [image.numpy().tobytes() for images, _ in loader for image in images]
    assert sorted(seen) == sorted(plain)


def test_training_images_are_held_out_for_validation(places):
    made, whole = module(places, augment="none", validation=9), module(places, augment="none")
    validated = list(made.val_dataloader())
    assert sum(len(labels) for _, labels in validated) == 9
    assert same(validated, module(places, augment="cyclebnn", validation=9, seed=8).val_dataloader()), "not augmented"
    assert len(made.train_labels) == len(whole.train_labels) - 9
    parts = made.train_dataloader(), validated
    seen = sorted(image.numpy().tobytes() for part in parts for images, _ in part for image in images)
    assert seen == sorted(image.numpy().tobytes() for images, _ in whole.train_dataloader() for image in images)


def test_the_test_part_is_the_centre_of_the_resized_image(places):
    made = module(places)
    images, labels = next(iter(made.test_dataloader()))
    files = made.data_set.test_images
    assert labels.tolist() == files.labels[:7].tolist()
    image = Image.open(io.BytesIO(files.read(0)))
    cut = crop(image, centre_box(image.size, (16, 16), 18), (16, 16))
    pixels = torch.from_numpy(np.asarray(cut).transpose(2, 0, 1).copy())
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (made.mean, made.std))
    assert torch.allclose(images[0], (pixels / 255 - mean) / std, atol=1e-5)


def test_the_packed_model_cuts_an_image_as_the_evaluation_does(places, tmp_path):
    made = module(places)
    images, _ = next(iter(made.test_dataloader()))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    info = {"data": {"name": made.name, "options": made.options}}
    resize = deploy.evaluation_resize(info)
    assert resize == 18
    deploy.export(net, tmp_path / "m.obn", images, mean=made.mean, std=made.std, resize=resize)
    model = onebit.load(tmp_path / "m.obn")
    assert model.resize == 18
    encoded = [made.data_set.test_images.read(number) for number in range(len(images))]
    sizes = {Image.open(io.BytesIO(image)).size for image in encoded}
    assert any(width != height for width, height in sizes), "stretching would give another image"
    torch.testing.assert_close(torch.from_numpy(model.input_of(encoded)).permute(0, 3, 1, 2), images)


def test_cutting_first_is_near_resizing_first():
    gradient = np.add.outer(np.arange(300), np.arange(500)).astype(np.float64)
    image = Image.fromarray(np.repeat((gradient * 255 / gradient.max())[..., None], 3, 2).astype(np.uint8))
    ours = to_pixels(crop(image, centre_box(image.size, (224, 224), 256), (224, 224)), (3, 224, 224))
    resized = image.resize((int(256 * 500 / 300), 256), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), 16
    usual = to_pixels(resized.crop((left, top, left + 224, top + 224)), (3, 224, 224))
    assert np.abs(ours.astype(int) - usual).max() <= 1


def test_random_parts_are_as_the_paper_says():
    boxes = [
        random_box((400, 300), draw, (0.08, 1.0))
        for draw in torch.rand(4000, 22, generator=seeded(0), dtype=torch.float64)
    ]
    left, top, right, bottom = np.array(boxes).T
    assert min(left.min(), top.min()) == 0
    assert (right.max(), bottom.max()) == (400, 300)
    area, ratio = (right - left) * (bottom - top) / 120_000, (right - left) / (bottom - top)
    assert 0.078 < area.min() < 0.1
    assert 0.41 < area.mean() < 0.44, "below 0.54, for large parts fit less often"
    assert ratio.min() > 0.74
    assert ratio.max() < 1.35
    wide = [random_box((400, 300), draw, (0.08, 1.25)) for draw in torch.rand(4000, 22, generator=seeded(0))]
    left, top, right, bottom = np.array(wide).T
    assert ((right - left) * (bottom - top) / 120_000).mean() > area.mean()
    assert random_box((1000, 10), torch.full((22,), 0.99), (0.9, 1.0)) == (493, 0, 506, 10), "the centre, at most 4:3"


def test_half_of_the_images_are_mirrored(places):
    made = module(places, augment="flip_crop", batch_size=36)
    loader = made.train_dataloader()
    draws = torch.full((36, 23), 0.5, dtype=torch.float64)
    draws[:, -1] = torch.rand(36, generator=seeded(1))
    for number in range(36):
        straight, chosen = (loader._read(number, draw) for draw in (torch.full((23,), 0.5), draws[number]))
        assert np.array_equal(chosen, straight[..., ::-1] if draws[number, -1] < 0.5 else straight)
    assert 8 < (draws[:, -1] < 0.5).sum() < 28


def test_lighting_has_the_covariance_of_the_colours():
    added = lighting(20_000, seeded(0), 0.1).flatten(1).double()
    assert added.mean(0).abs().max() < 1e-3
    deviation = added.std(0)
    assert deviation.tolist() == pytest.approx([0.0124, 0.0126, 0.0128], abs=3e-4)
    assert torch.corrcoef(added.T).min() > 0.97, "nearly grey: the first direction carries most"


def test_classes_are_kept_and_relabelled(places):
    made = module(places, "imagenet_shards", classes=["n00000002", "n00000000"], batch_size=4)
    everything = module(places)
    assert made.samples == (everything.samples[2], everything.samples[0])
    labels = torch.cat([labels for _, labels in made.train_dataloader()])
    assert labels.bincount().tolist() == list(made.samples)


def test_a_model_can_ask_for_its_own_normalisation(places):
    images, _ = next(iter(module(places).held_out([0.0] * 3, [1.0] * 3)))
    assert len(images) == 10
    assert images.min() >= 0
    assert images.max() <= 1
