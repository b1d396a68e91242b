"""Chapter 19's checks accept right answers in any form and name the mistake in wrong ones."""

import math
import statistics
from typing import Any

import pytest
import sympy as sp
from torch import Tensor

from diffcourse.practice import comparison
from sheets import outcome

T_a, T_b, m_a, m_b = sp.symbols("T_a T_b m_a m_b")  # without assumptions: names alone must do


def by_statistics(a: Tensor, b: Tensor) -> float:
    gaps = [x - y for x, y in zip(a.tolist(), b.tolist())]
    return statistics.mean(gaps) / statistics.stdev(gaps) * math.sqrt(len(gaps))


def run(family: str, seed: int, *, steps: int = 10, flops: float = 2e10, n: int = 40) -> dict:
    ways = {family: {"n_floor": n}}
    return {"family": family, "seed": seed, "steps": steps, "training_flops": flops, "samples": ways}


def results(*, families: tuple = ("vae", "gan"), seeds: tuple = (0, 1), **options: Any) -> list[dict]:
    return [run(family, seed, **options) for family in families for seed in seeds]


RIGHT = [
    ("pays-off", (T_b - T_a) / (m_a / 1000 - m_b / 1000)),
    ("pays-off", 1000 * T_a / (m_b - m_a) - 1000 * T_b / (m_b - m_a)),
    ("paired", by_statistics),
    ("paired", lambda a, b: (a - b).mean() / (a - b).var().div(len(a)).sqrt()),
    ("own-comparison", results(families=("ddpm", "flow", "gan"), seeds=(3, 5))),
    ("own-comparison", tuple(results(flops=2e10)[:2] + results(flops=2.1e10, steps=40)[2:])),
    ("many-seeds", 32.0),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


gap = 1000 * (T_b - T_a)
mixed = [run("vae", 0), run("vae", 1), run("gan", 0, flops=8e10), run("gan", 1, flops=8e10)]

WRONG = [
    ("pays-off", (T_b - T_a) / (m_a - m_b), "a thousand times as many"),
    ("pays-off", (T_b - T_a) / (1000 * (m_a - m_b)), "the wrong way round"),
    ("pays-off", gap / (m_b - m_a), "this is negative"),
    ("pays-off", gap / m_a, "b draws too"),
    ("pays-off", 1000 * T_b / (m_a - m_b), "what it trains longer"),
    ("pays-off", gap / (m_a + m_b), "not one after the other"),
    ("pays-off", 1 / (gap / (m_a - m_b)), "upside down"),
    ("pays-off", 1000 * (T_b / m_b - T_a / m_a), "put the total costs equal"),
    ("pays-off", T_b, "your answer is off by"),
    ("paired", lambda a, b: (a.mean() - b.mean()) / ((a.var() + b.var()) / len(a)).sqrt(), "different ones"),
    ("paired", lambda a, b: (a - b).mean() / (a - b).std(), "n is missing"),
    ("paired", lambda a, b: (a - b).mean() / ((a - b).std() / len(a)), "by the root of n"),
    ("paired", lambda a, b: (a - b).mean() / ((a - b).std(correction=0) / len(a) ** 0.5), "n - 1"),
    ("paired", lambda a, b: by_statistics(b, a), "a minus b"),
    ("paired", lambda a, b: abs(by_statistics(a, b)), "sign is lost"),
    ("paired", lambda a, b: (a - b).mean() / ((a - b).var() / len(a)), "for standard deviations"),
    ("paired", lambda a, b: a - b, "return one number"),
    ("paired", lambda a, b: a.mean() - b.mean(), "is off by"),
    ("own-comparison", results()[0], "give a list"),
    ("own-comparison", [{"bits": 1}], "not results of `run_one`"),
    ("own-comparison", results(families=("gan",)), "nothing to be compared with"),
    ("own-comparison", results(seeds=(0,)), "the spread cannot be told"),
    ("own-comparison", results(seeds=(0, 0)), "stands in the list twice"),
    ("own-comparison", results()[:2] + results(seeds=(0, 2))[2:], "different seeds"),
    ("own-comparison", mixed, "equally many steps: one family has got 4.0 times"),
    ("own-comparison", mixed[:2] + results(flops=8e10, steps=40)[2:], "are they what is equal"),
    ("own-comparison", results()[:2] + results(n=30)[2:], "different numbers of images"),
    ("many-seeds", 16, "both vary"),
    ("many-seeds", 4, "with the root of the number"),
    ("many-seeds", 64, "how many does each get"),
    ("many-seeds", 2, "one standard error"),
    ("many-seeds", 10, "too few: how large is the error of a mean"),
    ("many-seeds", 100, "more than are needed: how large is the error of a mean"),
    ("many-seeds", "many", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line


def test_so_many_seeds_are_four_errors() -> None:
    n = comparison.many_seeds_reference()
    errors = [0.2 / math.sqrt(0.2**2 / count + 0.2**2 / count) for count in (n - 1, n)]
    assert errors[0] < 4 <= errors[1] + 1e-9
