"""Each figure the README quotes, as a command: `python -m benchmarks.NAME [--quick]` from the repository's root."""
