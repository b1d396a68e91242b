"""Chapter 3's checks accept right answers in any form and name the mistake in wrong ones."""

import math
from typing import Any

import pytest
import sympy as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from diffcourse.practice import autoregressive
from diffcourse.practice.autoregressive import N, blind_five_reference
from sheets import code_cells, outcome, page

n, K, mu, b = sp.symbols("n K mu b")  # without assumptions: names alone must do


def test_the_broken_program_of_the_sheet_fails_its_test_and_the_solution_passes() -> None:
    namespace: dict[str, Any] = {}
    for source in code_cells(page(autoregressive).solved(keep=True)):
        if "practice." not in source:
            exec(compile(source, "<cell>", "exec"), namespace)
    assert not namespace["test"](namespace["broken_hand_over"]) and namespace["test"](namespace["hand_over"])
    assert "comes in at the top" in outcome("hand-over", namespace["broken_hand_over"])


def test_the_count_of_the_blind_spot_holds_for_more_layers_than_it_was_read_from() -> None:
    truth, _ = blind_five_reference()
    for layers in (4, 5):
        hidden = autoregressive.window(2 * layers) - autoregressive.plain_stack([5] * layers)
        assert truth.subs(N, layers) == len(hidden)


def right_mask(kind: str, kernel: int) -> Tensor:
    mask = torch.zeros(kernel, kernel)
    mask[: kernel // 2] = 1
    mask[kernel // 2, : kernel // 2 + (kind == "B")] = 1
    return mask


def masked(change: Any) -> Any:
    """The right mask, changed by a rule of (mask, middle, kind)."""

    def answer(kind: str, kernel: int) -> Tensor:
        mask = right_mask(kind, kernel)
        return change(mask, kernel // 2, kind)

    return answer


def with_row(mask: Tensor, row: int, value: Any) -> Tensor:
    mask[row] = value
    return mask


def nats(logits: Tensor, k: Tensor) -> Tensor:
    return F.cross_entropy(logits, k, reduction="none")


def of_bits(rule: Any) -> Any:
    """An answer from the nats of each pixel, [B, H, W]."""
    return lambda logits, k: rule(nats(logits, k))


def moved(rule: Any) -> Any:
    return lambda v, h: h + rule(v)


BLACK = 1 / (1 + sp.exp((1 - 1 / (K - 1) + mu) / b))
RIGHT = [
    ("blind-five", n**2 - n),
    ("blind-five", sp.Sum(2 * (n - sp.Symbol("j")), (sp.Symbol("j"), 1, n)).doit()),
    ("what-black-costs", BLACK),
    ("what-black-costs", sp.exp((1 / (K - 1) - 1 - mu) / b) / (1 + sp.exp((1 / (K - 1) - 1 - mu) / b))),
    ("mask", right_mask),
    ("mask", lambda kind, kernel: right_mask(kind, kernel).double()),
    ("logits-to-bits", of_bits(lambda each: each.mean(dim=(1, 2)) / math.log(2))),
    ("logits-to-bits", lambda logits, k: -logits.log_softmax(1).gather(1, k[:, None]).flatten(1).mean(1) / math.log(2)),
    ("hand-over", moved(lambda v: F.pad(v, (0, 0, 1, 0))[:, :, :-1])),
    ("cold-images", sp.Rational(16, 100) / (sp.Rational(16, 100) + 10 * sp.Rational(36, 10_000))),
    ("cold-images", torch.tensor(0.8163)),
    ("cold-images", 0.82),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    assert outcome(name, answer).startswith("✓"), outcome(name, answer)


WRONG = [
    ("blind-five", n * (n - 1) / 2, "side three"),
    ("blind-five", n * (2 * n - 1), "two columns to the right, not one"),
    ("blind-five", 2 * n * (n - 1), "to the left all is seen"),
    ("blind-five", 4 * n * (2 * n + 1), "whole window"),
    ("blind-five", n * (n + 1), "off by one layer"),
    ("blind-five", 7 * n**2 + 5 * n, "pixels that are seen"),
    ("blind-five", n, "your answer is off by"),
    ("blind-five", K, "should need nothing but n"),
    ("what-black-costs", BLACK - 1 / (1 + sp.exp((1 + 1 / (K - 1) + mu) / b)), "everything below it as well"),
    ("what-black-costs", 1 / (1 + sp.exp((1 + mu) / b)), "half way to the next level"),
    ("what-black-costs", 1 - BLACK, "every other level"),
    ("what-black-costs", 1 / (1 + sp.exp((1 - 2 / (K - 1) + mu) / b)), "cut at the next level"),
    ("what-black-costs", 1 / (1 + sp.exp((1 - 1 / K + mu) / b)), "K - 1 steps"),
    ("what-black-costs", 1 / (1 + sp.exp((1 - 1 / (K - 1) + mu) / b**2)), "not by its square"),
    ("what-black-costs", sp.diff(BLACK, b), "your answer is"),
    ("what-black-costs", -sp.diff(BLACK, mu), "not the area"),
    ("mask", lambda kind, kernel: right_mask("B" if kind == "A" else "A", kernel), "exchanged"),
    ("mask", lambda kind, kernel: right_mask("B", kernel), "A must shut the middle"),
    ("mask", lambda kind, kernel: right_mask("A", kernel), "B lets the middle pass"),
    ("mask", masked(lambda mask, middle, kind: 1 - right_mask("B" if kind == "A" else "A", len(mask))), "comes after"),
    ("mask", masked(lambda mask, middle, kind: mask.T), "column by column"),
    ("mask", masked(lambda mask, middle, kind: mask * (torch.arange(len(mask)) <= middle)), "open to both sides"),
    ("mask", masked(lambda mask, middle, kind: with_row(mask, middle, 1.0)), "open to the right as well"),
    ("mask", masked(lambda mask, middle, kind: with_row(mask, middle, 0.0)), "to the left in the same row is missing"),
    ("mask", masked(lambda mask, middle, kind: mask.flip(0)), "upside down"),
    ("mask", masked(lambda mask, middle, kind: mask[None, None]), "has the shape"),
    ("logits-to-bits", of_bits(lambda each: each.mean(dim=(1, 2))), "these are nats"),
    ("logits-to-bits", of_bits(lambda each: each.sum(dim=(1, 2)) / math.log(2)), "bits of a whole image"),
    ("logits-to-bits", of_bits(lambda each: each.sum(dim=(1, 2))), "nats of a whole image"),
    ("logits-to-bits", of_bits(lambda each: each.mean(dim=(1, 2)) * math.log(2)), "multiplied by log 2"),
    ("logits-to-bits", of_bits(lambda each: -each.mean(dim=(1, 2)) / math.log(2)), "the sign"),
    ("logits-to-bits", of_bits(lambda each: each.mean() / math.log(2)), "not the mean of all"),
    ("logits-to-bits", of_bits(lambda each: each / math.log(2)), "not for each pixel"),
    ("logits-to-bits", lambda x, k: -x.log_softmax(2).gather(1, k[:, None]).mean(dim=(1, 2, 3)) / math.log(2), "along which axis"),
    ("logits-to-bits", lambda x, k: -x.gather(1, k[:, None]).mean(dim=(1, 2, 3)) / math.log(2), "not logarithms of probabilities"),
    ("logits-to-bits", of_bits(lambda each: -(-each).exp().mean(dim=(1, 2)).log2()), "first the logarithm"),
    ("logits-to-bits", lambda x, k: -x.softmax(1).gather(1, k[:, None]).log2().mean(dim=(1, 2, 3)), "NaN, infinity"),
    ("hand-over", moved(lambda v: v), "nothing is moved"),
    ("hand-over", moved(lambda v: F.pad(v, (1, -1))), "rows are axis 2"),
    ("hand-over", moved(lambda v: v.roll(1, 3)), "in a circle, and to the right"),
    ("hand-over", moved(lambda v: F.pad(v, (0, 0, -1, 1))), "moves up"),
    ("hand-over", moved(lambda v: v.roll(-1, 2)), "up, in a circle"),
    ("hand-over", moved(lambda v: F.pad(v, (0, 0, 2, -2))), "one too many"),
    ("hand-over", lambda v, h: F.pad(v, (0, 0, 1, -1)), "own numbers are lost"),
    ("hand-over", moved(lambda v: torch.cat([v[:, :, :1], v[:, :, :-1]], 2)), "must be told nothing"),
    ("hand-over", lambda v, h: h.add_(F.pad(v, (0, 0, 1, -1))), "in place"),
    ("cold-images", 0.16 / 0.52, "one after the other"),
    ("cold-images", 0.4, "not tempered at all"),
    ("cold-images", 0.16, "not yet divided"),
    ("cold-images", 0.16 / (0.16 + 0.0036), "ten images"),
    ("cold-images", 1, "temperature zero"),
    ("cold-images", 0.4**0.5 / (0.4**0.5 + 10 * 0.06**0.5), "twice as hot"),
    ("cold-images", 0.5, "too small: a whole image is tempered as one"),
    ("cold-images", 0.9, "too large: a whole image is tempered as one"),
    ("cold-images", "likely", "give one number"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line, line
