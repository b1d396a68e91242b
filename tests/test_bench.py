"""The comparison of speeds: timing by turns, networks of equal size, honest arithmetic, and the command."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from diffcourse import bench, cli
from diffcourse.bench import CANDIDATES, Candidate, Setting, compare, interleave, ratio, timing
from diffcourse.bench.compare import SAMPLING_STEPS, available, equal_time, fastest, way, ways_to_run
from diffcourse.config import DDPMConfig
from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.presets import PRESETS

CONFIG = DDPMConfig(height=8, width=8, T=20, base_width=16, multipliers=(1, 2), heads=1)


def setting(**changes: object) -> Setting:
    images = torch.randint(0, 256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = ImageData(images, torch.zeros(12, dtype=torch.int64), ("noise",), "noise")
    return replace(Setting(CONFIG, data, 4, torch.device("cpu")), **changes)


# Timing


class Clock:
    """Time that passes only when something works."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def work(self, name: str, seconds: float) -> None:
        self.order.append(name)
        self.now += seconds


def test_calls_are_timed_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ticks = Clock(), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    calls = {"a": lambda: clock.work("a", 1.0), "b": lambda: clock.work("b", 4.0)}
    timed = interleave(calls, 3, warm_up=1, repeat=2, progress=lambda: ticks.append(1))
    assert timed == {"a": [1.0] * 3, "b": [4.0] * 3} and len(ticks) == 6
    assert "".join(clock.order) == "ab" + "aabb" + "bbaa" + "aabb"


def test_ratios_are_those_of_the_same_round() -> None:
    """A machine that is three times slower in one round changes no ratio."""
    assert ratio([1.0, 3.0, 1.2], [2.0, 6.0, 2.0]) == (0.5, 0.5, 0.6)
    assert str(ratio([1.0], [2.0])) == "0.50 (0.50 to 0.50)"


# The candidates


@pytest.mark.parametrize("name", ["diffcourse", "diffusers", "diffusers-as-found"])
def test_a_candidate_trains_and_samples(name: str) -> None:
    c = CANDIDATES[name](setting())
    before = [p.detach().clone() for p in c.network.parameters()]
    c.train_step(), c.train_step()
    assert c.step == 2 and any(not torch.equal(a, b) for a, b in zip(before, c.network.parameters()))
    assert c.network.training
    images = c.sample(2)
    assert images.shape == (4, 1, 8, 8) and images.isfinite().all() and c.network.training


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, patch=2, blocks=2, base_width=32, heads=4)], ids=["plain", "patch"])
def test_diffusers_network_has_as_many_weights(config: DDPMConfig) -> None:
    ours, theirs = (CANDIDATES[name](setting(config=config)).parameters for name in ("diffcourse", "diffusers"))
    assert 0.8 < theirs / ours < 1.25


def test_all_are_held_to_the_same_task() -> None:
    config = bench.comparable(PRESETS["mnist"][0])
    assert (config.classes, config.learned_variance, config.target, config.schedule) == (0, False, "eps", "linear")


def test_the_average_forgets_the_start() -> None:
    """With a constant decay a slow network, which takes few steps, would be judged by its random initial weights."""
    c = CANDIDATES["diffcourse"](setting())
    expected = [p.detach().clone() for p in c.network.parameters()]
    for t in range(3):
        c.train_step()
        expected = [torch.lerp(e, p.detach(), 1 - (1 + t) / (10 + t)) for e, p in zip(expected, c.network.parameters())]
    assert all(torch.allclose(a, e, atol=1e-6) for a, e in zip(c.average, expected))


def test_the_held_out_loss_is_that_of_the_average() -> None:
    """A network that returns zero has a loss of 1, the variance of the noise; a candidate's live weights do not matter."""
    c = CANDIDATES["diffcourse"](setting())
    images = setting().data.images.repeat(40, 1, 1, 1)
    assert c.held_out_loss(images) == pytest.approx(1, abs=0.03)  # its last layer starts at zero
    with torch.no_grad():
        c.network.last[-1].bias.fill_(5.0)
    assert c.held_out_loss(images) == pytest.approx(1, abs=0.03)
    c.average = [p.detach() for p in c.network.parameters()]
    assert c.held_out_loss(images) == pytest.approx(26, rel=0.05)
    assert CANDIDATES["diffusers"](setting()).held_out_loss(images) != pytest.approx(26, rel=0.05)


