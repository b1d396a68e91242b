"""The VAE: its bounds are bounds, its probabilities sum to one, its draws follow them, and it trains, copies and loads."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffcourse.errors import InputError
from diffcourse.families import VAE, VAEConfig
from diffcourse.families.base import from_levels, level_value, scale, to_levels
from diffcourse.families.vae import OUTPUTS, Autoencoder

TWO = VAEConfig(height=1, width=2, levels=4, latent=1, base_width=8, multipliers=(1,), groups=2)
COLOUR = VAEConfig(channels=3, height=8, width=4, latent=5, base_width=8, multipliers=(1, 2), groups=4, levels=17)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_model(config: VAEConfig, seed: int = 0) -> VAE:
    """In eval mode and float64, with every parameter random, so that no layer is zero."""
    torch.manual_seed(seed)
    model = VAE(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def images(config: VAEConfig, n: int = 6, seed: int = 0) -> Tensor:
    k = torch.randint(config.levels, (n, config.channels, config.height, config.width), generator=seeded(seed))
    return from_levels(k, config.levels)


def all_images(levels: int = 4) -> Tensor:
    """Every image of two pixels, [levels^2, 1, 1, 2]."""
    return from_levels(torch.cartesian_prod(torch.arange(levels), torch.arange(levels)), levels)[:, None, None]


def exact_log_prob(model: VAE, x: Tensor) -> Tensor:
    """log p(x) for one latent number, integrated over z in (-9, 9) with 4001 points: independent of the encoder."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    log_prior = -z.square() / 2 - math.log(2 * math.pi) / 2 if model.prior is None else model.prior.log_prob(z[:, None])
    k = to_levels(x, model.config.levels)
    with torch.no_grad():
        joint = torch.stack([model._log_likelihood(one.expand(len(z), *one.shape), z[:, None]) + log_prior for one in k])
    return joint.logsumexp(1) + math.log(18 / 4000)


# Probabilities


@pytest.mark.parametrize("decoder", ["gaussian", "logistic", "mixture"])
def test_probabilities_of_all_images_sum_to_one(decoder: str) -> None:
    """Given z, and without it."""
    model = random_model(replace(TWO, decoder=decoder))
    every = all_images()
    with torch.no_grad():
        given_z = model._log_likelihood(to_levels(every, 4), torch.tensor([[0.7]], dtype=torch.float64).expand(16, 1))
    assert given_z.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert exact_log_prob(model, every).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_two_levels_have_probabilities_under_a_bernoulli_too() -> None:
    model = random_model(replace(TWO, levels=2, decoder="bernoulli"))
    assert exact_log_prob(model, all_images(2)).exp().sum().item() == pytest.approx(1, abs=1e-6)
    bits = model.bits_per_dim(all_images(2), generator=seeded(), samples=500)
    assert torch.allclose(bits, -exact_log_prob(model, all_images(2)) / (2 * math.log(2)), atol=0.1)


def test_a_bernoulli_of_grey_is_no_likelihood() -> None:
    model = random_model(replace(TWO, decoder="bernoulli"))
    assert model.bits_per_dim(all_images(), generator=seeded()) is None
    assert model.loss(all_images(), generator=seeded()).isfinite()


@pytest.mark.parametrize(("decoder", "prior"), [("gaussian", 1), ("logistic", 1), ("logistic", 3)])
def test_bits_approach_the_exact_ones_from_above(decoder: str, prior: int) -> None:
    """The importance-weighted bound: one draw is the ELBO, many come near log p(x)."""
    model, every = random_model(replace(TWO, decoder=decoder, prior=prior), seed=1), all_images()
    exact = exact_log_prob(model, every)
    many = every.repeat(400, 1, 1, 1)
    one, ten = (model.importance_weighted_bound(many, n, generator=seeded()).reshape(400, 16) for n in (1, 10))
    elbo = model.elbo(many, generator=seeded()).total.detach().reshape(400, 16)

    error = ((one.var(0) + elbo.var(0) + ten.var(0)) / 400).sqrt()
    assert ((one.mean(0) - elbo.mean(0)).abs() < 4.5 * error).all()
    assert (one.mean(0) < ten.mean(0) + 4.5 * error).all() and (ten.mean(0) < exact + 4.5 * error).all()
    assert one.mean() + 0.01 < ten.mean() < exact.mean()  # the bound does get better here
    bits = model.bits_per_dim(every.repeat(40, 1, 1, 1), generator=seeded(), samples=400).reshape(40, 16)
    bits = -((-bits * 2 * math.log(2)).logsumexp(0) - math.log(40)) / (2 * math.log(2))  # 16,000 draws in all
    assert torch.allclose(bits, -exact / (2 * math.log(2)), atol=0.06)


