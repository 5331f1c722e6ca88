"""The JSON Schema for editors, and the file to start from."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import SMALL, TEXT, changed, mistakes_in, read

from tenfold import systems
from tenfold.design.load import SECTIONS
from tenfold.design.schema_json import json_schema
from tenfold.design.template import template
from tenfold.fields import key_of
from tenfold.kinds import KINDS
from tenfold.policies.call import CALL_POLICIES_BY_NAME
from tenfold.settings import parse_setting, show_setting

SCHEMA = json_schema(KINDS, CALL_POLICIES_BY_NAME)
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
}
CONFIGS = [(name, module.Config) for name, module in CALL_POLICIES_BY_NAME.items()]
SETTINGS = [
    (f"{name}.{setting.name}", setting)
    for name, cls in [*((name, kind.Spec) for name, kind in KINDS.items()), *CONFIGS]
    for setting in fields(cls)
]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """The part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema and not any(fits(value, option) for option in schema["anyOf"]):
        return False
    if not all(fits(value, rule["then"]) for rule in schema.get("allOf", ()) if fits(value, rule["if"])):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    return has_type(value, schema) and inside_fits(value, schema)


def has_type(value: Any, schema: dict[str, Any]) -> bool:
    named = schema.get("type", [])
    names = [named] if isinstance(named, str) else named
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    allowed = [kind for name in names for kind in TYPES[name]]
    if names and not (bool in allowed if isinstance(value, bool) else isinstance(value, tuple(allowed))):
        return False
    if is_number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    return not isinstance(value, str) or bool(re.search(schema.get("pattern", ""), value))


def inside_fits(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, list):
        return all(fits(item, schema.get("items", {})) for item in value)
    if not isinstance(value, dict):
        return True
    if not set(schema.get("required", ())) <= value.keys():
        return False
    for key, item in value.items():
        patterns = [rule for pattern, rule in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        rules = [*patterns, *([schema["properties"][key]] if key in schema.get("properties", {}) else [])]
        if not rules and schema.get("additionalProperties") is False:
            return False
        if not all(fits(item, rule) for rule in rules):
            return False
    return True


def as_editor(text: str) -> Any:
    """The file as an editor's YAML 1.2 reader sees it: core types only, keys as texts."""
    return yaml.load(text, Loader=Core)  # noqa: S506 -- a safe loader with fewer types


class Core(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"~|null|^$"), ["~", "n", ""])
Core.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?[0-9]+$"), list("-0123456789"))
Core.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"-?[0-9]+\.[0-9]+$"), list("-0123456789"))

GOOD = {"sample": TEXT, "small": SMALL, "template": template("A shop")} | {
    name: systems.design_path(name).read_text() for name in systems.names()
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_good_designs_fit_the_schema(text: str) -> None:
    assert mistakes_in(text) == ()
    assert fits(as_editor(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        changed("users: 1M", "users: 5m"),
        changed("cpu: 1 ms", "cpu: 1"),
        changed("kind: log", "kind: lag"),
        changed("db: {kind: postgres}", "db: {kind: postgres, pol: 3}"),
        changed("rate: 10/user/day", "rate: 10"),
        changed("query: db", "qery: db"),
        changed("flows:", "flow:"),
        SMALL + "policies: {api -> db: {timeout: 5}}\n",
        SMALL + "policies: {api to db: {timeout: 5 s}}\n",
        SMALL + "policies: {api -> db: {retry: {attempt: 5}}}\n",
        SMALL + "slo: {read: {p98: 5 s}}\n",
        SMALL + "ignore: [{rule: CAP004, at: lb}]\n",
    ],
)
def test_bad_designs_do_not(text: str) -> None:
    assert mistakes_in(text)
    assert not fits(as_editor(text), SCHEMA)


def test_the_schema_is_plain_json_and_knows_every_section() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert set(SCHEMA["properties"]) == set(SECTIONS)


def test_every_setting_is_there_with_its_description_and_default() -> None:
    kinds = {rule["then"]["properties"]["kind"]["const"]: rule["then"] for rule in component_rules()}
    assert set(kinds) == set(KINDS)
    for name, kind in KINDS.items():
        for setting in fields(kind.Spec):
            schema = kinds[name]["properties"][key_of(setting.name)]
            assert setting.metadata["doc"] in schema["description"]
            assert schema["default"] == show_setting(setting, setting.default) or isinstance(schema["default"], bool)


def component_rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = SCHEMA["$defs"]["component"]["allOf"]
    return rules


def test_choices_are_offered_and_patterns_explained() -> None:
    service = next(rule["then"] for rule in component_rules() if rule["if"]["properties"]["kind"]["const"] == "service")
    assert "two_choices" in service["properties"]["balance"]["enum"]
    assert "5 min" in service["properties"]["latency"]["patternErrorMessage"]


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_every_default_can_be_written_in_the_file(name: str, setting: Any) -> None:
    if isinstance(setting.default, str | bool | int | float) and setting.default != "":
        assert parse_setting(setting, show_setting(setting, setting.default)) == setting.default, name


def test_the_template_is_a_design_that_teaches() -> None:
    text = template("Corner shop")
    design = read(text)
    assert design.title == "Corner shop"
    assert len(design.scenarios) == 1
    assert text.startswith("# yaml-language-server: $schema=.tenfold/schema.json\n")
    assert max(map(len, text.splitlines())) <= 120


@settings(derandomize=True)
@given(st.text(max_size=60) | st.sampled_from(["no", "null", "a: b", "it's", "# x", "- x", '"', "5:30", "{", "\ud800"]))
def test_any_title_gives_a_valid_file(title: str) -> None:
    assert read(template(title)).title
