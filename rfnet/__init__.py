"""The reviewer of "Reliable Advertising Image Generation" (arXiv:2408.00418) as a plain PyTorch library.

product.place puts a product on a canvas, weights.load_reviewer gives a Reviewer, reviewer.Reviewer.review judges
images, recurrent.run draws until one is accepted, training.train.Run trains on what data.sources.open_samples reads.
"""

from .labels import LABELS, MEANING, UNSUITABLE

__all__ = ["LABELS", "MEANING", "UNSUITABLE"]