def test_the_bound_is_tight_where_the_encoder_knows_the_posterior() -> None:
    """A decoder that does not look at z, an encoder that answers with the prior: every weight is p(x) itself."""
    model, every = random_model(TWO), all_images()
    with torch.no_grad():
        model.encoder.head.weight.zero_(), model.encoder.head.bias.zero_()
        model.decoder.body[0].weight.zero_()
    exact = exact_log_prob(model, every)
    elbo = model.elbo(every, generator=seeded())
    assert elbo.kl.abs().max() < 1e-12
    assert torch.allclose(elbo.total, exact, atol=1e-6)
    assert torch.allclose(model.importance_weighted_bound(every, 3, generator=seeded()), exact, atol=1e-6)


def test_kl_is_the_mean_of_the_log_ratio() -> None:
    model = random_model(COLOUR)
    x = images(COLOUR, 3)
    q = model.encode(x)
    normal = torch.distributions.Normal
    law = normal(q.mean, q.variance.sqrt())
    expected = torch.distributions.kl_divergence(law, normal(torch.zeros_like(q.mean), 1.0)).sum(1)
    assert torch.allclose(model.elbo(x, generator=seeded()).kl, expected)


def test_a_mixture_prior_is_torchs() -> None:
    model = random_model(replace(COLOUR, prior=4))
    prior, d = model.prior, torch.distributions
    expected = d.MixtureSameFamily(
        d.Categorical(logits=prior.logits), d.Independent(d.Normal(prior.mean, (prior.log_variance / 2).exp()), 1)
    )
    z = torch.randn(7, 5, generator=seeded(), dtype=torch.float64)
    assert torch.allclose(prior.log_prob(z), expected.log_prob(z))
    drawn = prior.sample(20_000, seeded())
    assert torch.allclose(drawn.mean(0), expected.mean, atol=0.05) and torch.allclose(drawn.var(0), expected.variance, rtol=0.06)
    x = images(COLOUR)
    bound = model.elbo(x, generator=seeded(1))
    assert torch.allclose(bound.total, model.importance_weighted_bound(x, 1, generator=seeded(1)))  # of the same draw


# Draws


@pytest.mark.parametrize(
    ("decoder", "prior"), [("gaussian", 1), ("logistic", 1), ("mixture", 1), ("bernoulli", 1), ("logistic", 3)]
)
def test_draws_follow_the_model(decoder: str, prior: int) -> None:
    """Chi-square over all images of two pixels; for a Bernoulli these are the black and white ones."""
    levels = 2 if decoder == "bernoulli" else 4
    model = random_model(replace(TWO, decoder=decoder, levels=levels, prior=prior), seed=2)
    n, every = 20_000, all_images(levels)
    drawn = to_levels(from_levels(((model.sample(n, generator=seeded()) + 1) * (levels - 1) / 2).round(), levels), levels)
    counts = torch.bincount((drawn.flatten(1) * torch.tensor([levels, 1])).sum(1), minlength=levels**2).double()
    expected = n * exact_log_prob(model, every).exp()
    likely = expected > 5
    chi2 = ((counts - expected)[likely].square() / expected[likely]).sum().item()
    freedom = int(likely.sum()) - 1
    assert chi2 < freedom + 5 * math.sqrt(2 * freedom)
    assert counts[~likely].sum() <= 5 * max(1, expected[~likely].sum())


@pytest.mark.parametrize("decoder", OUTPUTS)
def test_samples_are_images(decoder: str) -> None:
    model = random_model(replace(COLOUR, decoder=decoder))
    seen = []
    drawn = model.sample(5, generator=seeded(), progress=lambda done, total: seen.append((done, total)))
    means = model.sample(5, generator=seeded(), draw=False)
    assert seen == [(1, 1)]
    assert drawn.shape == means.shape == (5, 3, 8, 4)
    assert torch.equal(drawn, level_value(((drawn + 1) * 8).round(), 17))  # grey levels, and no others
    assert means.abs().max() <= 1
    assert torch.equal(model.sample(5, generator=seeded()), drawn)
    assert not torch.equal(model.sample(5, generator=seeded(1)), drawn)


