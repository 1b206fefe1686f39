"""Cyclic generation: draw, review, draw again until a picture can be published, around any engine.

    from reliable_ads.cyclic import run

    result = run(generate, review, seed=0, attempts=5)  # -> RecurrentRun
    result.returned.image, result.accepted, result.report()

generate(index, seed, check) draws one attempt -> (image (3, H, W), payload), and calls check(step, steps, preview)
after each sampling step; review(image) -> a row of rfnet's Review.rows(). Early rejection, remedies and the gallery
of a list of products are optional parts of the same loop.
"""

from ..rfnet.lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    attempts="Attempt RecurrentRun",
    early_rejection="EarlyThreshold Profile ProfileError",
    gallery="Gallery Job",
    loop="Accepted Exhausted Interrupted NoneAccepted OneAtATime Reviewed Skipped Started TooMany recurrent run",
    preview="Preview",
    preview_check="PreviewCheck PreviewChecks StoppedEarly",
    remedies="REMEDIES Change Impossible Policy Remedy register",
)
