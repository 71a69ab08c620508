"""The SDK against real nodes, as programs use it."""

import hashlib

from tests.reading.conftest import BIG, FILES, Person

WHOLE = b"".join(BIG)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_a_program_lists_opens_seeks_and_reads_ranges(person: Person) -> None:
    program = """
import hashlib, io, json, multicloud, pickle
say = lambda what: print(json.dumps(what))
cluster = multicloud.connect()
say([str(one) for one in cluster.versions("corpus")])
say([file.path for file in cluster.files("corpus@1")])
say([file.path for file in cluster.files("mc://corpus/shards/")])
say([one if isinstance(one, str) else one.path for one in cluster.children("corpus@1/")])
with multicloud.open("mc://corpus@1/big.bin") as file:
    say(hashlib.sha256(file.read()).hexdigest())
    file.seek(-3, io.SEEK_END)
    say(file.read().decode())
    file.seek(1 << 20)
    again = pickle.loads(pickle.dumps(file))
    say([again.tell(), hashlib.sha256(again.read(100)).hexdigest()])
say(hashlib.sha256(cluster.read("corpus@1/big.bin", 5, -1)).hexdigest())
ranges = [("corpus@1/big.bin", n * 1000, n * 1000 + 10) for n in range(40)]
say(hashlib.sha256(b"".join(cluster.read_ranges(ranges))).hexdigest())
lines = multicloud.open("mc://corpus@1/rows.jsonl")
say(sum(1 for line in io.TextIOWrapper(lines)))
try:
    cluster.open("corpus@1/none")
except multicloud.McError as error:
    say([error.reason, error.next])
"""
    ranges = b"".join(WHOLE[n * 1000 : n * 1000 + 10] for n in range(40))
    assert await person.runs(program) == [
        ["corpus@1"],
        sorted(path.decode() for path in FILES),
        ["shards/0.tar", "shards/1.tar"],
        ["big.bin", "rows.jsonl", "table.md", "shards/", "table/"],
        digest(WHOLE),
        "end",
        [1 << 20, digest(WHOLE[1 << 20 :][:100])],
        digest(WHOLE[5:-1]),
        digest(ranges),
        1000,
        ["NOT_FOUND", "mcctl ls corpus@1"],
    ]


async def test_a_program_with_a_loop_reads_the_same(person: Person) -> None:
    program = """
import asyncio, hashlib, json, multicloud
async def main():
    async with multicloud.connect_async() as cluster:
        print(json.dumps([file.path async for file in cluster.files("corpus@1/table")]))
        data = await cluster.read("corpus@1/big.bin", 1000, 3000)
        print(json.dumps(hashlib.sha256(data).hexdigest()))
asyncio.run(main())
"""
    tables = ["table.md", "table/a.parquet", "table/b.parquet"]
    assert await person.runs(program) == [tables, digest(WHOLE[1000:3000])]


async def test_forked_and_spawned_workers_read_beside_a_parent_that_is_reading(
    person: Person,
) -> None:
    path = person.folder / "workers.py"
    path.write_text("""
import hashlib, json, multicloud, multiprocessing, os, threading
cluster = multicloud.connect()
def read(begin):
    return hashlib.sha256(cluster.read("corpus@1/big.bin", begin)).hexdigest()
def go_on(file):
    return hashlib.sha256(file.read()).hexdigest()
if __name__ == "__main__":
    file = cluster.open("corpus@1/big.bin")
    file.read(300_000), file.read(300_000)  # A stream is open.
    stopping = threading.Event()
    def on_and_on():
        while not stopping.is_set():
            assert read(0) == whole
    whole = read(0)
    reading = threading.Thread(target=on_and_on)
    reading.start()
    for how in ("fork", "spawn"):
        with multiprocessing.get_context(how).Pool(2) as pool:
            print(json.dumps(pool.map(read, [0, 1, 2])), flush=True)
            print(json.dumps(pool.apply(go_on, [file])), flush=True)
    pid = os.fork()
    if pid == 0:
        print(json.dumps(go_on(file)), flush=True)  # The very object, with its stream.
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    stopping.set()
    reading.join()
    print(json.dumps(go_on(file)))
""")
    said = await person.runs(f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')")
    thirds = [digest(WHOLE[begin:]) for begin in range(3)]
    rest = digest(WHOLE[600_000:])
    assert said == [thirds, rest, thirds, rest, rest, rest]
