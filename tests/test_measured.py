"""Results that chapters read: they are there, they are complete, and they belong to the program that is said to write them."""

import sys
from pathlib import Path

import pytest

from diffcourse import measured
from diffcourse.errors import InputError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))


def test_every_result_names_a_program_that_exists() -> None:
    for name in measured.names():
        program, script = measured.load(name)["command"].split()[:2]
        assert program == "python" and (ROOT / script).exists()


def test_an_unknown_result_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="unknown result 'ablations'; choose one of ablation"):
        measured.load("ablations")


def test_the_ablation_is_that_of_the_program() -> None:
    import ablation

    result = measured.load("ablation")
    assert list(result["variants"]) == list(ablation.VARIANTS)
    for name, runs in result["variants"].items():
        model, change = ablation.DDPM(ablation.VARIANTS[name][0]), ablation.VARIANTS[name][1]
        change(model.net)
        parameters = sum(p.numel() for p in model.parameters())
        assert [run["seed"] for run in runs] == [0, 1]
        assert {run["parameters"] for run in runs} == {parameters}, name


def test_the_parts_are_really_taken_out() -> None:
    """Each change reaches the function: the network computes something else afterwards, from the same weights."""
    import torch
    from ablation import FULL, VARIANTS, DDPM, never_halved, no_skips, no_time

    def awake() -> DDPM:
        model = DDPM(FULL).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
        return model

    x, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 900])
    before = awake().net(x, t)
    for name in ("no skips", "no time", "no attention", "one group", "batch norm", "no norm", "never halved"):
        model = awake()
        VARIANTS[name][1](model.net)
        assert (model.eval().net(x, t) - before).abs().max() > 1e-3, name

    timeless = awake().net
    no_time(timeless)
    assert torch.equal(timeless(x, t), timeless(x, t.flip(0)))

    unskipped = awake().net
    no_skips(unskipped)
    unskipped.middle[-1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    assert torch.equal(unskipped(x, t), unskipped(x.flip(0), t))  # what comes through the middle is all there is

    sizes = []
    flat = awake().net
    never_halved(flat)
    for layer in (*flat.down, *flat.middle, *flat.up):
        layer.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[2:])))
    flat(x, t)
    assert set(sizes) == {(8, 8)}
