"""What the kernels' text must and must not contain, and tables that must be complete."""

import ast
import dataclasses
import inspect
import pathlib
import pkgutil

import pytest

from tenfold.policies import call
from tenfold.policies.cache import freshness
from tenfold.policies.call import CALL_POLICIES, ring
from tenfold.policies.call.call import Call

FAMILIES = (*CALL_POLICIES, freshness)
FORBIDDEN = (ast.Raise, ast.Try, ast.With, ast.Set, ast.SetComp, ast.Dict, ast.List, ast.JoinedStr, ast.Pow, ast.Lambda)
KERNELS = list(dict.fromkeys(kernel for module in FAMILIES for kernel in module.KERNELS))


def parsed(kernel):
    function = ast.parse(inspect.getsource(kernel)).body[0]
    if isinstance(function.body[0], ast.Expr) and isinstance(function.body[0].value, ast.Constant):
        function.body = function.body[1:]
    function.returns, function.args = None, ast.arguments([], [], None, [], [], None, [])
    return function


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.__module__}.{kernel.__name__}")
def test_kernel_uses_only_numbers_branches_and_fields(kernel):
    for node in ast.walk(parsed(kernel)):
        assert not isinstance(node, FORBIDDEN), ast.unparse(node)
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, int | float), f"{node.value!r} in a kernel"


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.__module__}.{kernel.__name__}")
def test_kernel_explains_itself_and_is_short(kernel):
    assert kernel.__doc__
    assert len(inspect.getsource(kernel).splitlines()) <= 40


@pytest.mark.parametrize("module", [*FAMILIES, ring], ids=lambda module: module.__name__)
def test_every_function_of_a_policy_is_a_kernel_and_stands_after_those_it_calls(module):
    functions = [
        value for value in vars(module).values() if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    own = [kernel for kernel in module.KERNELS if kernel.__module__ == module.__name__]
    assert set(functions) == set(own)
    names = [kernel.__name__ for kernel in own]
    for place, kernel in enumerate(own):
        called = {node.id for node in ast.walk(parsed(kernel)) if isinstance(node, ast.Name)}
        assert not called & set(names[place:]), kernel


@pytest.mark.parametrize("policy", CALL_POLICIES, ids=lambda policy: policy.NAME)
def test_policy_says_truly_which_verbs_look_at_the_dice(policy):
    looking = [verb for verb in ("acquire", "record") if "draw" in ast.unparse(parsed(getattr(policy, verb)))]
    assert tuple(looking) == policy.DICE


def test_every_file_of_call_policies_is_in_the_table():
    files = {name for _, name, _ in pkgutil.iter_modules(call.__path__)} - {"call", "counts", "ring"}
    assert files == {policy.NAME for policy in CALL_POLICIES}
    assert list(call.CALL_POLICIES_BY_NAME) == [policy.NAME for policy in CALL_POLICIES]


@pytest.mark.parametrize("module", FAMILIES, ids=lambda module: module.__name__)
def test_every_setting_is_described_and_every_default_has_its_source(module):
    for field in dataclasses.fields(module.Config):
        assert field.metadata["doc"].endswith("."), field.name
        assert field.default is dataclasses.MISSING or field.metadata["source"], field.name
        assert field.metadata["choices"] or field.type is bool or field.metadata["high"] is not None, field.name


@pytest.mark.parametrize("cls", [Call, freshness.Entry, *(policy.State for policy in CALL_POLICIES)], ids=str)
def test_what_policies_remember_is_flat_integers_in_slots(cls):
    assert all(field.type is int for field in dataclasses.fields(cls))
    assert "__slots__" in vars(cls)


def test_policies_stay_small_files():
    for path in pathlib.Path(call.__file__).parent.parent.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
