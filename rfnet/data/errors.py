"""What is wrong with labelled data, as one sentence that says where and what to do."""


class DataError(ValueError):
    """A data set, or the config of a training on it, can't be used."""


class BrokenSample(DataError):
    """One sample can't be read; the message says which file and why."""
