"""Ids: how fast, how unique, and what leases cost: every figure against what is required of it, and peers beside it.

Run it from a checkout: `uv run --group peers python benchmarks/ids.py` (`--json` for machines). Exits 1 when a
requirement is missed. Times are CPU ns of this process (the least of several rounds, so that other work on the machine
counts little); counts are of real threads, forks, processes and servers.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tenfold import ids

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from servers import postgres_server, redis_server

SINGLE_NS, BATCH_NS = 700, 60
ROUNDS, CALLS = 9, 100_000
THREADS, PER_THREAD = 8, 250_000
CHILDREN, PER_CHILD = 4, 50_000
WORKERS, PROCESSES = 1024, 8


@dataclass(frozen=True)
class Figure:
    """One line of the table. `required` is None for what is only reported; `sign` says which way it counts."""

    name: str
    measured: float
    unit: str
    required: float | None = None
    sign: str = "<="

    @property
    def is_met(self) -> bool:
        """Whether the requirement, if there is one, is met."""
        if self.required is None:
            return True
        tests = {"<=": float.__le__, ">=": float.__ge__, "=": float.__eq__}
        return tests[self.sign](float(self.measured), float(self.required))


# Speed.


def cpu_ns(call: Callable[[], object], calls: int = CALLS) -> float:
    """CPU ns of one call: the least of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time_ns() - begun) / calls)
    return best


def peers() -> dict[str, Callable[[], object]]:
    """One id of every peer."""
    import ulid
    import ulid_transform
    import uuid_utils
    from snowflake import SnowflakeGenerator

    return {
        "snowflake-id": SnowflakeGenerator(42).__next__,
        "uuid-utils v7 (Rust)": uuid_utils.uuid7,
        "ulid-transform (C++)": ulid_transform.ulid_now,
        "uuid4": uuid.uuid4,
        "python-ulid": ulid.ULID,
    }


def speed() -> Iterator[Figure]:
    """One id and a thousand, beside what others take."""
    ours = ids.generator(worker=1)
    single = cpu_ns(ours.next)
    yield Figure("next()", single, "ns", SINGLE_NS)
    yield Figure("batch(1000), per id", cpu_ns(lambda: ours.batch(1000), 500) / 1000, "ns", BATCH_NS)
    with tempfile.TemporaryDirectory() as folder, ids.generator(f"sqlite:{folder}/workers.db") as leased:
        yield Figure("next() on a lease", cpu_ns(leased.next), "ns", SINGLE_NS)
    yield Figure("to_base62", cpu_ns(lambda: ids.to_base62(251_009_361_462_177_796)), "ns")
    yield Figure("from_base62", cpu_ns(lambda: ids.from_base62("0IXcmZLG5xs")), "ns")
    for name, call in peers().items():
        theirs = cpu_ns(call, CALLS // 4)
        yield Figure(f"{name}", theirs, "ns")
        yield Figure(f"{name}: next() takes times as long", single / theirs, "x")


def flat_out() -> Iterator[Figure]:
    """A million ids as fast as they come: how far they run ahead, and the rate per worker."""
    ours, ahead = ids.generator(worker=1), 0
    begun = time.perf_counter()
    for _ in range(1000):
        ours.batch(1000)
        ahead = max(ahead, ours.ahead_ms)
    took_s = time.perf_counter() - begun
    yield Figure("1 M ids flat out, furthest ahead of the clock", ahead, "ms", 10)
    yield Figure("1 M ids flat out, rate", 1e6 / took_s, "/s", 4_096_000 * 1.05)


# Uniqueness.


def storm() -> Iterator[Figure]:
    """Threads on one generator, then forks of it while it is warm."""
    with tempfile.TemporaryDirectory() as folder, ids.generator(f"sqlite:{folder}/workers.db") as ours:
        parts: list[list[int]] = []
        run_threads(THREADS, lambda: parts.append([ours.next() for _ in range(PER_THREAD)]))
        for reader in [forked(ours) for _ in range(CHILDREN)]:
            with os.fdopen(reader, "rb") as stream:
                text = stream.read()
            parts.append([int.from_bytes(text[at : at + 8], "big") for at in range(0, len(text), 8)])
        for _ in range(CHILDREN):
            os.wait()
    made = sum(map(len, parts))
    yield Figure("ids of 8 threads and 4 forked children", made, "", THREADS * PER_THREAD + CHILDREN * PER_CHILD, "=")
    yield Figure("ids that came twice", made - len(set().union(*parts)), "", 0, "=")
    yield Figure(
        "threads and children whose ids do not rise", sum(part != sorted(set(part)) for part in parts), "", 0, "="
    )


def run_threads(count: int, call: Callable[[], None]) -> None:
    """Run a call in several threads at once."""
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def forked(ours: ids.IdGenerator) -> int:
    """Fork a child that makes ids; where to read them, 8 bytes each."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the lease's thread runs: that is what is tested
        child = os.fork()
    if not child:
        with os.fdopen(writer, "wb") as stream:
            for _ in range(PER_CHILD):
                stream.write(ours.next().to_bytes(8, "big"))
        os._exit(0)
    os.close(writer)
    return reader


# Leases.


@contextmanager
def stores() -> Iterator[dict[str, str]]:
    """Lease stores that processes share: name -> URL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "postgres").mkdir()
        yield {
            "SQLite": f"sqlite:{folder}/workers.db",
            "PostgreSQL": stack.enter_context(postgres_server(folder / "postgres")),
            "Redis": stack.enter_context(redis_server(folder)).url,
        }


