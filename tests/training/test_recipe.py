"""Recipes: typed, with one line for what is wrong."""

import math
from pathlib import Path
from typing import Any

import pytest

from onebit.errors import OnebitError
from onebit.training.recipe import leaves, parse_recipe, read_recipe
from tests.training.recipes import VALUES, tiny


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": 1}, r"unknown key modle \(did you mean model\?\)"),
        ({"data": {"name": "digits", "batchsize": 3}}, r"data.batchsize \(did you mean data.batch_size\?\)"),
        ({"method": {"clas_path": "x"}}, r"method.clas_path \(did you mean method.class_path\?\)"),
        ({"max_epochs": 3}, "did you mean trainer.max_epochs"),
        ({"optimizer": 3}, "optimizer is 3"),
        ({"optimizer": {"lr": "fast"}}, "optimizer.lr must be float, not fast"),
        ({"optimizer": {"lr": -1.0}}, "optimizer.lr is -1.0"),
        ({"trainer": {"max_steps": "ten"}}, r"trainer.max_steps must be int \| None, not ten"),
        ({"trainer": {}}, "needs max_epochs or max_steps"),
        ({"trainer": {"max_steps": 3, "max_epochs": 3}}, "and not both"),
        ({"trainer": {"max_steps": 0}}, "max_steps is 0"),
        ({"trainer": {"max_steps": 3, "precision": "8-bit"}}, "trainer.precision must be"),
        ({"method": "CycleBNN"}, "method"),
        ({"model": {}}, "model.name"),
    ],
)
def test_one_line_says_what_is_wrong(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OnebitError, match=message) as caught:
        parse_recipe({**VALUES, **values}, "file.yaml")
    assert "\n" not in str(caught.value)
    assert caught.value.message.startswith("file.yaml")


def test_plain_containers_make_the_same_recipe() -> None:
    assert parse_recipe(tiny().to_dict(), "again") == tiny()


def test_overrides(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "model: {name: small, options: {width: 8}}\n"
        "method: {class_path: onebit.methods.CycleBNN, init_args: {cycles: 2}}\n"
        "data: {name: digits}\ntrainer: {max_epochs: 2}\n"
    )
    recipe = read_recipe(file, {"trainer.max_steps": 7, "seed": 5, "method.init_args": {"bits": [3, 3]}})
    assert (recipe.trainer.max_steps, recipe.trainer.max_epochs) == (7, None)
    assert recipe.seed == 5
    assert recipe.method is not None
    assert recipe.method.init_args == {"cycles": 2, "bits": [3, 3]}
    assert recipe.model.options == {"width": 8}


@pytest.mark.parametrize(
    ("content", "message"), [(b"a: [", "not YAML"), (b"\xff\xfe\x00", "not YAML"), (b"3", "no keys"), (b"", "no keys")]
)
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(OnebitError, match=message):
        read_recipe(tmp_path / "a.yaml")
    with pytest.raises(OnebitError, match="no such recipe"):
        read_recipe(tmp_path / "b.yaml")


def test_no_object_is_made_of_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"!!python/object/apply:pathlib.Path.touch ['{tmp_path / 'it ran'}']")
    with pytest.raises(OnebitError, match="not YAML"):
        read_recipe(tmp_path / "a.yaml")
    assert not (tmp_path / "it ran").exists()


def test_leaves_cover_every_section() -> None:
    assert {"model.name", "method.init_args", "data.classes", "trainer.max_steps", "seed"} <= leaves().keys()


@pytest.mark.parametrize("classes", [["7", "1"], [7, 1]])
def test_classes_by_name_stay_names(classes: list[Any]) -> None:
    assert tiny(data={"classes": classes}).data.classes == classes


RELEASED = {  # network, batch, rate, decay, epochs and augmentation of the authors' scripts
    "irnet_cifar10_resnet20": ("resnet20_irnet", 128, 0.1, 1e-4, 400, "flip_crop"),
    "irnet_cifar10_vgg_small": ("vgg_small", 128, 0.007, 1e-4, 300, "flip_crop"),
    "recu_cifar10_resnet18": ("resnet18_cifar", 256, 0.1, 5e-4, 600, "flip_crop"),
    "recu_cifar10_resnet20": ("resnet20_recu", 256, 0.1, 5e-4, 600, "flip_crop"),
    "recu_cifar10_vgg_small": ("vgg_small", 256, 0.1, 5e-4, 600, "flip_crop"),
    "recu_imagenet_resnet18": ("resnet18_imagenet", 512, 0.1, 1e-4, 200, "cyclebnn"),
    "recu_imagenet_resnet34": ("resnet34_imagenet", 512, 0.1, 1e-4, 200, "cyclebnn"),
}


@pytest.mark.parametrize("name", RELEASED)
def test_the_recipes_of_irnet_and_recu_have_the_settings_of_their_scripts(name: str) -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / f"{name}.yaml")
    assert recipe.method is not None
    optimizer, data = recipe.optimizer, recipe.data
    settings = recipe.model.name, data.batch_size, optimizer.lr, optimizer.weight_decay, recipe.trainer.max_epochs
    assert (*settings, data.augment) == RELEASED[name]
    assert (optimizer.name, optimizer.momentum, recipe.schedule.name, data.normalize) == ("sgd", 0.9, "cosine", True)
    if name.startswith("recu"):
        images = {"cifar10": 50_000, "imagenet": 1_281_167}[data.name]
        assert recipe.schedule.warmup == 5 * math.ceil(images / data.batch_size)
        assert recipe.method.init_args.get("decay_all", True) == (data.name == "cifar10")
