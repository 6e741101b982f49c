"""A recipe that trains in a second."""

from typing import Any

from onebit.training.recipe import Recipe, parse_recipe

VALUES: dict[str, Any] = {
    "model": {"name": "small", "options": {"width": 8}},
    "method": {"class_path": "onebit.methods.CycleBNN", "init_args": {"bits": [2, 6], "gradient_bits": 8, "cycles": 2}},
    "data": {"name": "digits", "batch_size": 128},
    "optimizer": {"lr": 0.01},
    "trainer": {"max_steps": 30, "validate_every": 10, "threads": 1, "accelerator": "cpu"},
}


def tiny(**sections: Any) -> Recipe:
    """The recipe with some sections' values replaced; None drops a section."""
    values = {key: dict(value) for key, value in VALUES.items()}
    for key, value in sections.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return parse_recipe(values, "tiny")