def test_operations_of_a_candidate() -> None:
    """2 k^2 C_in C_out H W forward; backward as many for the weights, and none for the images, which need no gradient."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self.conv(x)

    c = Candidate(Network(), setting())
    assert c.flops(backward=False) == 2 * 3**2 * 8 * 8 and c.flops() == 2 * c.flops(backward=False)


def test_fp16_and_other_ways_to_run() -> None:
    for changes in ({"precision": "fp16"}, {"precision": "bf16", "channels_last": True}):
        c = CANDIDATES["diffcourse"](setting(**changes))
        c.train_step(), c.train_step()
        assert all(p.isfinite().all() for p in c.network.parameters())
    assert [way(s) for s in ways_to_run(setting())] == ["fp32", "fp32, channels last", "bf16", "bf16, channels last"]


# The comparison


def test_the_fastest_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    seconds = {"fp32": 3.0, "fp32, channels last": 2.0, "bf16": 1.0, "bf16, channels last": 4.0}

    def train(c: Candidate) -> None:
        clock.work("", seconds[way(c.setting)])

    said = []
    chosen = fastest(["diffcourse"], ways_to_run(setting()), train, said.append)
    assert way(chosen["diffcourse"]) == "bf16"
    assert said == ["diffcourse, to train: fp32 3000 ms; fp32, channels last 2000 ms; bf16 1000 ms; bf16, channels last 4000 ms"]


def test_a_report_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compare.__globals__, "matrix_rate", lambda *_: 1e9)
    monkeypatch.setitem(compare.__globals__, "_peak_memory", lambda *_: 7.0)
    settings, ticks = {name: setting() for name in ("diffcourse", "diffusers")}, []
    report = compare(settings, settings, rounds=2, seconds=0.01, progress=lambda: ticks.append(1))
    assert len(ticks) == 8
    for kind in ("training", "sampling"):
        for name, c in ((name, CANDIDATES[name](setting())) for name in settings):
            found = report["candidates"][name][kind]
            median, lowest, highest = found["milliseconds"]
            assert 0 < lowest <= median <= highest
            assert found["images_per_second"] == pytest.approx(4000 / median, rel=0.01)
            assert found["gflops_per_image"] == round(c.flops(backward=kind == "training") / 1e9, 4)
            expected = c.flops(backward=kind == "training") * 4 / (median / 1000) / 1e9
            assert found["utilisation"] == pytest.approx(expected, rel=0.01, abs=1e-4)
        r = report["ratios"][kind]["diffusers"]
        assert r["lowest"] <= r["median"] <= r["highest"]
    shown = bench.table(report | {"equal_time": {"diffcourse": [{"learning_rate": 0.1, "seconds": 3.0, "held_out_loss": 0.5, "steps": 9}]}})
    assert "training, ours over diffusers's" in shown and "held-out loss after 3 s: diffcourse 0.50000 (9 steps, learning rate 0.1)" in shown


def test_a_peer_has_its_channels_where_the_preset_has_them_or_where_ours_has_them() -> None:
    ours = replace(CONFIG, base_width=8, multipliers=(1, 4), blocks=2)
    both = setting(config=ours, peer=replace(CONFIG, patch=2, multipliers=(1, 1), groups=4))
    levels = [CANDIDATES[name](both).network.network.config for name in ("diffusers", "diffusers-as-ours")]
    first, second = ([width / level.block_out_channels[0] for width in level.block_out_channels] for level in levels)
    assert (first, second) == ([1, 1, 1], [1, 4])
    assert [level.layers_per_block for level in levels] == [CONFIG.blocks, 2]
    target = CANDIDATES["diffcourse"](both).parameters
    for name in ("diffusers", "diffusers-as-ours"):
        assert CANDIDATES[name](both).parameters == pytest.approx(target, rel=0.3)


def test_memory_grows_with_the_batch() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells")
    from diffcourse.bench.compare import _peak_memory

    few, many = (_peak_memory("diffcourse", CANDIDATES["diffcourse"](setting(batch=batch, data=many_images()))) for batch in (2, 512))
    assert 0 <= few < many and many > 50  # the images of one feature map of the first level alone take 2 MB


def many_images() -> ImageData:
    return ImageData(torch.zeros(512, 1, 8, 8, dtype=torch.uint8), torch.zeros(512, dtype=torch.int64), ("noise",), "noise")


def test_equal_time_is_equal() -> None:
    passed = []
    settings = {name: setting() for name in ("diffcourse", "diffusers")}
    found = equal_time(settings, 0.01, setting().data, [1e-3, 2e-3], turn=0.1, progress=passed.append)
    assert [[f["learning_rate"] for f in trained] for trained in found.values()] == [[1e-3, 2e-3]] * 2
    every = [f for trained in found.values() for f in trained]
    assert sum(passed) == pytest.approx(sum(f["seconds"] for f in every), abs=0.2)
    assert len({f["held_out_loss"] for f in every}) == 4
    for f in every:
        assert f["seconds"] >= 0.6 and f["steps"] > 1 and 0 < f["held_out_loss"] < 5


def test_peers_that_are_missing_are_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "denoising_diffusion_pytorch.denoising_diffusion_pytorch", None)  # an import fails
    said = []
    assert available(["denoising-diffusion-pytorch"], setting(), said.append) == ["diffcourse"]
    assert len(said) == 1 and "is not installed: pip install denoising-diffusion-pytorch" in said[0]
    with pytest.raises(InputError, match="unknown peer 'edm'; choose among diffusers, diffusers-as-ours, diffusers-as-found"):
        available(["edm"], setting(), said.append)


# The command


def test_the_command_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(compare.__globals__, "_peak_memory", lambda *_: None)
    options = ["--rounds", "1", "--batch", "32", "--width", "8", "--T", "9", "--peers", "diffusers", "--equal-time", "0.002"]
    assert cli.main(["bench", "--data", "digits", *options, "--out", str(tmp_path / "speed.json")]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    assert report["model"]["base_width"] == 8 and report["batch"] == 32 and report["versions"]["diffusers"]
    assert set(report["candidates"]) == set(report["equal_time"]) == {"diffcourse", "diffusers"}
    assert bench.table(report) == capsys.readouterr().out.strip("\n")
    assert os.listdir(tmp_path) == ["speed.json"] and SAMPLING_STEPS <= 9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--learning-rates", "0.001"], "--learning-rates are for trainings of equal time: give --equal-time as well"),
        (["--equal-time", "1", "--learning-rates", "0.001", "-2"], "learning rate = -2: give a number above 0"),
    ],
)
def test_learning_rates_that_make_no_sense(options: list[str], says: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["bench", "--data", "digits", *options]) == 2
    assert says in capsys.readouterr().err
