"""Real processes: forks, leases taken by many, holders that are killed, a clock that is really stepped.

The large versions run in benchmarks/ids.py.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hands import rising

from tenfold import ids

SOURCES = str(Path(ids.__file__).parents[1])


def started(code: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """A Python process on the package; forks of a process with threads are what is tested, so no warning about them."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": SOURCES, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def said(child: "subprocess.Popen[str]") -> list[str]:
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    return out.split()


def test_importing_ids_imports_no_driver_and_nothing_heavy() -> None:
    loaded = set(said(started("import sys; from tenfold import ids; print(*sys.modules, sep='\\n')")))
    assert not loaded & {"asyncio", "sqlite3", "redis", "psycopg", "numpy", "yaml", "click", "tenfold.stores"}


FORKS = """
import os, sys, threading
from tenfold import ids

ours = ids.generator(sys.argv[1])
parts = []

def some():
    parts.append([ours.next() for _ in range(5000)])

threads = [threading.Thread(target=some) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
busy = threading.Thread(target=some)  # forked while another thread is inside
busy.start()
children = []
for _ in range(4):
    reader, writer = os.pipe()
    if not (child := os.fork()):
        made = [ours.next() for _ in range(1000)] + ours.batch(2000)
        os.write(writer, ("\\n".join(map(str, made)) + "\\n").encode())
        ours.close()
        os._exit(0)
    os.close(writer)
    children.append((child, reader))
for child, reader in children:
    parts.append([int(line) for line in os.fdopen(reader)])
    assert os.waitpid(child, 0)[1] == 0
busy.join()
parts.append([ours.next()])
for part in parts:
    print(*part, sep=",")
"""


def test_threads_and_forked_children_of_a_warmed_generator_make_no_id_twice(tmp_path: Path) -> None:
    parts = [[int(id_) for id_ in line.split(",")] for line in said(started(FORKS, f"sqlite:{tmp_path}/workers.db"))]
    assert sorted(len(part) for part in parts) == [1] + [3000] * 4 + [5000] * 9
    assert all(rising(part) for part in parts)
    made = [id_ for part in parts for id_ in part]
    assert len(set(made)) == len(made) == 8 * 5000 + 4 * 3000 + 5000 + 1


def test_a_fork_of_a_fixed_worker_refuses(tmp_path: Path) -> None:
    code = """
import os
from tenfold import UsageError, ids
ours = ids.generator(worker=3)
ours.next()
if not (child := os.fork()):
    for ask in (ours.next, lambda: ours.batch(5)):
        try:
            ask()
        except UsageError as refused:
            assert "forked" in str(refused) and "lease workers" in refused.remedy
        else:
            os._exit(1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
ours.next()
"""
    assert said(started(code)) == []


def test_a_fork_of_a_store_in_memory_refuses() -> None:
    code = """
import os
from tenfold import UsageError, ids
ours = ids.generator("memory:")
ours.next()
if not (child := os.fork()):
    try:
        ours.next()
    except UsageError as refused:
        assert "sqlite:" in refused.remedy
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
"""
    assert said(started(code)) == []


