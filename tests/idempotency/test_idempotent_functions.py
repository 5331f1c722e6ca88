"""The decorator with a lease: the same outcomes, as exceptions."""

import asyncio

import pytest

from tenfold import CallRejected
from tenfold.idempotency import MemoryStore, StoreUnavailable, idempotent


def test_calls_of_one_key_run_once_and_others_hear_why_not():
    async def main():
        runs = []

        @idempotent(MemoryStore(), key=lambda order, amount=1: order)
        async def charge(order, amount=1):
            runs.append(order)
            await asyncio.sleep(0.02)
            return amount

        results = await asyncio.gather(*(charge("a") for _ in range(3)), return_exceptions=True)
        assert results[0] == 1
        assert [(each.policy, each.reason, each.retry_after_ns) for each in results[1:]] == [
            ("idempotency", "running", 1_000_000_000)
        ] * 2
        with pytest.raises(CallRejected, match="mismatch"):
            await charge("a", amount=2)
        assert (await charge("a"), await charge("b"), runs) == (1, 1, ["a", "b"])

    asyncio.run(main())


def test_what_the_function_raises_gives_the_key_back():
    async def main():
        runs = []

        @idempotent(MemoryStore(), key=lambda: "k")
        async def charge():
            runs.append(1)
            if len(runs) == 1:
                raise ZeroDivisionError
            return len(runs)

        with pytest.raises(ZeroDivisionError):
            await charge()
        assert [await charge(), await charge()] == [2, 2]

    asyncio.run(main())


def test_a_result_that_cannot_be_kept_leaves_the_outcome_unknown_never_absent():
    async def main():
        @idempotent(MemoryStore(), key=lambda: "k", lease="100 ms")
        async def charge():
            return object()

        with pytest.raises(TypeError):
            await charge()
        with pytest.raises(CallRejected, match="running"):
            await charge()
        await asyncio.sleep(0.12)
        with pytest.raises(CallRejected, match="unknown"):
            await charge()

    asyncio.run(main())


def test_a_result_the_store_does_not_take_is_still_the_callers():
    class Away(MemoryStore):
        async def complete(self, ask, response):
            raise StoreUnavailable("away")

    async def main():
        @idempotent(Away(), key=lambda: "k")
        async def charge():
            return 1

        assert await charge() == 1

    asyncio.run(main())


def test_two_functions_with_one_key_have_nothing_to_do_with_each_other():
    async def main():
        store = MemoryStore()

        @idempotent(store, key=lambda: "k")
        async def charge():
            return "charged"

        @idempotent(store, key=lambda: "k")
        async def refund():
            return "refunded"

        assert [await charge(), await refund(), await charge()] == ["charged", "refunded", "charged"]

    asyncio.run(main())
