"""The book's notation, once: every name that may stand in a formula, what it means and what SymPy makes of it.

The derivations concern Gaussians whose covariance is a multiple of I, so every component of an image behaves alike and
every formula is read for one component: x_t is a real number, I is a symbol that a covariance must carry.
"""

from dataclasses import dataclass
from typing import Literal

from sympy import Basic, Expr, Function, IndexedBase, Max, Min, Symbol, oo, pi

Kind = Literal["indexed", "scalar", "function", "matrix"]


@dataclass(frozen=True)
class Name:
    """One entry of the notation: `kind` says what may follow the name, an index or an argument list."""

    meaning: str
    kind: Kind
    sympy: Basic


def _indexed(name: str, meaning: str, **assumptions: bool) -> Name:
    return Name(meaning, "indexed", IndexedBase(name, **assumptions))


def _scalar(name: str, meaning: str, **assumptions: bool) -> Name:
    return Name(meaning, "scalar", Symbol(name, **assumptions))


def _function(name: str, meaning: str, **assumptions: bool) -> Name:
    return Name(meaning, "function", Function(name, **assumptions))


def _matrix(name: str, meaning: str) -> Name:
    return Name(meaning, "matrix", Symbol(name, commutative=False))


def _single(name: str, meaning: str) -> Name:
    return Name(meaning, "scalar", Symbol(name, commutative=False))


INDEXED: dict[str, Name] = {
    "x": _indexed("x", "x_0 is data, x_t its noisy version after step t; x_i, where there are no steps, is pixel i", real=True),
    r"\beta": _indexed("beta", "variance of the noise that step t adds, between 0 and 1", positive=True),
    r"\alpha": _indexed("alpha", "1 - beta_t", positive=True),
    r"\bar\alpha": _indexed("alphabar", "alpha_1 alpha_2 ... alpha_t", positive=True),
    r"\epsilon": _indexed("epsilon", "standard Gaussian noise of step t", real=True),
    r"\hat x": _indexed("xhat", "the guess of x_0 that a noise prediction implies", real=True),
    r"\tilde\beta": _indexed("betatilde", "variance of x_{t-1} when x_t and x_0 are both known", positive=True),
    r"\sigma": _indexed("sigma", "a standard deviation; with t, of the noise that a sampler adds at step t", positive=True),
    r"\mu": _indexed("mu", "mean of the Gaussian of this number", real=True),
    "B": _indexed("B", "term of step t of the variational bound", real=True),
    "m": _indexed("m", "the k-th data point, or the mean of the k-th component of the data", real=True),
    "w": _indexed("w", "share of the k-th component of the data, or of picture k in a heap", positive=True),
    "r": _indexed("r", "probability that x_t came from the k-th component; with a step, noise over signal, 1/sqrt(SNR); how many pixels far n masked layers see", positive=True),
    r"\lambda": _indexed("lamda", "half the logarithm of the SNR", real=True),
    r"\tilde x": _indexed("xtilde", "where Euler's step ends", real=True),
    "V": _indexed("V", "variance of Gaussian data, or of one component of the data, after step t", positive=True),
    "h": _indexed("h", "what stands between two layers of a flow: h_0 is the data", real=True),
    "L": _indexed("L", "loss of step t, or of an example", real=True),
    r"\bar\epsilon": _indexed("epsilonbar", "standard Gaussian noise that several steps up to t have merged into", real=True),
    "M": _indexed("M", "mean of x_t in a model that is Gaussian throughout", real=True),
    "S": _indexed("S", "variance of x_t in a model that is Gaussian throughout", positive=True),
    r"\theta": _indexed("theta", "weights of a network after step n of the optimiser", real=True),
    r"\bar\theta": _indexed("thetabar", "moving average of the weights after step n of the optimiser", real=True),
    r"\kappa": _indexed("kappa", "decay of a moving average in step n of the optimiser", positive=True),
    "e": _indexed("e", "cut between the grey levels k - 1 and k", real=True),
    "k": _indexed("k", "side of the kernel of convolution j", integer=True, positive=True),
    "s": _indexed("s", "stride of convolution j", integer=True, positive=True),
    "R": _indexed("R", "side of the square of the input that one pixel behind n convolutions sees", integer=True, positive=True),
    r"\omega": _indexed("omega", "frequency of pair i of the time embedding, in radians per step", positive=True),
    "u": _indexed("u", "query of a pixel, by component; entry i on the diagonal of an upper triangular matrix; of a gate, what it lets through", real=True),
    "v": _indexed("v", "key of a pixel, by component; of a gate, how far it is open", real=True),
    "y": _indexed("y", "value of a pixel, one component; with a step, x_t / sqrt(abar_t); a half of what a flow's layer puts out", real=True),
    "z": _indexed("z", "how well the query of pixel i matches the key of pixel j; the k-th draw of a latent, or its component; logit of a grey level", real=True),
    "o": _indexed("o", "what attention brings to pixel i, one component, or a gate", real=True),
    "a": _indexed("a", "share of its attention that pixel i gives to pixel j; factor by which a flow's layer stretches component i", positive=True),
    "b": _indexed("b", "scale of the logistic distribution of this number", positive=True),
    r"\mathcal{L}": _indexed("calL", "lower bound on log p_theta(x) from K draws of the latent", real=True),
}
"""Names that carry an index."""

