"""Which pictures to label next: those whose labels teach a reviewer most.

A label tells as much as was unsure before: the entropy of the reviewer's calibrated prediction. It tells that again
where a picture much like this one is labelled already. So a picture is worth entropy x distance to the nearest picture
that is labelled or chosen, taken greedily (uncertainty and core-set sampling, arXiv:1708.00489, in one product).
"""

import numpy as np

PLANNED = 50  # pictures that are put in order; more would be out of date before they are reached
AT_A_TIME = 10  # pictures among which no product comes twice with the same likely defect, while there are others


def order(probabilities, features, products, known=(), count: int | None = None, turn: int = AT_A_TIME) -> list[int]:
    """Positions of N waiting pictures, the one that teaches most first; of `count` of them, or of all.

    probabilities (N, 5): calibrated; features (N, W): what distances are measured in, on any scales; products: N ids;
    known (M, W): features of the labelled pictures. Within each `turn` no product comes twice with the same likeliest
    label, as long as another is left. The same pictures give the same order, whatever they are called.
    """
    probabilities = np.asarray(probabilities, np.float64)
    features = np.asarray(features, np.float64)
    count = len(features) if count is None else min(count, len(features))
    if not count:
        return []
    known = np.asarray(known, np.float64).reshape(-1, features.shape[1])
    scale = np.concatenate([features, known]).std(0)
    features, known = (part / np.where(scale > 0, scale, 1) for part in (features, known))
    worth = entropy(probabilities)
    distance = nearest(features, known)
    groups = [(product, likeliest) for product, likeliest in zip(products, probabilities.argmax(1).tolist())]
    chosen: list[int] = []
    left = np.ones(len(features), bool)
    used: set = set()
    while len(chosen) < count:
        if len(chosen) % turn == 0:
            used.clear()
        fresh = left & np.array([group not in used for group in groups])
        among = np.flatnonzero(fresh if fresh.any() else left)
        best = int(among[_first_of_best(worth[among], distance[among])])
        chosen.append(best)
        used.add(groups[best])
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(features - features[best], axis=1))
    return chosen


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Of each row of (N, K) probabilities, in nats (N,)."""
    p = np.clip(probabilities, 1e-12, 1)
    return -(p * np.log(p)).sum(1)


def nearest(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The distance (N,) from each of (N, W) features to the nearest of (M, W) known ones; 1 for all without any."""
    distance = np.full(len(features), np.inf)
    for one in known:
        distance = np.minimum(distance, np.linalg.norm(features - one, axis=1))
    return distance if len(known) else np.ones(len(features))


def _first_of_best(worth: np.ndarray, distance: np.ndarray) -> int:
    """The most informative; of equals the less certain one, then the farther."""
    return int(np.lexsort((distance, worth, worth * distance))[-1])
