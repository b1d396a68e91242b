"""Results that chapters read: they are there, they are complete, and they belong to the program that is said to write them."""

import sys
from pathlib import Path

import pytest
import torch

from diffcourse import measured
from diffcourse.errors import InputError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))


def test_every_result_names_a_program_that_exists() -> None:
    for name in measured.names():
        program, script = measured.load(name)["command"].split()[:2]
        assert (program == "python" and (ROOT / script).exists()) or (program, script) == ("diffcourse", "compare")


def test_the_comparison_is_complete_and_on_equal_terms() -> None:
    from diffcourse import weights
    from diffcourse.families import FAMILIES

    found = measured.load("digits-compare")
    families, seeds = found["settings"]["families"], found["settings"]["seeds"]
    assert set(families) == set(FAMILIES) and len(seeds) >= 3
    assert [(run["family"], run["seed"]) for run in found["runs"]] == [(f, s) for f in families for s in seeds]
    sizes, spent = ([run[key] for run in found["runs"]] for key in ("parameters", "training_flops"))
    assert max(sizes) / min(sizes) < 1.05 and max(spent) / min(spent) < 1.01
    for family in families:  # the weights that come along are those of the first seed
        (run,) = (run for run in found["runs"] if (run["family"], run["seed"]) == (family, seeds[0]))
        card = weights.card(f"digits-{family}")
        assert card["metrics"]["samples"] == run["samples"] and card["seed"] == run["seed"] and card["steps"] == run["steps"]


def test_all_toys_went_through_all_families() -> None:
    from diffcourse.data import TOYS
    from diffcourse.families import FAMILIES

    found = measured.load("toys")["toys"]
    assert list(found) == list(TOYS) and all(list(toy) == ["data", *FAMILIES] for toy in found.values())
    for toy in found.values():
        for family in FAMILIES:
            # A bound of the logarithms leaves some of the mass out; all else sums to one.
            assert (0.9 if family == "vae" else 0.99) < toy[family]["sum"] < 1.01


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


def test_images_that_belong_to_a_result_are_real_ones_and_draws_of_each_family() -> None:
    from diffcourse.families import FAMILIES

    drawn = measured.images("mnist-compare")
    assert set(drawn) == {"real", *FAMILIES}
    for images in drawn.values():
        assert images.dtype == torch.uint8 and images.shape[1:] == (1, 28, 28) and images.float().std() > 10


def test_a_result_without_images_says_so() -> None:
    with pytest.raises(InputError, match="no images belong to the result 'toys'"):
        measured.images("toys")
    with pytest.raises(InputError, match="unknown result 'toy'"):
        measured.images("toy")
