"""The Frechet distance against closed forms and other people's programs, and the features that it compares."""

import hashlib
import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from torch import Tensor

from diffcourse.data import load, torchvision_datasets
from diffcourse.errors import InputError
from diffcourse.evaluation import features, fit_gaussian, frechet, frechet_distance
from diffcourse.evaluation.features import FeatureNet, InceptionFeatures, extract
from diffcourse.evaluation.frechet import Gaussian
from diffcourse.families.base import scale

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import train_features  # noqa: E402

TRAIN, HELD_OUT = load("digits"), load("digits", "test")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def gaussian(D: int, seed: int, rank: int | None = None) -> Gaussian:
    """Any mean and covariance; of a smaller rank where asked."""
    factor = normal(D, rank or D, seed=seed)
    return Gaussian(normal(D, seed=seed + 100), factor @ factor.T / D, 1)


@pytest.fixture(scope="module")
def of_digits() -> tuple[Tensor, Tensor]:
    """Features of the training and the held-out digits."""
    net = features.load("digits")
    return extract(net, TRAIN.images), extract(net, HELD_OUT.images)


def distance_of(images: Tensor, reference: Gaussian) -> float:
    return frechet_distance(fit_gaussian(extract(features.load("digits"), images)), reference)


# Closed forms


def test_in_one_dimension() -> None:
    """(m_a - m_b)^2 + (s_a - s_b)^2."""
    a, b = (Gaussian(torch.tensor([m]).double(), torch.tensor([[s**2]]).double(), 1) for m, s in ((1.0, 0.5), (-2.0, 3.0)))
    assert frechet_distance(a, b) == pytest.approx(9 + 6.25, rel=1e-12)


def test_where_the_covariances_commute() -> None:
    """The squared difference of the standard deviations along the common axes."""
    axes = torch.linalg.qr(normal(5, 5)).Q
    s_a, s_b = torch.arange(1.0, 6).double(), torch.tensor([3.0, 0.0, 1.0, 7.0, 2.0]).double()
    m = normal(5, seed=1)
    a, b = (Gaussian(mean, axes * s**2 @ axes.T, 1) for mean, s in ((m, s_a), (m + 2, s_b)))
    # Rounding leaves 1e-15 of the zero, and its root counts.
    assert frechet_distance(a, b) == pytest.approx(5 * 4 + (s_a - s_b).square().sum().item(), rel=1e-7)


def test_the_best_affine_map_reaches_it() -> None:
    """What the distance means: no way of moving N(0, A) onto N(0, B) costs less than E|x - y|^2 = the distance."""
    a, b = gaussian(4, 1)._replace(mean=torch.zeros(4).double()), gaussian(4, 2)._replace(mean=torch.zeros(4).double())
    root = torch.from_numpy(scipy.linalg.sqrtm(a.covariance.numpy()).real)
    inner = torch.from_numpy(scipy.linalg.sqrtm((root @ b.covariance @ root).numpy()).real)
    best = torch.linalg.inv(root) @ inner @ torch.linalg.inv(root)
    torch.testing.assert_close(best @ a.covariance @ best.T, b.covariance)

    def cost(move: Tensor) -> float:
        return torch.trace((torch.eye(4) - move) @ a.covariance @ (torch.eye(4) - move).T).item()

    assert cost(best) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    turn = torch.linalg.qr(normal(4, 4)).Q  # B^1/2 turn A^-1/2 maps one onto the other too
    other = torch.from_numpy(scipy.linalg.sqrtm(b.covariance.numpy()).real) @ turn @ torch.linalg.inv(root)
    torch.testing.assert_close(other @ a.covariance @ other.T, b.covariance)
    assert cost(other) > frechet_distance(a, b)


# Properties


