"""Bad inputs of nodes and routes from the fuzzer, one of each kind: a real server answers each with a clear sentence,
or they do no harm.
"""

from reliable_ads.benchmarks.robustness.inputs import MAKERS, plan
from reliable_ads.benchmarks.robustness.run import BAD, outcomes


def test_bad_inputs_over_http():
    some = plan(only="nodes")[: len(MAKERS["nodes"])]
    assert not [str(outcome) for outcome in outcomes(some) if outcome.verdict in BAD]