@pytest.mark.parametrize("decoder", ["gaussian", "logistic", "mixture"])
def test_means_are_the_draws_on_average(decoder: str) -> None:
    """Where scales are small against the distance from black and white, and levels are fine."""
    config = replace(TWO, decoder=decoder, levels=256)
    model = random_model(config)
    with torch.no_grad():
        model.decoder.head[2].weight.mul_(0.1), model.decoder.head[2].bias.zero_()
        if decoder == "gaussian":
            model.log_std.fill_(-3)
        else:
            shift = torch.zeros(OUTPUTS[decoder])
            shift[-(OUTPUTS[decoder] // 2 if decoder == "logistic" else 5) :] = -4  # the log scales
            model.decoder.head[2].bias += shift
    z = torch.tensor([[0.3]], dtype=torch.float64)
    out = model._decoded(z.expand(4000, 1)).detach()
    drawn = model._draw(out, seeded())
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert ((drawn.mean(0) - model.decode(z)[0]).abs() < 5 * error + 1e-3).all()


# Codes


def test_a_line_between_two_images_begins_and_ends_with_them() -> None:
    model = random_model(COLOUR)
    x = images(COLOUR, 2)
    line = model.interpolate(x[0], x[1], steps=5)
    assert line.shape == (5, 3, 8, 4)
    ends = model.decode(model.encode(x).mean)
    assert torch.allclose(line[[0, -1]], ends)
    assert torch.allclose(line[2], model.decode(model.encode(x).mean.mean(0, keepdim=True))[0])


def test_the_loss_is_the_bound_per_value_with_beta() -> None:
    x = images(COLOUR)
    for beta in (1.0, 0.25):
        model = random_model(replace(COLOUR, beta=beta))
        bound = model.elbo(x, generator=seeded(3))
        expected = (beta * bound.kl - bound.reconstruction) / (3 * 8 * 4)
        assert torch.allclose(model(x, generator=seeded(3)).per_example, expected)
        assert model(x, generator=seeded(3)).time is None


def test_gradients_are_those_of_finite_differences() -> None:
    """Through the draw of z: the reparameterised gradient, for every decoder."""
    for decoder in OUTPUTS:
        model, x = random_model(replace(TWO, decoder=decoder)), all_images()
        model.loss(x, generator=seeded()).backward()
        weight = model.encoder.head.bias
        for i in range(len(weight)):
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    weight[i] += step
                    values.append(model.loss(x, generator=seeded()).item())
                    weight[i] -= step
            assert weight.grad[i].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)


# What the training loop relies on


@pytest.mark.parametrize("decoder", OUTPUTS)
def test_a_part_gets_what_the_whole_gives_it(decoder: str) -> None:
    model, x = random_model(replace(COLOUR, decoder=decoder)), images(COLOUR, 6)
    whole = model(x, generator=seeded(1)).per_example
    parts = [model(x, generator=seeded(1), part=slice(a, a + 2)).per_example for a in (0, 2, 4)]
    assert torch.allclose(torch.cat(parts), whole)
    autoencoder = Autoencoder(COLOUR, noise=0.3).eval()
    whole = autoencoder(x, generator=seeded(1)).per_example
    assert torch.allclose(autoencoder(x, generator=seeded(1), part=slice(4, 6)).per_example, whole[4:])


@pytest.mark.parametrize("decoder", OUTPUTS)
def test_every_parameter_gets_a_gradient(decoder: str) -> None:
    """Which training by several processes needs."""
    model = random_model(replace(COLOUR, decoder=decoder, prior=2))
    model.loss(images(COLOUR), generator=seeded()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("decoder", OUTPUTS)
def test_half_precision_is_near_single(decoder: str) -> None:
    model, x = random_model(replace(COLOUR, decoder=decoder)).float(), images(COLOUR)
    for p in model.parameters():
        p.data.mul_(0.25)
    single = model(x, generator=seeded()).per_example
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x, generator=seeded()).per_example
        half.mean().backward()
    assert half.dtype == torch.float32
    assert torch.allclose(half, single, rtol=0.1)


@pytest.mark.parametrize(
    "config",
    [
        VAEConfig(),
        TWO,
        replace(COLOUR, decoder="mixture", beta=0.5, dropout=0.1, prior=4),
        VAEConfig(height=28, width=28, multipliers=(1, 2), patch=2, decoder="gaussian"),
        VAEConfig(channels=3, height=32, width=32, base_width=8, multipliers=(1, 1, 2, 2), latent=64),
    ],
    ids=str,
)
def test_copies_are_equal_and_independent(config: VAEConfig) -> None:
    model = VAE(config).eval()
    assert model.image_shape == (config.channels, config.height, config.width)
    before = model.sample(2, generator=seeded())
    assert before.shape == (2, *model.image_shape)
    twin, again = copy.deepcopy(model), VAE.from_configuration(json.loads(json.dumps(model.configuration()))).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1)
    for other in (twin, again):
        assert other.config == config and torch.equal(other.sample(2, generator=seeded()), before)
    assert twin.loss(images(config, 2), generator=seeded()).isfinite()


