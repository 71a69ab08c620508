"""The dataset for PyTorch gives each file once, in an order that comes back, and goes on."""

from tests.reading.conftest import Person


async def test_ranks_share_the_files_and_a_run_goes_on_where_it_broke_off(person: Person) -> None:
    program = """
import json
from itertools import islice
from multicloud.torch import FileDataset
say = lambda what: print(json.dumps(what))
def paths(**how):
    return [path for path, _ in FileDataset("mc://many@1/part/00", **how)]
whole = paths()
say([len(whole), whole == sorted(whole)])
ranks = [paths(rank=rank, world=3, seed=7) for rank in range(3)]
say([sorted(sum(ranks, [])) == whole, [len(rank) for rank in ranks]])
say([paths(seed=7) == paths(seed=7), paths(seed=7) == paths(seed=8)])
run = FileDataset("mc://many@1/part/00", seed=7)
first = [path for path, _ in islice(run, 40)]
again = FileDataset("mc://many@1/part/00", seed=7)
again.load_state_dict(json.loads(json.dumps(run.state_dict())))
say(first + [path for path, _ in again] == paths(seed=7))
again.set_epoch(1)
say(sorted(path for path, _ in again) == whole)
say(dict(FileDataset("mc://many@1/part/0042"))["part/0042"].decode())
"""
    assert await person.runs(program) == [
        [100, True],
        [True, [34, 33, 33]],
        [True, False],
        True,
        True,
        "42",
    ]
