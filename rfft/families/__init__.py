"""The flow-matching families that RFFT tunes ControlNets of, one file each: how a transformer and its ControlNet are
called, and what their files hold. base says what they share, texts how prompts are encoded, loading reads files.
"""
