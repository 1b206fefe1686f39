"""Names of the ways to adapt a reviewer; apart, so that naming them loads no torch."""

METHODS = ("auto", "head", "low_rank", "full")
