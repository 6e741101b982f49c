"""The tables of training; the numbers here are made up."""

import training_report

from tests.benchmarks.pages import PROVENANCE, cells


def test_published_figures_stand_beside_the_runs_of_their_recipes() -> None:
    run = {"result": {"last_top1": 0.5, "epochs": 6.0}, "provenance": PROVENANCE}
    page = training_report.published(training_report.measured({"recu_cifar10_resnet18_short": run}))
    source = "ReCU's repository, CIFAR-10, ResNet-18 (1/1), without fine-tuning"
    assert cells(page, "`recu_cifar10_resnet18`") == [
        "92.8",
        source,
        "50.0",
        "1.0 %",
        "A CPU, commit 0123456, 2026-01-02.",
    ]
    assert cells(page, "`cyclebnn_imagenet_resnet18`")[2] == "not run"
    assert "digits_" not in page, "no figure is published for it"


def test_a_length_in_steps_is_counted_in_epochs() -> None:
    run = training_report.Measured("90.0", 60.0, "")
    page = training_report.published({"cyclebnn_cifar10_resnet18": run})
    assert cells(page, "`cyclebnn_cifar10_resnet18`")[3] == "100.0 %"
