"""A fuzzer with a fixed seed: 1,000 bad inputs of many kinds, and what each of them makes of us. `python -m benchmarks.robustness --help`.

    inputs.py                                    what a bad input is, and in which order they are made
    pictures.py weights.py texts.py commands.py  makers of bad inputs, one family of kinds each
    nodes.py server.py                           the same for nodes and routes of a real ComfyUI server
    targets.py worker.py                         what reads an input, in a process of its own
    watch.py                                     that process, its time and its memory
    sentences.py accepted.py                     what a clear sentence is; what may be accepted, and why
    cases.py                                     fourteen pictures and files of real users, with their right values
"""