def taken(url: str, count: int) -> list[int]:
    """Lease so many nodes; in a process of its own."""
    store = ids.lease_store(url, 60_000_000_000)
    return [store.acquire(ids.Ask("many", 0, WORKERS, 600_000, "benchmark")).node for _ in range(count)]


def leases(name: str, url: str) -> Iterator[Figure]:
    """1,024 leases by 8 processes, the 1,025th, and what a lease and a renewal take."""
    begun = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        parts = pool.starmap(taken, [(url, WORKERS // PROCESSES)] * PROCESSES, chunksize=1)
    yield Figure(f"{name}: 1,024 leases by 8 processes", time.perf_counter() - begun, "s")
    nodes = {node for part in parts for node in part}
    yield Figure(f"{name}: different workers among them", len(nodes), "", WORKERS, "=")
    yield Figure(f"{name}: the 1,025th is refused", is_refused(url), "", 1, "=")
    store = ids.lease_store(url)
    lease = store.acquire(ids.Ask("one", 0, 1, 600_000, "benchmark"))
    yield Figure(f"{name}: a renewal, CPU", cpu_ns(lambda: store.renew(lease), 20) / 1e6, "ms")


def is_refused(url: str) -> int:
    """Whether another lease is a clear error."""
    try:
        taken(url, 1)
    except ids.NoWorkerLeft:
        return 1
    return 0


def hold(url: str, told: "multiprocessing.connection.Connection") -> None:
    """Make ids on a short lease until killed, and tell the newest."""
    ours = ids.generator(url, name="held", worker=0, lease={"ttl": "1 s", "margin": "100 ms"})
    while True:
        told.send(ours.batch(1000)[-1])


def killed(name: str, url: str) -> Iterator[Figure]:
    """kill -9 of a holder: when its worker comes back, and whether above all it made."""
    spawn = multiprocessing.get_context("spawn")
    reader, writer = spawn.Pipe(duplex=False)
    child = spawn.Process(target=hold, args=(url, writer))
    child.start()
    writer.close()
    last, until = reader.recv(), time.monotonic() + 2
    while time.monotonic() < until:
        last = reader.recv()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    begun = time.monotonic()
    try:
        while True:
            last = reader.recv()
    except EOFError:
        child.join()
    ours = ids.generator(url, name="held", worker=0)
    first = first_id(ours)
    yield Figure(f"{name}: kill -9, the worker comes back after (lease 1 s)", time.monotonic() - begun, "s", 0.6, ">=")
    yield Figure(
        f"{name}: above all it made, with a higher epoch", int(first > last and ours.grant.epoch == 2), "", 1, "="
    )
    ours.close()


def first_id(ours: ids.IdGenerator) -> int:
    """The first id, as soon as there is a worker."""
    while True:
        try:
            return ours.next()
        except ids.NoWorkerLeft:
            time.sleep(0.01)


def measured() -> list[Figure]:
    """Every figure, in the order of the table."""
    figures = [*speed(), *flat_out(), *storm()]
    with stores() as urls:
        for name, url in urls.items():
            figures += [*leases(name, url), *killed(name, url)]
    return figures


def table(figures: list[Figure]) -> str:
    """The figures as text: required, measured, verdict."""
    lines = [f"{'':58} {'required':>14} {'measured':>12}  verdict"]
    for figure in figures:
        required = "" if figure.required is None else f"{figure.sign} {shown(figure.required)}"
        verdict = "" if figure.required is None else ("ok" if figure.is_met else "MISSED")
        lines.append(f"{figure.name:58} {required:>14} {shown(figure.measured):>12}  {figure.unit:3} {verdict}")
    return "\n".join(lines)


def shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def main() -> int:
    """Measure, print, and say by the exit code whether everything required is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    figures = measured()
    if options.json:
        print(json.dumps([{**asdict(figure), "is_met": figure.is_met} for figure in figures], indent=1))
    else:
        print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
