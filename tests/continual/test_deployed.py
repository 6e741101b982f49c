"""A device's learner among the strategies: the same experiences and answers as without the strategy."""

from pathlib import Path

import numpy as np
import pytest
import torch

import onebit
from onebit import OnebitError, continual


def test_it_teaches_and_answers_what_the_learner_does(digits_model: Path, tmp_path: Path) -> None:
    model = onebit.load(digits_model)
    labels = torch.arange(8).repeat(4)
    images = torch.randn(32, *model.input_shape, generator=torch.Generator().manual_seed(0))
    stream = continual.new_classes(labels, [6, 1, 1])
    with (
        onebit.Learner.create(tmp_path / "strategy", model) as learner,
        onebit.Learner.create(tmp_path / "plain", model) as plain,
    ):
        strategy = continual.Deployed(learner, trained=1, steps=20)
        continual.run(strategy, stream, (images, labels), (images, labels))
        for experience in list(stream)[1:]:
            chosen = images[experience.indices].numpy()
            plain.teach(chosen, [str(label) for label in labels[experience.indices].tolist()], steps=20)
        assert learner.classes == plain.classes
        assert strategy.past.tolist() == [plain.classes[str(label)] for label in range(8)]
        names = np.array(list(plain.classes))
        expected = [int(name) for name in names[plain.scores(images.numpy()).argmax(axis=1)]]
        assert strategy.predict(images).tolist() == expected


def test_a_class_that_is_no_number_is_refused(digits_model: Path, tmp_path: Path) -> None:
    with onebit.Learner.create(tmp_path / "store", onebit.load(digits_model)) as learner:
        learner.rename("3", "three")
        with pytest.raises(OnebitError, match="'three' is no number"):
            continual.Deployed(learner)
