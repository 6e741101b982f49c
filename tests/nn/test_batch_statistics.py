"""BatchNorm behind a scaled product, beside autograd in float64."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from onebit.nn.batch_statistics import BatchStatistics, Normalization


@given(seed=st.integers(0, 2**31), epsilon=st.sampled_from([1e-5, 1.0, 100.0]))
def test_closed_forms_are_autograds(seed: int, epsilon: float) -> None:
    torch.manual_seed(seed)
    y = torch.randint(-50, 51, (60, 3)).double().requires_grad_()
    alpha, gamma, beta = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    z = functional.batch_norm(y * alpha, None, None, gamma, beta, training=True, eps=epsilon)
    dz = torch.randn_like(z)
    z.backward(dz)
    exact = y.detach().long()
    statistics = BatchStatistics.of_sums(60, torch.stack([exact.sum(0), (exact * exact).sum(0)]).numpy())
    found = Normalization(statistics, *(each.detach().numpy() for each in (alpha, gamma, beta)), epsilon)
    values = y.detach().numpy()
    np.testing.assert_allclose(found.slope * values + found.offset, z.detach().numpy(), rtol=1e-9, atol=1e-9)
    sums = np.stack([dz.sum(0).numpy(), (dz.numpy() * (values - statistics.mean)).sum(0)])
    k = found.coefficients(sums)
    for mine, theirs in (
        (k[0] * dz.numpy() + k[1] * values + k[2], y.grad),
        (found.gamma_gradient(sums), gamma.grad),
        (found.alpha_gradient(sums), alpha.grad),
        (sums[0], beta.grad),
    ):
        assert theirs is not None
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-7, atol=1e-9 * float(dz.abs().sum()))


def test_variance_keeps_its_digits() -> None:
    y = np.array([30000] * 999 + [30001], np.int64)[:, None].repeat(2, 1)
    y[:, 1] = -30000
    statistics = BatchStatistics.of_sums(1000, np.stack([y.sum(0), (y * y).sum(0)]))
    np.testing.assert_allclose(statistics.variance, [999 / 1000**2, 0], rtol=1e-14)
    np.testing.assert_allclose(statistics.mean, [30000 + 1 / 1000, -30000], rtol=1e-15)
