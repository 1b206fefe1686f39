"""Developer tools: a real ComfyUI for the demo, the tests and the benchmarks. Not published with the pack."""