SCALARS: dict[str, Name] = {
    "t": _scalar("t", "step, 1 to T", integer=True, positive=True),
    "s": _scalar("s", "an earlier step, or a running index", integer=True, nonnegative=True),
    "T": _scalar("T", "number of steps", integer=True, positive=True),
    "I": _scalar("I", "the identity matrix", positive=True),
    "a": _scalar("a", "any positive number; the share that a model gives to something", positive=True),
    "b": _scalar("b", "any positive number; scale of a logistic distribution", positive=True),
    "n": _scalar("n", "number of layers, of pixels or of samples", integer=True, positive=True),
    "u": _scalar("u", "a fraction: t/T, of the way; of the range between two variances; the score of a discriminator", real=True),
    r"\beta": _scalar("beta", "a variance that is the same in every step; what the divergence counts in a VAE's loss", positive=True),
    "v": _scalar("v", "velocity sqrt(abar_t) eps - sqrt(1 - abar_t) x_0; a grey value moved away from 0 and 1", real=True),
    r"\hat v": _scalar("vhat", "the network's guess of v", real=True),
    r"\epsilon": _scalar("epsilon", "standard Gaussian noise", real=True),
    r"\gamma": _scalar("gamma", "the SNR at which the min-SNR weight stops growing; strength of the penalty R1", positive=True),
    r"\delta": _scalar("delta", "offset of the cosine schedule; how far grey values are kept from 0 and 1", positive=True),
    r"\tau": _scalar("tau", "temperature of the sigmoid schedule, or of samples; standard deviation of an encoder's Gaussian", positive=True),
    r"\eta": _scalar("eta", "DDIM's noise, as a multiple of DDPM's; the length of a gradient step", nonnegative=True),
    r"\lambda": _scalar("lamda", "half the logarithm of the SNR", real=True),
    r"\ell": _scalar("ell", "left end of the logistic curve's piece", real=True),
    "d": _scalar("d", "number of components; channels that come out of a layer", integer=True, positive=True),
    "i": _scalar("i", "number of a component, of a pair of them, or of a pixel", integer=True, positive=True),
    r"\mu": _scalar("mu", "a mean", real=True),
    r"\sigma": _scalar("sigma", "a standard deviation", positive=True),
    r"\phi": _scalar("phi", "an angle", real=True),
    "x": _scalar("x", "any real number, where there are no steps", real=True),
    "y": _scalar("y", "any real number", real=True),
    "z": _scalar("z", "any real number; in a sampler, standard Gaussian noise; in a VAE, the latent", real=True),
    r"\kappa": _scalar("kappa", "decay of a moving average: the share of the old that a step keeps", positive=True),
    r"\theta": _scalar("theta", "the weights of a network"),
    "r": _scalar("r", "right end of the logistic curve's piece; a radius; the share of the data that a model favours", real=True),
    "m": _scalar("m", "mean of Gaussian data", real=True),
    "c": _scalar("c", "standard deviation of Gaussian data, or of one component of the data; channels that go into a layer", positive=True),
    "k": _scalar("k", "number of a data point, of a component or of a grey level; side of a kernel", integer=True, positive=True),
    "j": _scalar("j", "number of a data point, of a component, of a pixel, or of a layer; the step that a sampler came from", integer=True, positive=True),
    "K": _scalar("K", "how many data points, components or grey levels there are", integer=True, positive=True),
    "A": _scalar("A", "the bound's term for the prior", real=True),
    "C": _scalar("C", "the bound's term for the reconstruction", real=True),
    "R": _scalar("R", "bits per component", real=True),
    "F": _scalar("F", "squared Frechet distance of two Gaussians", nonnegative=True),
    "V": _scalar("V", "what the two players of a GAN play for: one wants it large, the other small", real=True),
    r"V_{\mathrm{best}}": _scalar("V_best", "V where the discriminator plays as well as possible", real=True),
    "W": _single("W", "weights of a 1x1 convolution, c x c"),
    "P": _single("P", "a permutation matrix"),
    "L": _single("L", "a lower triangular matrix with ones on its diagonal"),
    "U": _single("U", "an upper triangular matrix"),
    r"\pi": Name("3.14159...", "scalar", pi),
    r"\infty": Name("infinity", "scalar", oo),
}
"""Names that stand alone."""

