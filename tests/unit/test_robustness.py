"""Bad inputs from the fuzzer, one in seventeen: each ends in a clear sentence, or does no harm."""

from pathlib import Path

import pytest

from reliable_ads.benchmarks.robustness.inputs import SHARES, plan
from reliable_ads.benchmarks.robustness.run import BAD, outcomes
from reliable_ads.benchmarks.robustness.sentences import unclear


@pytest.mark.slow(reason="sixty bad inputs in processes of their own")
def test_bad_inputs_end_in_clear_sentences():
    some = [one for one in plan() if one.kind != "nodes"][::17]
    found = list(outcomes(some))
    assert len(found) > 50 and not [str(outcome) for outcome in found if outcome.verdict in BAD]


def test_a_thousand_inputs_the_same_each_time(tmp_path):
    assert len(plan()) == sum(SHARES.values()) == 1000
    one = next(one for one in plan() if one.way == "cut short")
    made = [one.make(one.bench(tmp_path / name, tmp_path)).arguments["path"] for name in ("first", "second")]
    first, second = (Path(path).read_bytes() for path in made)
    assert first == second and made[0].endswith(made[1].rsplit("/", 1)[1])


@pytest.mark.parametrize(
    "message, why",
    [
        ('"a.png" is damaged or cut short (image file is truncated): export or download it again.', None),
        ("unsupported operand type(s) for //: 'dict' and 'int'", "it says"),
        ("[Errno 2] No such file or directory: 'a.png'", "it says"),
        ("it can't be read: check it.", "it names none of"),
        ("a.png is broken.", "doesn't say what to do"),
        (f'a.png says "{"9" * 500}": write a shorter one.', "characters"),
        (f'a.png says "{"9" * 200}": write a shorter one.', "of what it was given"),
        ("a.png can't be read:\ncheck it.", "line breaks"),
    ],
)
def test_what_a_clear_sentence_is(message, why):
    found = unclear(message, ("a.png",))
    assert found is None if why is None else why in found, found