def test_a_set_is_at_no_distance_from_itself() -> None:
    a = gaussian(20, 0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(a, gaussian(20, 1)) == pytest.approx(frechet_distance(gaussian(20, 1), a), rel=1e-10)


def test_turns_and_shifts_of_both_do_not_matter_and_scales_square() -> None:
    x, y = normal(300, 12), normal(200, 12, seed=1) @ normal(12, 12, seed=2) / 3 + 1
    distance = frechet_distance(fit_gaussian(x), fit_gaussian(y))
    turn = torch.linalg.qr(normal(12, 12, seed=3)).Q
    turned = frechet_distance(fit_gaussian(x @ turn + 5), fit_gaussian(y @ turn + 5))
    assert turned == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(fit_gaussian(3 * x), fit_gaussian(3 * y)) == pytest.approx(9 * distance, rel=1e-10)
    shift = normal(12, seed=4)
    assert frechet_distance(fit_gaussian(x + shift), fit_gaussian(x)) == pytest.approx(shift.square().sum().item(), rel=1e-9)


def test_the_covariance_is_divided_by_n_minus_one() -> None:
    x = normal(7, 3)
    fitted = fit_gaussian(x.float())
    assert fitted.covariance.dtype == torch.float64 and fitted.n == 7
    np.testing.assert_allclose(fitted.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-5)
    assert fit_gaussian(normal(5, 1)).covariance.shape == (1, 1)


def test_few_samples_seem_farther() -> None:
    """The bias that the floor shows: samples of the very same Gaussian."""
    reference = Gaussian(torch.zeros(16).double(), torch.eye(16).double(), 1)
    means = []
    for n in (50, 100, 200):
        found = [frechet_distance(fit_gaussian(normal(n, 16, seed=seed)), reference) for seed in range(20)]
        means.append(sum(found) / 20)
    assert means[0] > 1.5 * means[1] > 2.25 * means[2] > 0


# Other people's programs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rank", [None, 5], ids=["full rank", "rank 5"])
def test_agrees_with_a_matrix_root(seed: int, rank: int | None) -> None:
    """The formula as Heusel et al. wrote it, with scipy's root of the product."""
    a, b = gaussian(12, seed, rank), gaussian(12, seed + 10)
    root = scipy.linalg.sqrtm(a.covariance.numpy() @ b.covariance.numpy())
    squared = np.square(a.mean.numpy() - b.mean.numpy()).sum()
    expected = squared + np.trace(a.covariance.numpy() + b.covariance.numpy() - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6 if rank else 1e-9)


def test_agrees_with_torch_fidelity(of_digits: tuple[Tensor, Tensor]) -> None:
    torchvision_datasets()
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    train, held_out = of_digits
    for samples in (held_out, train[:100] * 1.1, held_out[:40]):  # the last has fewer images than features
        statistics = [fid.fid_features_to_statistics(part) for part in (samples, train)]
        expected = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        assert frechet_distance(fit_gaussian(samples), fit_gaussian(train)) == pytest.approx(expected, rel=1e-5)


# The report


def test_the_report_names_everything() -> None:
    samples, reference, held_out = normal(60, 4) + 1, normal(500, 4, seed=1), normal(200, 4, seed=2)
    report = frechet(samples, reference, held_out, features="toy", seed=7, floor_seed=3)
    assert report.distance == frechet_distance(fit_gaussian(samples), fit_gaussian(reference)) > 3
    assert 0 < report.floor < 1 and (report.n, report.n_floor, report.n_reference) == (60, 60, 500)
    chosen = held_out[torch.randperm(200, generator=seeded(3))[:60]]
    assert report.floor == frechet_distance(fit_gaussian(chosen), fit_gaussian(reference))
    text = str(report)
    for part in ("60 samples (seed 7)", "500 real images", "features toy", "floor", "60 held-out", "(seed 3)"):
        assert part in text
    assert "to compare" not in text


def test_too_few_held_out_images_are_told() -> None:
    report = frechet(normal(60, 4), normal(500, 4), normal(20, 4), features="toy")
    assert report.n_floor == 20 and "seed unknown" in str(report) and "take 20 samples to compare" in str(report)


BAD = [
    (lambda: fit_gaussian(normal(4)), r"shape \[4\]"),
    (lambda: fit_gaussian(normal(4, 0)), r"shape \[4, 0\]"),
    (lambda: fit_gaussian(normal(1, 3)), "there are 1 features, but at least 2"),
    (lambda: fit_gaussian(normal(4, 3) * math.nan), "NaN or infinity"),
    (lambda: frechet_distance(gaussian(3, 0), gaussian(4, 0)), "sizes 3 and 4 cannot be compared"),
    (lambda: frechet(normal(9, 3), normal(9, 4), normal(9, 4), features=""), "sizes 3 and 4 cannot be compared"),
    (lambda: frechet(normal(9, 3), normal(9, 3), normal(9, 4), features=""), "sizes 4 and 3 cannot be compared"),
    (lambda: frechet(normal(9, 3), normal(9, 3), normal(1, 3), features=""), "there are 1 features"),
]


@pytest.mark.parametrize("wrong, message", BAD, ids=range(len(BAD)))
def test_bad_features_are_refused(wrong: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


# The feature networks


def test_features_come_along() -> None:
    assert features.names() == ["digits", "mnist"]
    assert sum(path.stat().st_size for path in features.FOLDER.glob("*.safetensors")) < 2_000_000


@pytest.mark.parametrize("name", features.names())
def test_cards_are_complete(name: str) -> None:
    card, net = features.card(name), features.load(name)
    assert card["name"] == name and card["command"].startswith(f"python tools/train_features.py {name}")
    assert card["metrics"]["test_accuracy"] > 0.98 and card["steps"] > 0 and card["training"]["redraw"] > 0
    assert sum(p.numel() for p in net.parameters()) == card["parameters"]
    assert hashlib.sha256((features.FOLDER / f"{name}.safetensors").read_bytes()).hexdigest() == card["sha256"]
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    floors = list(card["metrics"]["frechet_floor_by_n"].values())
    assert floors == sorted(floors, reverse=True) and floors[-1] > 0


def test_the_card_of_the_digits_is_true(of_digits: tuple[Tensor, Tensor]) -> None:
    card, net = features.card("digits"), features.load("digits")
    assert card["data"].endswith(f"checksum {zlib.crc32(TRAIN.images.numpy()):08x}")
    right = (net.classify(HELD_OUT.images).argmax(1) == HELD_OUT.labels).double().mean().item()
    assert right == pytest.approx(card["metrics"]["test_accuracy"], abs=0.003)
    train, held_out = of_digits
    floor = frechet_distance(fit_gaussian(held_out), fit_gaussian(train))
    assert floor == pytest.approx(card["metrics"]["frechet_floor_by_n"]["450"], rel=0.01)


def test_features_are_standardised_and_tell_more_than_the_class(of_digits: tuple[Tensor, Tensor]) -> None:
    """A plain classifier's features vary along 9 directions only, and the variance of the tenth is below 0.2."""
    train, _ = of_digits
    assert train.shape == (1347, 64) and train.dtype == torch.float64
    assert train.mean(0).abs().max() < 0.1 and (train.std(0) - 1).abs().max() < 0.1
    assert torch.linalg.eigvalsh(torch.cov(train.T))[-30] > 0.1


def test_what_looks_wrong_is_far(of_digits: tuple[Tensor, Tensor]) -> None:
    reference = fit_gaussian(of_digits[0])
    images, floor = HELD_OUT.images, distance_of(HELD_OUT.images, fit_gaussian(of_digits[0]))
    noise = [30 * strength * torch.randn(images.shape, generator=seeded()) for strength in (1, 2, 3)]
    noisy = [distance_of((images + part).clamp(0, 255).to(torch.uint8), reference) for part in noise]
    assert 2 * floor < noisy[0] < noisy[1] < noisy[2]
    assert distance_of(F.avg_pool2d(images.float(), 3, 1, 1).to(torch.uint8), reference) > 20 * floor
    assert distance_of(images.roll(1, 3), reference) > 20 * floor
    assert distance_of(images[HELD_OUT.labels != 4], reference) > 2 * floor


def test_extract() -> None:
    net, done = features.load("digits"), []
    images = HELD_OUT.images[:10]
    found = extract(net, images, batch=4, progress=lambda *count: done.append(count))
    assert done == [(4, 10), (8, 10), (10, 10)]
    torch.testing.assert_close(found, extract(net, images), rtol=1e-5, atol=1e-5)
    assert torch.equal(extract(net, scale(images), batch=4), found)
    assert extract(lambda batch: batch.flatten(1)[:, :3], images).shape == (10, 3)  # any function will do
    with pytest.raises(InputError, match="no images"):
        extract(net, images[:0])
    with pytest.raises(InputError, match="NaN"):
        extract(net, torch.full((2, 1, 8, 8), math.nan))
    with pytest.raises(InputError, match=r"shape \[1, 28, 28\]: these features are for .* \[1, 8, 8\]"):
        extract(net, torch.zeros(2, 1, 28, 28, dtype=torch.uint8))


def test_a_network_for_other_images() -> None:
    net = FeatureNet((3, 9, 7), classes=4, features=5).eval()
    images = torch.randint(256, (6, 3, 9, 7), generator=seeded(), dtype=torch.uint8)
    assert extract(net, images).shape == (6, 5) and net.classify(images).shape == (6, 4)


def test_unknown_and_damaged_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (features.load, features.card):
        with pytest.raises(InputError, match="no features come along for 'fashion', only for digits, mnist"):
            call("fashion")
    content = (features.FOLDER / "digits.safetensors").read_bytes()
    (tmp_path / "digits.json").write_text(json.dumps(features.card("digits")))
    monkeypatch.setattr(features, "FOLDER", tmp_path)
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), b""):
        (tmp_path / "digits.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match="do not match their card"):
            features.load("digits")


def run_training(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["train_features.py", *map(str, arguments)])
    return train_features.main()


def test_training_makes_features_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same ones each time."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        assert run_training(monkeypatch, "digits", "--epochs", 1, "--out", tmp_path / folder) == 0
    a, b = ((tmp_path / folder / "digits.safetensors").read_bytes() for folder in ("a", "b"))
    assert a == b
    monkeypatch.setattr(features, "FOLDER", tmp_path / "a")
    card = features.card("digits")
    assert card["steps"] == 21 and card["training"]["epochs"] == 1 and card["metrics"]["test_accuracy"] > 0.5
    assert extract(features.load("digits"), HELD_OUT.images[:3]).shape == (3, 64)


def test_training_with_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for arguments, message in (
        (["digits", "--epochs", 0], "epochs = 0"),
        (["fashion", "--root", tmp_path], "fashion is missing"),
        (["digits", "--epochs", 1, "--out", tmp_path / "missing"], "create the folder"),
    ):
        assert run_training(monkeypatch, "--out", tmp_path, *arguments) == 2
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Inception


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch-fidelity publishes it, but with random weights: the real one is not to be had in a test."""
    torchvision_datasets()
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)

    class Untrained(theirs.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: object) -> None: ...

    torch.manual_seed(0)
    torch.save(Untrained("", ["2048"], feature_extractor_weights_path=path).state_dict(), path)
    return path


def test_inception_features(inception: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net = InceptionFeatures(inception)
    grey = HELD_OUT.images[:2]
    found = extract(net, grey)
    assert found.shape == (2, 2048) and not torch.equal(found[0], found[1])
    theirs = FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path=inception)
    assert torch.equal(found, theirs(grey.repeat(1, 3, 1, 1))[0].double())
    assert torch.equal(extract(net, grey.repeat(1, 3, 1, 1)), found)


def test_inception_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        InceptionFeatures(tmp_path / "missing.pth")
    wrong = tmp_path / "wrong.pth"
    for content in (b"", b"text"):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match="does not hold torch-fidelity's Inception weights"):
            InceptionFeatures(wrong)
    torch.save({"weight": torch.zeros(3)}, wrong)
    with pytest.raises(InputError, match="does not hold torch-fidelity's Inception weights"):
        InceptionFeatures(wrong)