FUNCTIONS: dict[str, Name] = {
    "q": _function("q", "density of the data, of the forward process, of an encoder; what stands behind the bar is given"),
    r"\mathcal{N}": _function("N", "Gaussian density N(x; mean, covariance), or the law N(mean, covariance)"),
    r"\mathbb{E}": _function("E", "expectation"),
    r"\operatorname{Var}": _function("Var", "variance of one component"),
    r"\operatorname{SNR}": _function("SNR", "signal-to-noise ratio at step t"),
    r"\epsilon_\theta": _function("epsilon_theta", "the network: what it takes the noise in x_t to be"),
    "p": _function("p", "density of the model where nothing is learned: the prior, p(x_T) or p(z); probability of a grey level"),
    r"p_\theta": _function("p_theta", "density of the model: the learned reverse process, or a decoder"),
    r"p_{\mathrm{noise}}": _function("p_noise", "density of a model that draws nothing but noise"),
    r"p_{\mathrm{mix}}": _function("p_mix", "density of a mixture of two: a model that draws noise now and then, or half data and half model"),
    r"\mu_\theta": _function("mu_theta", "mean of the learned reverse step"),
    r"\tilde\mu": _function("mutilde", "mean of x_{t-1} when x_t and x_0 are both known"),
    r"D_{\mathrm{KL}}": _function("KL", "Kullback-Leibler divergence of the first density from the second"),
    "D": _function("D", "discriminator: how probable it holds a point to be real"),
    r"D_{\mathrm{best}}": _function("D_best", "the best discriminator that there is for two given densities"),
    r"D_{\mathrm{JS}}": _function("JS", "Jensen-Shannon divergence of two densities"),
    "G": _function("G", "generator: the image that it makes of z"),
    r"L_{\mathrm{simple}}": _function("L_simple", "the simplified loss"),
    "f": _function("f", "curve of the cosine schedule; a predictor, any function of x_t; a guess of x_0; the mean of a decoder; a flow, from data to noise, and its layers"),
    r"\min": Name("the smaller of two numbers", "function", Min),
    r"\max": Name("the larger of two numbers", "function", Max),
    r"P_{\mathrm{new}}": _function("P_new", "chance that the n-th picture is unlike all before it"),
    "H": _function("H", "entropy of a density"),
    r"\det": _function("det", "determinant of a matrix", real=True),
    r"\operatorname{tr}": _function("tr", "trace of a matrix", real=True),
    r"\Phi": _function("Phi", "distribution function of the standard Gaussian"),
    r"\rho": _function("rho", "rate at which noise comes in continuous time: variance per unit of u"),
    "g": _function("g", "logistic function 1 / (1 + exp(-z))"),
    "J": _function("J", "Jacobian of a flow at x, or of its layer j at what comes in"),
    r"a_\theta": _function("a_theta", "the factor that a coupling's network takes from one half for the other", positive=True),
    r"b_\theta": _function("b_theta", "the shift that a coupling's network takes from one half for the other", real=True),
    r"P_{\mathrm{conv}}": _function("P_conv", "weights of a convolution"),
    r"M_{\mathrm{conv}}": _function("M_conv", "multiplications of a convolution on n pixels"),
    r"M_{\mathrm{att}}": _function("M_att", "multiplications of self-attention among n pixels"),
    r"n_{\mathrm{A}}": _function("n_A", "weights that mask A leaves of a kernel of this side"),
    r"n_{\mathrm{B}}": _function("n_B", "weights that mask B leaves of a kernel of this side"),
    r"M_{\mathrm{naive}}": _function("M_naive", "multiplications of sampling n pixels, all of them anew for each pixel"),
    r"M_{\mathrm{cached}}": _function("M_cached", "multiplications of sampling n pixels, each kept once it is known"),
}
"""Names that take arguments."""

MATRICES: dict[str, Name] = {
    r"\boldsymbol\mu": _matrix("boldmu", "mean vector of the Gaussian of this number"),
    r"\Sigma": _matrix("Sigma", "covariance matrix of the Gaussian of this number"),
}
"""Vectors and matrices, which carry a number and whose products must keep their order."""


def symbol(name: str) -> Expr:
    """The SymPy object of a scalar name such as `t` or `\\delta`."""
    return SCALARS[name].sympy


def family(name: str) -> IndexedBase:
    """The SymPy family of an indexed name: `family("x")[t - 1]`."""
    return INDEXED[name].sympy


def function(name: str) -> type[Function]:
    """The SymPy function of a name that takes arguments."""
    return FUNCTIONS[name].sympy


def matrix(name: str, number: int) -> Expr:
    """The SymPy symbol of a numbered vector or matrix: `matrix(r"\\Sigma", 1)`."""
    return Symbol(f"{MATRICES[name].sympy}_{number}", commutative=False)