@pytest.mark.parametrize("decoder", OUTPUTS)
def test_a_few_steps_lower_the_loss(decoder: str) -> None:
    torch.manual_seed(0)
    config = replace(TWO, decoder=decoder, levels=17)
    model = VAE(config)
    x = from_levels(torch.tensor([[0, 16], [2, 16]]), 17)[:, None, None].repeat(16, 1, 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(40):
        loss = model.loss(x, generator=seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


# Autoencoders


def test_an_autoencoder_learns_to_give_back_what_goes_in() -> None:
    torch.manual_seed(0)
    model, x = Autoencoder(replace(TWO, levels=256)), all_images()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = model(x, generator=seeded()).per_example.mean().item()
    for step in range(100):
        loss = model(x, generator=seeded(step)).per_example.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * before
    back = model.decode(model.encode(scale(x)))
    assert loss.item() == pytest.approx((back - scale(x)).square().mean().item(), rel=0.2)


def test_noise_goes_in_and_is_not_asked_back() -> None:
    model = Autoencoder(COLOUR, noise=0.5).double().eval()
    x = images(COLOUR)
    eps = torch.randn(x.shape, generator=seeded(), dtype=torch.float64)
    clean = scale(x).double()
    expected = (model.decode(model.encode(clean + 0.5 * eps)) - clean).square().flatten(1).mean(1)
    assert torch.allclose(model(x, generator=seeded()).per_example, expected)


# Bad input


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latent": 0}, "latent = 0: give at least 1"),
        ({"blocks": -1}, "blocks = -1"),
        ({"decoder": "poisson"}, "unknown decoder 'poisson'; choose one of bernoulli, gaussian, logistic, mixture"),
        ({"levels": 1}, "levels = 1"),
        ({"prior": 0}, "prior = 0"),
        ({"beta": -1.0}, "beta = -1"),
        ({"beta": math.nan}, "beta = nan"),
        ({"dropout": 1.0}, "dropout = 1"),
        ({"groups": 3}, "8 channels does not divide into groups = 3"),
        ({"multipliers": ()}, "multipliers = \\[\\]"),
        ({"multipliers": (1, 2)}, "images of 1x2 pixels do not divide by 2, which 1 halvings of patches of 1 ask for"),
        ({"patch": 2}, "images of 1x2 pixels do not divide by 2, which 0 halvings of patches of 2 ask for"),
        ({"patch": 0}, "patch = 0"),
    ],
    ids=str,
)
def test_bad_configurations_are_refused(change: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        VAE(replace(TWO, **change))
    with pytest.raises(InputError, match=complaint):
        Autoencoder(replace(TWO, **change))


def test_bad_requests_are_refused() -> None:
    model = VAE(TWO)
    with pytest.raises(InputError, match="n = 0: ask for at least one image"):
        model.sample(0, generator=seeded())
    with pytest.raises(InputError, match="samples = 0"):
        model.bits_per_dim(all_images(), generator=seeded(), samples=0)
    with pytest.raises(InputError, match="steps = 1"):
        model.interpolate(all_images()[0], all_images()[1], steps=1)
    with pytest.raises(InputError, match="other values than 4 evenly spaced grey levels"):
        model.loss(torch.full((1, 1, 1, 2), 7, dtype=torch.uint8), generator=seeded())
    with pytest.raises(InputError, match="noise = -1"):
        Autoencoder(TWO, noise=-1.0)
