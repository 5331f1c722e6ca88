"""Both pipelines, with a listener and without: without one, a call without trouble takes a short way of its own."""

import functools

import pytest
from shells import AsyncCase, ThreadCase

SHELLS = [(shell, traced) for shell in (AsyncCase, ThreadCase) for traced in (False, True)]


@pytest.fixture(params=SHELLS, ids=[f"{shell.NAME}{'-told' * traced}" for shell, traced in SHELLS])
def make(request):
    """Makes a case of one shell."""
    shell, traced = request.param
    return functools.partial(shell, traced=traced)
