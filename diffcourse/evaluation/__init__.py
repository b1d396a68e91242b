"""How good is a model: bits per dimension, Frechet distance, precision and recall, and three plain questions to its samples.

The questions: is a sample convincing, does every class appear, is it a copy?
"""

from diffcourse.evaluation import features
from diffcourse.evaluation.draw import draw
from diffcourse.evaluation.frechet import FrechetReport, fit_gaussian, frechet, frechet_distance
from diffcourse.evaluation.likelihood import LikelihoodReport, likelihood
from diffcourse.evaluation.memorisation import MemorisationReport, memorisation, nearest, nearest_distance
from diffcourse.evaluation.modes import high_quality_share, modes_found
from diffcourse.evaluation.precision_recall import PrecisionRecall, precision_recall
from diffcourse.evaluation.samples import SampleReport, evaluate

__all__ = [
    "FrechetReport",
    "LikelihoodReport",
    "MemorisationReport",
    "PrecisionRecall",
    "SampleReport",
    "draw",
    "evaluate",
    "features",
    "fit_gaussian",
    "frechet",
    "frechet_distance",
    "high_quality_share",
    "likelihood",
    "memorisation",
    "modes_found",
    "nearest",
    "nearest_distance",
    "precision_recall",
]
