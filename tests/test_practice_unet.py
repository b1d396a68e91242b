"""Chapter 11's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffcourse.nets.unet import ResBlock
from diffcourse.practice import unet
from diffcourse.practice.unet import C, D, E, residual_weights_reference
from sheets import code_cells, outcome, page

c, d, e = sp.symbols("c d e")  # without assumptions: names alone must do


def test_the_broken_programs_of_the_sheet_fail_their_tests_and_the_solutions_pass() -> None:
    namespace: dict[str, Any] = {}
    for source in code_cells(page(unet).solved(keep=True)):
        if "practice." not in source:
            exec(compile(source, "<cell>", "exec"), namespace)
    assert not namespace["test"](namespace["broken_attend"]) and namespace["test"](namespace["attend"])
    assert not namespace["test_u"](namespace["broken_u"]) and namespace["test_u"](namespace["u"])
    assert outcome("attend", namespace["broken_attend"]).startswith("✗")
    assert outcome("u-turn", namespace["broken_u"]).startswith("✗")


@pytest.mark.parametrize(("channels", "out", "embedding"), [(2, 4, 6), (8, 2, 5), (16, 32, 64)])
def test_the_count_is_that_of_the_network(channels: int, out: int, embedding: int) -> None:
    block = ResBlock(channels, out, embedding, groups=2, dropout=0.0)
    truth, _ = residual_weights_reference()
    assert truth.subs({C: channels, D: out, E: embedding}) == sum(p.numel() for p in block.parameters())


def wave(times: Tensor, pairs: int, exponent: Callable[[Tensor], Tensor], turn: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    number = torch.arange(pairs, dtype=dtype)
    angle = turn * times.to(dtype)[:, None] * 10_000.0 ** exponent(number)
    return torch.cat([angle.cos(), angle.sin()], dim=1).double()


def right_clocks(times: Tensor, pairs: int) -> Tensor:
    rows = []
    for t in times.tolist():
        angles = [t / 10_000 ** (i / pairs) for i in range(pairs)]
        rows.append([math.cos(a) for a in angles] + [math.sin(a) for a in angles])
    return torch.tensor(rows, dtype=torch.float64)


def clocks(exponent: Callable[[Tensor, int], Tensor], turn: float = 1.0, dtype: torch.dtype = torch.float64) -> Any:
    return lambda times, pairs: wave(times, pairs, lambda number: exponent(number, pairs), turn, dtype)


def attend(axis: int = 2, scale: Callable[[Tensor], float] = lambda q: q.shape[2] ** 0.5, of: str = "value") -> Any:
    def answer(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if of == "exchanged":
            query, key = key, query
        shares = (query @ key.transpose(1, 2) / scale(query)).softmax(axis)
        return shares @ (key if of == "key" else value)

    return answer


def walk(**mistake: Any) -> Any:
    return lambda down, up, x: unet.walk(down, up, x, **mistake)


def right_walk(down: list[nn.Module], up: list[nn.Module], x: Tensor) -> Tensor:
    if not down:
        return x
    below = right_walk(down[1:], up[:-1], down[0](x))
    return up[-1](torch.cat([F.interpolate(below, size=x.shape[2:]), x], dim=1))


RIGHT = [
    ("residual-weights", 9 * d**2 + 10 * c * d + 2 * d * e + 2 * c + 7 * d),
    ("residual-weights", 2 * c + d * (10 * c + 9 * d + 2 * e + 7)),
    ("break-even", sp.Rational(5, 2) * c),
    ("break-even", 2.5 * c),
    ("clocks", right_clocks),
    ("attend", attend()),
    ("attend", F.scaled_dot_product_attention),
    ("u-turn", walk()),
    ("u-turn", right_walk),
    ("far-away", 1 / 256),
    ("far-away", sp.Rational(1, 256)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓")


COUNT = 9 * d**2 + 10 * c * d + 2 * d * e + 2 * c + 7 * d
WRONG = [
    ("residual-weights", COUNT - (c + 1) * d, "shortcut is missing"),
    ("residual-weights", COUNT - 2 * c - 2 * d, "norms have weights too"),
    ("residual-weights", COUNT - c - d, "two numbers for each channel, a scale and a shift"),
    ("residual-weights", COUNT + 2 * c - 2 * d, "second norm comes behind"),
    ("residual-weights", COUNT - 5 * d, "biases are missing"),
    ("residual-weights", COUNT - (e + 1) * d, "linear layer makes two numbers"),
    ("residual-weights", COUNT - 2 * (e + 1) * d, "linear layer is missing"),
    ("residual-weights", COUNT - 9 * d**2 + 9 * c * d, "from d to d"),
    ("residual-weights", COUNT - 6 * d**2 - 6 * c * d, "nine places"),
    ("residual-weights", COUNT + 8 * c * d, "side one"),
    ("residual-weights", c, "your answer is off by"),
    ("break-even", sp.sqrt(5 * c / 2), "this is the side"),
    ("break-even", 9 * c / 2, "four projections are missing"),
    ("break-even", 5 * c, "two products"),
    ("break-even", 3 * c, "the way out"),
    ("break-even", c, "your answer is off by"),
    ("clocks", clocks(lambda i, d: -(i + 1) / d), "count from i = 1"),
    ("clocks", clocks(lambda i, d: i / d), "rise"),
    ("clocks", clocks(lambda i, d: -i // d), "rounds down"),
    ("clocks", clocks(lambda i, d: -(i // d)), "all frequencies are 1"),
    ("clocks", clocks(lambda i, d: -i / (2 * d)), "not by 2d"),
    ("clocks", clocks(lambda i, d: -i), "not divided by d"),
    ("clocks", clocks(lambda i, d: -i / (d - 1)), "not by d - 1"),
    ("clocks", clocks(lambda i, d: -i / d, turn=2 * math.pi), "no 2 pi"),
    ("clocks", clocks(lambda i, d: -i / d, dtype=torch.float32), "single precision"),
    ("clocks", lambda times, pairs: right_clocks(times, pairs).float(), "torch.float32"),
    ("clocks", lambda times, pairs: right_clocks(times, pairs).roll(pairs, 1), "all cosines, then"),
    ("clocks", lambda times, pairs: right_clocks(times, pairs).unflatten(1, (2, pairs)).transpose(1, 2).flatten(1), "take turns"),
    ("attend", attend(axis=1), "along which axis"),
    ("attend", attend(scale=lambda q: q.shape[1] ** 0.5), "not of pixels"),
    ("attend", attend(axis=1, scale=lambda q: q.shape[1] ** 0.5), "both mistakes"),
    ("attend", attend(scale=lambda q: 1.0), "not divided by anything"),
    ("attend", attend(scale=lambda q: q.shape[2]), "root of the number of components"),
    ("attend", attend(of="exchanged"), "exchanged"),
    ("attend", attend(of="key"), "not the keys"),
    ("u-turn", walk(taken=0), "order in which they were sent"),
    ("u-turn", walk(skip_first=True), "first what comes from below"),
    ("u-turn", walk(late=True), "not what it returns"),
    ("u-turn", lambda down, up, x: unet.walk(down, up[::-1], x), "it is the skips that go backwards"),
    ("far-away", 1 / 64, "not over one"),
    ("far-away", 1 / 4, "over the pixels too"),
    ("far-away", 0, "does move"),
    ("far-away", 1, "moves by one"),
    ("far-away", 0.001, "too small: what changes is one value"),
    ("far-away", 0.5, "too large: what changes is one value"),
    ("far-away", "norm", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
