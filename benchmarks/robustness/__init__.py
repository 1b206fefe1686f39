"""A fuzzer with a fixed seed: 1,000 bad inputs, and what each makes of us. `python -m benchmarks.robustness --help`.

inputs.py                                    what a bad input is, and in which order they are made
pictures.py picture_files.py                 makers of bad inputs: pictures, and what lies in a picture's place
weights.py models.py states.py               weights of all kinds, and of one; profiles, galleries and labels
configs.py tables.py commands.py             TOML; tables; command lines
nodes.py learning_nodes.py routes.py         graphs, and requests to the routes
goods.py texts.py                            the good files that they are made from; what bad texts share
targets.py worker.py watch.py                what reads an input, in a process whose time and memory are watched
server.py                                    the same for graphs and requests, with a real ComfyUI
run.py sentences.py accepted.py              the verdicts: what a clear sentence is; what may be accepted, and why
cases.py                                     fourteen pictures and files of real users, with their right values
"""