LEASES = """
import sys, time
from tenfold import ids
store, count = ids.lease_store(sys.argv[1], 30_000_000_000), int(sys.argv[2])
print(*(store.acquire(ids.Ask("many", 0, 128, 600_000, "here")).node for _ in range(count)))
"""


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 8), ("postgresql", 4), ("redis", 4)])
def test_processes_lease_every_worker_once_and_no_more(
    kind: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:{tmp_path}/workers.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    elif kind == "redis":
        url = request.getfixturevalue("shared_redis").url
    children = [started(LEASES, url, str(128 // count)) for _ in range(count)]
    nodes = [int(node) for child in children for node in said(child)]
    assert sorted(nodes) == list(range(128))
    with pytest.raises(ids.NoWorkerLeft, match="all 128 workers of 'many' are leased"):
        ids.lease_store(url).acquire(ids.Ask("many", 0, 128, 1000, "here"))


HOLDER = """
import sys, time
from tenfold import ids
ours = ids.generator(sys.argv[1], name="held", worker=0, lease={"ttl": "600 ms", "margin": "100 ms"})
while True:
    print(ours.batch(100)[-1], ours.grant.epoch, flush=True)
    time.sleep(0.02)
"""


def test_a_killed_holder_s_worker_comes_back_after_its_lease_with_a_higher_epoch(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/workers.db"
    child = started(HOLDER, url)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.7)  # longer than the lease: it is renewed
    ours = ids.generator(url, name="held", worker=0)
    with pytest.raises(ids.NoWorkerLeft):
        ours.next()
    killed_ns = time.monotonic_ns()
    child.send_signal(signal.SIGKILL)
    last, epoch = child.communicate()[0].split("\n")[-2].split()
    with pytest.raises(ids.NoWorkerLeft) as refused:
        ours.next()
    time.sleep(refused.value.retry_after_ns / 1e9 + 0.005)
    first = ours.next()
    assert ours.grant is not None
    assert (ours.grant.epoch, epoch) == (2, "1")
    assert first > int(last)
    assert time.monotonic_ns() - killed_ns > 300_000_000  # a third of the lease may have passed when it was killed
    ours.close()


STEPPED = """
import os, sys, time
from tenfold import ids

def step(offset):
    with open(sys.argv[1] + ".next", "w") as target:
        target.write(offset)
    os.replace(sys.argv[1] + ".next", sys.argv[1])

ours = ids.generator(worker=1)
made = ours.batch(100)
step("-0.005s")
time.sleep(0.002)
made += ours.batch(100)
print("small")
step("-5s")
time.sleep(0.002)
try:
    ours.next()
except ids.ClockMovedBackwards as refused:
    print("back" if 4.9e9 < refused.back_ns < 5.1e9 else refused.back_ns)
step("-0.9s")
waiting = ids.generator(worker=2, on_clock_back="wait")
waited = waiting.batch(10)
step("-1.2s")
time.sleep(0.002)
begun = time.monotonic()
waited.append(waiting.next())
print("waited" if 0.2 < time.monotonic() - begun < 5 else time.monotonic() - begun)
step("+0")
made += ours.batch(100)
for part in (made, waited):
    assert sorted(set(part)) == part
print("rising")
"""


@pytest.fixture
def stepped(tmp_path: Path) -> dict[str, str]:
    """Environment of a process whose wall clock is off by what stands in the file `clock`."""
    found = importlib.util.find_spec("libfaketime")
    folder = Path(found.origin).parent if found and found.origin else tmp_path
    library = next(folder.rglob("libfaketime*.so*"), None)
    if library is None:
        pytest.skip("no libfaketime for this machine, and the machine's own clock is not a test's to set")
    (tmp_path / "clock").write_text("+0")
    monotonic = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    clock = {"FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"), "FAKETIME_NO_CACHE": "1"}
    return {"LD_PRELOAD": str(library), **clock, **monotonic}


def test_a_clock_that_is_really_stepped(tmp_path: Path, stepped: dict[str, str]) -> None:
    assert said(started(STEPPED, str(tmp_path / "clock"), **stepped)) == ["small", "back", "waited", "rising"]


RUN = """
import sys
from tenfold import ids
with ids.generator(sys.argv[1], worker=3) as ours:
    try:
        print(ours.batch(100)[-1])
    except ids.ClockMovedBackwards as refused:
        print("refused", round(refused.back_ns / 1e9))
"""


def test_a_second_run_on_a_clock_set_back_by_a_minute_is_refused(tmp_path: Path, stepped: dict[str, str]) -> None:
    url = f"sqlite:{tmp_path}/workers.db"
    (first,) = said(started(RUN, url, **stepped))
    (tmp_path / "clock").write_text("-60s")
    word, back_s = said(started(RUN, url, **stepped))
    assert (word, 50 < int(back_s) <= 60) == ("refused", True)
    (tmp_path / "clock").write_text("+0")
    (third,) = said(started(RUN, url, **stepped))
    assert int(third) > int(first)
