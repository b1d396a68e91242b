"""Chapter 12's checks accept right answers in any form and name the mistake in wrong ones."""

from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse.practice import training
from sheets import code_cells, outcome, page

kappa, n = sp.symbols("kappa n")  # without assumptions: names alone must do


@pytest.mark.parametrize("name", ["tables", "steps"])
def test_what_is_to_be_repaired_is_broken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The failing test of the sheet fails, passes for the solution, and the check agrees with it."""
    namespace: dict[str, Any] = {}
    for source in code_cells(page(training).solved(keep=True)):
        if "broken_" in source or "BEGIN" not in source and source.startswith(("import", "def")):
            exec(compile(source, "<cell>", "exec"), namespace)
    assert "the test passes: False" in capsys.readouterr().out
    repaired, exercise = {"tables": ("tables", "tables"), "steps": ("take_steps", "go-on")}[name]
    test = namespace[f"test_of_{name}"]
    assert not test(namespace[f"broken_{name}"]) and test(namespace[repaired])
    assert outcome(exercise, namespace[f"broken_{name}"]).startswith("✗")


def averaged(rule: Any) -> Any:
    """An average from the running sum, the rows and the decay."""

    def average(values: Tensor, decay: float) -> Tensor:
        found = torch.zeros_like(values[0])
        for value in values:
            found = decay * found + (1 - decay) * value
        return rule(found, values, decay)

    return average


def by_shares(values: Tensor, decay: float) -> Tensor:
    shares = decay ** torch.arange(len(values) - 1, -1, -1, dtype=values.dtype)
    return shares @ values / shares.sum()


def precise(beta: Tensor) -> tuple[Tensor, Tensor]:
    log_alpha_bar = torch.log1p(-beta.double()).cumsum(0)
    return log_alpha_bar.exp(), log_alpha_bar.exp() / -torch.expm1(log_alpha_bar)


def in_float32(beta: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar = torch.cumprod(1 - beta.float(), 0)
    return alpha_bar, alpha_bar / (1 - alpha_bar)


def stepping(
    *, position: bool = True, noise: str = "by step", order: str = "permutation", pull: float = 0.1, mutate: bool = False
) -> Any:
    """A take_steps with a mistake or without."""

    def take_steps(state: dict, images: Tensor, steps: int) -> dict:
        places = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1)
        if noise == "kept" and "generator" in state:
            generator.set_state(state["generator"])
        theta = state["theta"] if mutate else state["theta"].clone()
        first = state["step"] if position else 0
        for step in range(first, first + steps):
            if noise == "by step":
                generator.manual_seed(step)
            elif noise == "one":
                generator.manual_seed(3)
            drawn = torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
            if noise == "none":
                drawn = torch.zeros_like(theta)
            place = places[step % len(images)] if order == "permutation" else places[0]
            theta += pull * (images[place] + drawn - theta)
        return {"theta": theta, "step": state["step"] + steps, "generator": generator.get_state()}

    return take_steps


RIGHT = [
    ("other-batch", kappa * kappa),
    ("other-batch", sp.exp(2 * sp.log(kappa))),
    ("early-noise", (1 - kappa) ** 2 * (1 - kappa ** (2 * n)) / ((1 - kappa**2) * (1 - kappa**n) ** 2)),
    ("early-noise", (1 - kappa) / (1 + kappa) * (1 + 2 * kappa**n / (1 - kappa**n))),
    ("zero-start", by_shares),
    ("tables", precise),
    ("go-on", stepping()),
    ("go-on", stepping(noise="kept")),
    ("silent-quarter", torch.tensor(0.3712)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


WRONG = [
    ("other-batch", sp.sqrt(kappa), "other way round"),
    ("other-batch", kappa, "nothing changes"),
    ("other-batch", 2 * kappa - 1, "halves the window"),
    ("other-batch", kappa / 2, "two of the old steps"),
    ("other-batch", (1 + kappa) / 2, "doubles the window"),
    ("other-batch", kappa**3, "your answer is off by"),
    ("early-noise", (1 - kappa) * (1 - kappa ** (2 * n)) / (1 + kappa), "before it is divided"),
    ("early-noise", (1 - kappa) / (1 + kappa), "the limit"),
    ("early-noise", (1 - kappa) * (1 + kappa**n) / (1 + kappa), "over c²"),
    ("early-noise", 1 / n, "plain average"),
    ("early-noise", 1 / (1 - kappa**n), "must be squared"),
    ("early-noise", (1 - kappa) / ((1 + kappa) * (1 - kappa**n) ** 2), "after n steps"),
    ("early-noise", kappa**n, "your answer is off by"),
    ("zero-start", averaged(lambda found, values, decay: found), "starts at zero"),
    ("zero-start", averaged(lambda found, values, decay: found + decay ** len(values) * values[0]), "starts at the first"),
    ("zero-start", lambda values, decay: by_shares(values.flip(0), decay), "oldest value counts most"),
    ("zero-start", averaged(lambda found, values, decay: found / (1 - decay ** (len(values) + 1))), "too many"),
    ("zero-start", averaged(lambda found, values, decay: found / (1 - decay ** max(1, len(values) - 1))), "too few"),
    ("zero-start", lambda values, decay: values.mean(0), "all values count the same"),
    ("zero-start", lambda values, decay: by_shares(values, 1 - decay), "exchanged"),
    ("zero-start", lambda values, decay: by_shares(values, decay) + 1, "off by"),
    ("tables", in_float32, "float32"),
    ("tables", lambda beta: tuple(table.double() for table in in_float32(beta)), "cast first"),
    ("tables", lambda beta: (torch.cat([torch.ones(1).double(), precise(beta)[0][:-1]]), precise(beta)[1]), "begins with t = 0"),
    ("tables", lambda beta: precise(beta)[0], "two tensors"),
    ("tables", lambda beta: (precise(beta)[0], precise(beta)[0]), "SNR: your result is off by"),
    ("go-on", stepping(position=False), "position in the data"),
    ("go-on", stepping(noise="started anew"), "random state is lost"),
    ("go-on", stepping(noise="one"), "noise of its own"),
    ("go-on", stepping(noise="none"), "noise of its own"),
    ("go-on", stepping(order="first"), "exactly once"),
    ("go-on", stepping(pull=0.2), "theta + 0.1"),
    ("go-on", stepping(mutate=True), "changes the state"),
    ("go-on", lambda state, images, steps: state["theta"], "return a dict"),
    ("go-on", lambda state, images, steps: {"theta": state["theta"], "step": 3}, "the state says"),
    ("silent-quarter", 0.319, "the other one"),
    ("silent-quarter", 0.1215, "perfect network"),
    ("silent-quarter", 0.25, "floor"),
    ("silent-quarter", 1, "within the quarter"),
    ("silent-quarter", 0.5, "too large: it is a mean over all t"),
    ("silent-quarter", 0.2, "too small: it is a mean over all t"),
    ("silent-quarter", "half", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
