"""Bits per dimension of models whose likelihood is known."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from diffcourse.data import load
from diffcourse.diffusion import schedule
from diffcourse.diffusion.bound import Bound, affine_model, reverse_variance, variational_bound
from diffcourse.diffusion.exact import GaussianMixture
from diffcourse.errors import InputError
from diffcourse.evaluation import likelihood
from diffcourse.families import DDPM, DDPMConfig, GenerativeModel
from diffcourse.families.base import scale


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Oracle(nn.Module):
    """The best possible network for a mixture of Gaussians, in the place of the U-Net."""

    def __init__(self, data: GaussianMixture, steps: schedule.Schedule) -> None:
        super().__init__()
        self.data, self.steps = data, steps
        self.like = nn.Parameter(torch.zeros(()).double())  # a network computes in the type of its parameters

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.data.predict_eps(self.steps, x.flatten(1), t).view_as(x)


def test_four_images_cost_two_bits_and_the_decoder() -> None:
    """The data are four images of four values. The steps from T to 1 find out which one it is: 2 bits, 0.5 per dimension.

    The network then knows the image, so the last step puts its middle on the right grey levels; what that costs follows from
    the width of the step alone.
    """
    points = torch.tensor([[0, 0, 0, 0], [255, 255, 0, 0], [10, 200, 100, 30], [0, 255, 0, 255]], dtype=torch.uint8)
    model = DDPM(DDPMConfig(height=2, width=2, base_width=8, multipliers=(1,), attention=(), T=1000))
    model.net = Oracle(GaussianMixture(torch.full((4,), 0.25).double(), scale(points).double(), 0.0), model.schedule)
    chosen = torch.arange(4).repeat(40)
    report = likelihood(model, points[chosen].view(-1, 1, 2, 2), generator=seeded(), batch=100)
    assert report.denoising.sum().item() == pytest.approx(0.5, abs=0.02)

    half = 1 / 255 / reverse_variance(model.schedule, 1).sqrt()
    middle, end = (2 * torch.special.ndtr(half) - 1).log2(), torch.special.ndtr(half).log2()
    assert report.reconstruction == pytest.approx(-((middle * 4 + end * 12) / 16).item(), rel=1e-6)
    assert 0 < report.prior < 1e-4  # alpha_bar_T is 4e-5
    assert report.total == pytest.approx(report.prior + report.denoising.sum().item() + report.reconstruction, rel=1e-12)
    assert (report.n, report.seed, report.classes, report.values) == (160, 0, 0, 4)


class KnownGaussian(GenerativeModel):
    """The DDPM of Gaussian data with perfect predictions and the best variances: its density is known."""

    image_shape = (1, 2, 2)
    SCHEDULE = schedule.linear(20, 0.01, 0.6)
    DATA = GaussianMixture(torch.ones(1).double(), torch.full((1, 4), 0.1).double(), 0.3)

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(channels=1, height=2, width=2))
        t, V = self.SCHEDULE.steps, self.DATA.std**2
        before, now = (self.SCHEDULE.alpha_bar(s) * V + 1 - self.SCHEDULE.alpha_bar(s) for s in (t - 1, t))
        self.sigma = self.SCHEDULE.beta(t) * before / now

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        return self.DATA.predict_eps(self.SCHEDULE, x.flatten(1), t).view_as(x)

    def bound(self, images: Tensor, labels: Tensor | None = None, *, generator: torch.Generator, progress=None) -> Bound:
        x0 = scale(images).double()
        return variational_bound(self.SCHEDULE, self.predict, x0, generator=generator, sigma=self.sigma, progress=progress)

    def forward(self, *_: object, **__: object) -> None: ...

    def sample(self, *_: object, **__: object) -> None: ...

    def configuration(self) -> dict:
        return {}


def gaussian_images(n: int) -> Tensor:
    x = 0.1 + 0.3 * torch.randn(n, 1, 2, 2, generator=seeded(5), dtype=torch.float64)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def test_a_gaussian_model_of_known_density() -> None:
    """With the best variances the bound is minus the log density, but for what x_T still knows about x_0."""
    model, images, done = KnownGaussian(), gaussian_images(600), []
    report = likelihood(model, images, generator=seeded(), batch=250, progress=lambda *count: done.append(count))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return model.DATA.predict_eps(model.SCHEDULE, x, t)

    mean, variance = (v[0, 0].item() for v in affine_model(model.SCHEDULE, predict, model.sigma, dimension=4))
    x = scale(images).double()
    surprise = ((x - mean).square() / variance + math.log(2 * math.pi * variance)) / 2 / math.log(2)
    assert abs(report.total - surprise.mean().item()) < 4 * report.total_error + 0.01
    assert report.total_error < 0.05
    assert done[-1] == (600, 600) and [count for count, _ in done] == sorted(count for count, _ in done)


def test_the_standard_error_is_honest() -> None:
    """The means of 40 sets of 50 images each spread as far as the reports say."""
    model, images = KnownGaussian(), gaussian_images(2000)
    reports = [likelihood(model, part, generator=seeded(i)) for i, part in enumerate(images.split(50))]
    for what in ("total", "reconstruction", "prior"):
        spread = torch.tensor([getattr(report, what) for report in reports]).std().item()
        told = sum(getattr(report, f"{what}_error") for report in reports) / 40
        assert told == pytest.approx(spread, rel=0.35), what  # a standard deviation of 40 is known to 11 %
    spread = torch.stack([report.denoising for report in reports]).std(0)
    told = torch.stack([report.denoising_error for report in reports]).mean(0)
    assert (told / spread).log().abs().mean() < 0.3


def test_terms_are_the_model_s_own() -> None:
    model, images = KnownGaussian(), gaussian_images(12)
    report = likelihood(model, images, generator=seeded(3), batch=12)
    bound = model.bound(images, generator=seeded(3))
    to_bits = 1 / (4 * math.log(2))
    assert report.total == pytest.approx(bound.total.mean().item() * to_bits, rel=1e-12)
    assert report.prior == pytest.approx(bound.prior.mean().item() * to_bits, rel=1e-12)
    assert report.denoising.shape == (19,)
    torch.testing.assert_close(report.denoising, bound.denoising.mean(0) * to_bits)
    torch.testing.assert_close(report.denoising_error, bound.denoising.std(0) * to_bits / 12**0.5)


@pytest.fixture(params=[{}, {"learned_variance": True}, {"classes": 10}], ids=["plain", "learned variance", "classes"])
def model(request: pytest.FixtureRequest) -> DDPM:
    torch.manual_seed(0)
    model = DDPM(DDPMConfig(T=5, base_width=8, **request.param)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def test_total_is_the_mean_of_bits_per_dim(model: DDPM) -> None:
    data = load("digits", "test")
    images, labels = data.images[:6], data.labels[:6] if model.classes else None
    report = likelihood(model, images, labels, generator=seeded(1), batch=6)
    bits = model.bits_per_dim(images, labels, generator=seeded(1))
    assert report.total == pytest.approx(bits.mean().item(), rel=1e-10) and bits.shape == (6,)
    assert report.total_error == pytest.approx(bits.std().item() / 6**0.5, rel=1e-10)
    text = str(report)
    assert "6 images (noise seed 1)" in text and "bits per dimension" in text
    assert ("given the class; naming it costs 0.0519 more at most" in text) == bool(model.classes)  # log2(10) / 64


class WithoutTerms(KnownGaussian):
    """As a PixelCNN: a likelihood, but no bound."""

    def bound(self, *_: object, **__: object) -> None:
        return None

    def bits_per_dim(self, images: Tensor, labels: Tensor | None = None, *, generator, progress=None) -> Tensor:
        return images.flatten(1).double().mean(1)


def test_a_family_without_terms() -> None:
    images = gaussian_images(10)
    report = likelihood(WithoutTerms(), images, generator=seeded(), batch=3)
    assert report.total == pytest.approx(images.double().mean().item())
    assert report.denoising is None and report.prior is None and str(report).count("\n") == 0


def test_a_family_without_a_likelihood() -> None:
    class Neither(KnownGaussian):
        bound = GenerativeModel.bound

    with pytest.raises(InputError, match="Neither has no likelihood"):
        likelihood(Neither(), gaussian_images(4), generator=seeded())


def test_bad_images() -> None:
    with pytest.raises(InputError, match=r"shape \[1, 8, 8\]: this model .* \[1, 2, 2\]"):
        likelihood(KnownGaussian(), torch.zeros(4, 1, 8, 8, dtype=torch.uint8), generator=seeded())
    with pytest.raises(InputError, match="type torch.float32"):
        likelihood(KnownGaussian(), torch.zeros(4, 1, 2, 2), generator=seeded())
    with pytest.raises(InputError, match="1 images: give at least two"):
        likelihood(KnownGaussian(), gaussian_images(1), generator=seeded())
