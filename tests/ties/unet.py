"""Ties of chapter 11."""

import torch

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, symbol
from diffcourse.nets.unet import SelfAttention, timestep_embedding
from diffcourse.training.flops import count
from ties import Pairs, Ties, rhs, tensor

TIMES = torch.tensor([0, 1, 7, 250, 1000])
t, s, i, d, n, c = (symbol(name) for name in ("t", "s", "i", "d", "n", "c"))
omega = family(r"\omega")


def frequency() -> Pairs:
    # The derivative of the embedding at t = 0 is zero for the cosines and the frequency for the sines.
    for pairs in (1, 3, 16):
        time = tensor(0.0).requires_grad_()
        for k in range(pairs):
            vector = timestep_embedding(time, 2 * pairs, dtype=torch.float64)
            for half, slope in ((0, 0.0), (pairs, float(rhs("eq-frequency").subs({i: k + 1, d: pairs}).evalf(30)))):
                yield slope, torch.autograd.grad(vector[0, half + k], time, retain_graph=True)[0]
                yield 1.0 - bool(half), vector[0, half + k].detach()


def embedding_product() -> Pairs:
    for pairs in (2, 16):
        vectors = timestep_embedding(TIMES, 2 * pairs, dtype=torch.float64)
        for later, earlier in ((4, 3), (3, 1), (2, 2), (1, 0)):
            product = vectors[later] @ vectors[earlier]
            for side in CLAIMS["eq-embedding-product"].statement()[0].terms:
                terms = side.subs({t: int(TIMES[later]), s: int(TIMES[earlier]), d: pairs}).doit()
                terms = terms.subs({omega[m]: rhs("eq-frequency").subs({i: m, d: pairs}) for m in range(1, pairs + 1)})
                yield float(terms.evalf(30)), product


def layer(channels: int, heads: int) -> SelfAttention:
    """A layer with random weights whose way out changes nothing, so that what attention brings can be seen."""
    attention = SelfAttention(channels, 1, heads).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in attention.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    attention.out.weight.copy_(torch.eye(channels)[:, :, None, None])
    attention.out.bias.zero_()
    return attention


def attention() -> Pairs:
    output, share, match = (relation.rhs for relation in CLAIMS["eq-attention"].statement())
    for channels, heads in ((2, 1), (4, 2)):
        net, size, pixels = layer(channels, heads), channels // heads, 3
        x = torch.randn(1, channels, 1, pixels, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        brought = (net(x) - x)[0, :, 0]
        query, key, value = (part.tolist() for part in net.qkv(net.norm(x))[0, :, 0].chunk(3))
        for head in range(heads):
            first = head * size
            numbers = {
                family(name)[p + 1, k + 1]: table[first + k][p]
                for name, table in (("u", query), ("v", key)) for p in range(pixels) for k in range(size)
            }  # fmt: skip
            matches = {
                family("z")[p, q]: float(match.subs({i: p, symbol("j"): q, d: size}).doit().subs(numbers).evalf())
                for p in range(1, pixels + 1) for q in range(1, pixels + 1)
            }  # fmt: skip
            shares = {
                family("a")[p, q]: share.subs({i: p, symbol("j"): q, n: pixels}).doit().subs(matches)
                for p in range(1, pixels + 1) for q in range(1, pixels + 1)
            }  # fmt: skip
            for component in range(size):
                values = {family("y")[q + 1]: value[first + component][q] for q in range(pixels)}
                for p in range(pixels):
                    formula = output.subs({i: p + 1, n: pixels}).doit().subs(shares).subs(values)
                    yield float(formula.evalf()), brought[first + component, p]


def attention_cost() -> Pairs:
    for channels, heads, side in ((4, 1, 3), (8, 2, 4)):
        net = layer(channels, heads)
        x = torch.zeros(1, channels, side, side, dtype=torch.float64)
        counted = count(lambda: net(x)) / 2  # a multiplication and an addition are two operations
        yield float(rhs("eq-attention-cost").subs({n: side**2, c: channels})), tensor(counted)


TIES: Ties = {
    "eq-attention-cost": attention_cost,
    "eq-frequency": frequency,
    "eq-embedding-product": embedding_product,
    "eq-attention": attention,
}
