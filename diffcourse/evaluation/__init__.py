"""Is a sample convincing, does every class appear, is it a copy?"""

from diffcourse.evaluation.samples import SampleReport, evaluate

__all__ = ["SampleReport", "evaluate"]
