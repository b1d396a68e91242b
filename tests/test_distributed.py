"""Two processes that train together, started by torchrun: the same model as one process makes, and errors that all of them see."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_training import change_forward, tiny_config, tiny_data, tiny_model

from diffcourse.errors import InputError
from diffcourse.families.base import Losses
from diffcourse.training import Run, checkpoint, distributed, read_log, train

# Without dropout, whose random numbers are each process's own. With two channels in a group of the normalisation: with one, a bias
# before it changes nothing, and Adam would blow up its gradient, which is nothing but rounding.
SAME = {
    "plain": ({}, {}),
    "accumulation, mirrored images": ({}, {"accumulate": 2, "flip": True}),
    "classes, learned variance": ({"classes": 3, "learned_variance": True}, {}),
}
"""Network and training of runs that must not depend on the number of processes."""

WRONG = {
    "more processes than images": (1, {}, "2 processes are more than the 1 images: start at most 1"),
    "a batch that does not divide": (23, {"batch": 7}, "batch = 7 does not divide among processes = 2"),
    "a bad loss in one process": (23, {}, "not finite at step 2, quarter"),
    "a process that goes": (23, {}, "another process of this training has ended: go on from the last checkpoint"),
}
"""Images, training, and what every process says."""


def run(name: str, out: Path, n: int = 23, spoil: str = "", **training: object) -> Run:
    network, usual = SAME.get(name, ({}, {}))
    model = tiny_model(base_width=16, dropout=0.0, **network)
    with pytest.MonkeyPatch.context() as patch:
        if spoil:
            change_forward(patch, model, SPOILED[spoil])
        config = tiny_config(**{"steps": 6, "log_every": 2, **usual, **training})
        return train(model, tiny_data(n), config, out / name, progress=False)


def bad_loss(call: int, losses: Losses) -> Losses:
    if call == 2 and distributed.rank() == 1:
        return Losses(losses.per_example * float("nan"), losses.time)
    return losses


def leave(call: int, losses: Losses) -> Losses:
    if call == 4 and distributed.rank() == 1:
        os._exit(0)
    return losses


SPOILED = {"a bad loss in one process": bad_loss, "a process that goes": leave}


def child(out: Path) -> None:
    """What torchrun starts, twice."""
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None
    report = {}
    with distributed.process_group(torch.device("cpu")):
        assert distributed.world_size() == 2
        for name in SAME:
            model = run(name, out).model
            report[name] = [p.sum().item() for p in model.parameters()]
        for name, (n, training, _) in WRONG.items():
            try:
                run(name, out, n, spoil=name if name in SPOILED else "", **training)
            except InputError as error:
                report[name] = str(error)
            (out / f"{distributed.rank()}.json").write_text(json.dumps(report))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs in two processes."""
    out = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, __file__, str(out)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return out


def reports(together: Path) -> list[dict]:
    return [json.loads((together / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", SAME)
def test_two_processes_train_the_model_of_one(together: Path, tmp_path: Path, name: str):
    """Weights, average and log agree within the rounding of sums taken in another order, which Adam makes larger."""
    run(name, tmp_path)
    one, two = (checkpoint.load(out / name / "checkpoint.pt") for out in (tmp_path, together))
    tolerance, moved = 2e-4, 0.0
    fresh = tiny_model(base_width=16, dropout=0.0, **SAME[name][0]).state_dict()
    for part in ("weights", "average"):
        for key, tensor in one[part].items():
            assert torch.allclose(tensor, two[part][key], atol=tolerance), (part, key)
            moved = max(moved, (tensor - fresh[key]).abs().max().item())
    assert moved > 2 * tolerance  # so that the comparison means something
    for a, b in zip(read_log(tmp_path / name), read_log(together / name), strict=True):
        assert a["step"] == b["step"] and a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-3)
        assert a["loss_by_quarter"] == pytest.approx(b["loss_by_quarter"], rel=1e-3)


@pytest.mark.parametrize("name", SAME)
def test_both_processes_end_with_the_same_weights(together: Path, name: str):
    first, second = reports(together)
    assert first[name] == second[name]


@pytest.mark.parametrize("name", WRONG)
def test_every_process_says_what_is_wrong(together: Path, name: str):
    for report in reports(together)[: 1 if name == "a process that goes" else 2]:
        assert WRONG[name][2] in report[name]


def test_the_number_of_processes_is_noted(together: Path):
    assert json.loads((together / "plain" / "config.json").read_text())["hardware"]["processes"] == 2


def test_alone_nothing_is_shared():
    assert (distributed.rank(), distributed.world_size()) == (0, 1) and not distributed.started_by_torchrun()
    rows = torch.arange(6.0).reshape(2, 3)
    assert distributed.agree(1.0, 2.0) == [1.0, 2.0] and distributed.gather(rows) is rows
    model = tiny_model()
    assert distributed.replicate(model) is model


def test_processes_that_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="do not find each other.*start them with torchrun"):
        with distributed.process_group(torch.device("cpu")):
            pass


def test_after_a_failed_start_the_same_program_can_start_processes(tmp_path: Path):
    """torch numbers its groups, also those that fail: with other numbers the processes would wait for each other for ever."""
    program = """
import os, sys, torch
from diffcourse import cli
from diffcourse.errors import InputError
from diffcourse.training import distributed
os.environ["WORLD_SIZE"] = "2"
try:
    with distributed.process_group(torch.device("cpu")):
        pass
except InputError:
    del os.environ["WORLD_SIZE"]
sys.exit(cli.main("train --data digits --steps 1 --processes 2 --batch 4 --out run".split()))
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert (tmp_path / "run" / "checkpoint.pt").exists()


if __name__ == "__main__":
    child(Path(sys.argv[1]))
