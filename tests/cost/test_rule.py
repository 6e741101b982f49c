import pytest

from onebit.cost import CostRule, Widths
from onebit.cost.energy import joule


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match="add up"):
        CostRule((Widths(0.5),))


def test_full_precision_saves_nothing() -> None:
    assert CostRule((Widths(),)).unweighted_saving() == 0


def test_energy_is_from_the_table_and_grows_with_the_widths() -> None:
    assert joule(32, 32) == pytest.approx(4.6e-12)
    assert joule(8, 8) == pytest.approx(0.3e-12)
    assert joule(32, 1) == pytest.approx(0.9e-12)
    chain = [joule(1, 1), joule(2, 1), joule(2, 2), joule(4, 4), joule(8, 8), joule(32, 1), joule(32, 8)]
    assert chain == sorted(chain)
