"""Schedules: tables in float64, in which no step is off by one, and which refuse what is not a schedule."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffcourse.diffusion import schedule as module
from diffcourse.diffusion.schedule import SCHEDULES, Schedule
from diffcourse.errors import InputError

TABLES = ["beta", "alpha", "alpha_bar", "snr"]
BETA = [0.1, 0.2, 0.5, 0.3]
SOME = Schedule(torch.tensor(BETA, dtype=torch.float64))
betas = st.lists(st.floats(1e-6, 0.999), min_size=1, max_size=30)


# The tables


@pytest.mark.parametrize("T", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_tables_are_finite_float64_and_monotone(name: str, T: int) -> None:
    schedule = SCHEDULES[name](T)
    assert schedule.T == T
    assert schedule.steps.tolist() == list(range(1, T + 1))
    for table in TABLES:
        values = getattr(schedule, table)(schedule.steps)
        assert values.shape == (T,) and values.dtype == torch.float64
        assert values.isfinite().all() and (values > 0).all()
    assert (schedule.beta(schedule.steps) < 1).all()
    assert (schedule.beta(schedule.steps).diff() >= 0).all()  # true of these three, not of every schedule
    assert (schedule.alpha_bar(torch.arange(T + 1)).diff() < 0).all()
    assert (schedule.snr(schedule.steps).diff() < 0).all()


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_nothing_has_happened_before_the_first_step(make) -> None:
    assert make(10).alpha_bar(0) == 1
    assert make(10).alpha_bar(torch.zeros(3, dtype=torch.int64)).tolist() == [1, 1, 1]


@given(betas)
@settings(derandomize=True, deadline=None)
def test_tables_follow_from_the_betas(beta: list[float]) -> None:
    schedule = Schedule(torch.tensor(beta, dtype=torch.float64))
    assert schedule.T == len(beta)
    for t in range(1, len(beta) + 1):
        alpha_bar = math.prod(1 - b for b in beta[:t])
        assert schedule.beta(t) == beta[t - 1]
        assert schedule.alpha(t) == 1 - beta[t - 1]
        assert schedule.alpha_bar(t).item() == pytest.approx(alpha_bar, rel=1e-13, abs=0)
        assert schedule.snr(t).item() == pytest.approx(alpha_bar / (1 - alpha_bar), rel=1e-8, abs=0)


def test_published_ends_to_the_last_digit() -> None:
    schedule = module.linear()
    assert schedule.T == 1000
    assert (schedule.beta(1), schedule.beta(1000)) == (1e-4, 0.02)
    # A float32 table keeps three digits of this difference.
    assert (1 - schedule.alpha_bar(1)).item() == pytest.approx(1e-4, rel=1e-11)
    assert schedule.alpha_bar(1000).item() == pytest.approx(4.0358e-5, rel=1e-4)


def test_linear_steps_are_equal() -> None:
    gaps = module.linear(11, 0.1, 0.3).beta(torch.arange(1, 12)).diff()
    assert gaps.tolist() == pytest.approx([0.02] * 10)


@pytest.mark.parametrize("make", [module.cosine, module.sigmoid])
def test_only_the_last_beta_is_capped(make) -> None:
    beta = make(1000).beta(torch.arange(1, 1001))
    assert beta[-1] == 0.999
    assert (beta[:-1] < 0.999).all()


def test_cap_can_be_chosen() -> None:
    schedule = module.from_alpha_bar(module.cosine_alpha_bar, 10, max_beta=0.2)
    assert schedule.beta(schedule.steps).max() == 0.2
    assert schedule.beta(1) == module.cosine(10).beta(1)  # below the cap nothing changes


@pytest.mark.parametrize("curve", [module.cosine_alpha_bar, module.sigmoid_alpha_bar])
def test_curves_fall_from_one_to_zero(curve) -> None:
    values = curve(torch.linspace(0, 1, 101))
    assert values.dtype == torch.float64
    assert values[0] == 1
    assert values[-1].item() == pytest.approx(0, abs=1e-15)
    assert (values.diff() < 0).all()


@pytest.mark.parametrize(
    ("name", "curve"), [("cosine", module.cosine_alpha_bar), ("sigmoid", module.sigmoid_alpha_bar)]
)
def test_alpha_bar_follows_the_curve_up_to_the_cap(name: str, curve) -> None:
    t = torch.arange(1000)  # 1000 is capped
    expected = curve(t.double() / 1000)
    assert torch.allclose(SCHEDULES[name](1000).alpha_bar(t), expected, rtol=1e-9, atol=0)


def test_single_precision_betas_are_converted() -> None:
    schedule = Schedule(torch.tensor(BETA, dtype=torch.float32))
    assert all(getattr(schedule, table)(2).dtype == torch.float64 for table in TABLES)


def test_nobody_can_change_a_table() -> None:
    beta = torch.tensor(BETA, dtype=torch.float64)
    schedule = Schedule(beta)
    beta.zero_()
    for t in (2, torch.tensor(2), torch.tensor([2])):
        for table in TABLES:
            getattr(schedule, table)(t).zero_()
    assert schedule.beta(schedule.steps).tolist() == BETA
    assert schedule.alpha_bar(2) == SOME.alpha_bar(2)


# Ways to give t


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_a_tensor_of_steps_is_looked_up_one_by_one(table: str, dtype: torch.dtype) -> None:
    look_up = getattr(SOME, table)
    steps = [3, 1, 4, 4, 2]  # five steps for five rows of the table: a mask would fit as well
    found = look_up(torch.tensor(steps, dtype=dtype))
    assert found.tolist() == [look_up(t).item() for t in steps]
    assert found.dtype == torch.float64


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,)])
def test_result_has_the_shape_of_t(shape: tuple[int, ...]) -> None:
    found = SOME.alpha_bar(torch.full(shape, 3))
    assert found.shape == shape
    assert (found == SOME.alpha_bar(3)).all()


@pytest.mark.parametrize("t", [1.0, True, torch.tensor([1.0]), torch.tensor([True]), torch.tensor([1j])], ids=str)
@pytest.mark.parametrize("table", TABLES)
def test_t_must_be_an_integer(table: str, t) -> None:
    with pytest.raises(InputError, match="must be an integer, not torch"):
        getattr(SOME, table)(t)


@pytest.mark.parametrize("t", [-1, 5, torch.tensor(5), torch.tensor([1, 5]), torch.tensor([-1, 1])], ids=str)
@pytest.mark.parametrize("table", TABLES)
def test_t_must_lie_on_the_chain(table: str, t) -> None:
    with pytest.raises(InputError, match=r"t must lie between . and T = 4; got"):
        getattr(SOME, table)(t)


@pytest.mark.parametrize("table", ["beta", "alpha", "snr"])
def test_only_alpha_bar_knows_step_zero(table: str) -> None:
    for t in (0, torch.tensor([1, 0])):
        with pytest.raises(InputError, match="between 1 and T = 4"):
            getattr(SOME, table)(t)


def test_a_chain_of_one_step() -> None:
    schedule = Schedule(torch.tensor([0.25]))
    assert schedule.alpha_bar(torch.tensor([0, 1])).tolist() == [1, 0.75]
    assert schedule.snr(1) == 3
    with pytest.raises(InputError):
        schedule.alpha_bar(2)


# What is not a schedule


@pytest.mark.parametrize(
    "beta",
    [[0.0], [1.0], [0.5, 0.0], [1.0, 0.5], [-0.1], [1.5], [0.5, math.nan], [math.inf], [-math.inf]],
    ids=str,
)
def test_every_beta_must_lie_between_zero_and_one(beta: list[float]) -> None:
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        Schedule(torch.tensor(beta, dtype=torch.float64))


@pytest.mark.parametrize("beta", [[], 0.1, [[0.1, 0.2]]], ids=str)
def test_betas_must_be_a_vector(beta) -> None:
    with pytest.raises(InputError, match="vector of at least one beta"):
        Schedule(torch.tensor(beta))


@pytest.mark.parametrize("T", [0, -3])
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_chain_needs_a_step(make, T: int) -> None:
    with pytest.raises(InputError, match=f"T = {T}"):
        make(T)


@pytest.mark.parametrize("ends", [(0.0, 0.02), (1e-4, 1.0), (-0.1, 0.2), (0.1, math.nan)])
def test_linear_ends_must_be_betas(ends: tuple[float, float]) -> None:
    with pytest.raises(InputError):
        module.linear(10, *ends)


def test_a_curve_must_fall() -> None:
    with pytest.raises(InputError):
        module.from_alpha_bar(lambda u: 0.5 + u / 4, 10)
