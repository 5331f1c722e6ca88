"""The design file as JSON Schema, for editors: completion, hover, and a first check while typing.

Generated from the same dataclasses the loader fills, so it cannot know less or more than they do. The schema is looser
than the loader: it does not know that a name must exist, only what a name looks like. `patternErrorMessage` is an
extension of yaml-language-server that shows our own sentence.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from tenfold.design.expect import COMPONENT_METRICS, FLOW_METRICS
from tenfold.design.faults import VERBS as FAULTS
from tenfold.design.load import FORMAT
from tenfold.design.policies import ON_FAILURE
from tenfold.design.promises import PERCENTILES
from tenfold.design.requirements import CONSISTENCIES
from tenfold.design.scenario import LOAD_WORDS, STARTS, WARMUP
from tenfold.design.steps import VERBS
from tenfold.fields import key_of, reads_as
from tenfold.settings import NO_LIMIT, OFF, has_off, main_of, show_setting

Schema = dict[str, Any]

_N = r"[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?"
_TIME = r"(ns|us|µs|ms|s|min|h|day|week|month|year|second|minute|hour|days|weeks|months|years|seconds|minutes|hours)"
_BYTES = r"([kKMGTPE]?B|[KMGTPE]iB)"
_LETTER = r"[kKMGT]?"
_PER = rf"(\s*/\s*users?)?(\s*/\s*{_TIME})?"

WRITTEN: Mapping[str, tuple[str, str]] = {
    "duration": (rf"({_N}\s*{_TIME}\s*)+", "a duration with a unit: 5 min, 30 s, 1.2 ms"),
    "size": (rf"{_N}\s*{_BYTES}", "a size with a unit: 480 B, 20 KB (1000), 64 GiB (1024^3)"),
    "rate": (rf"{_N}\s*{_LETTER}\s*/\s*{_TIME}", "a rate: 115k/s, 100M/month"),
    "ratio": (rf"{_N}\s*%", "a percentage: 20%, 99.9%"),
    "factor": (rf"{_N}\s*[xX]?", "a factor: 2x, 1.5x"),
    "count": (rf"{_N}\s*{_LETTER}", "a count: 40, 1.5k, 5M"),
    "number": (rf"{_N}\s*{_LETTER}", "a number: 0.5, 75, 4M"),
    "amount": (rf"{_N}\s*{_LETTER}{_PER}", "how many: 4M, 1/user, 1/user/day, 100M/month"),
    "arrival": (rf"{_N}\s*{_LETTER}(\s*/\s*users?)?\s*/\s*{_TIME}", "how often: 50/user/day, 115k/s, 100M/month"),
}
"""Way of writing -> its pattern and the sentence that explains it."""

_NUMERIC = ("count", "number", "factor", "amount")  # these may be plain YAML numbers
_NAME = "^[A-Za-z_][A-Za-z0-9_-]*$"
_ARROW = r"^\s*\S+\s*->\s*\S+\s*$"


def json_schema(kinds: Mapping[str, Any], policies: Mapping[str, Any]) -> Schema:
    """The schema of a design file.

    Args:
        kinds: the table of component kinds, by name.
        policies: the table of call policies, by name.
    """
    top = {
        "tenfold": {"description": "Format version.", "enum": [int(FORMAT)]},
        "title": _text("What the system is called."),
        "requirements": _requirements(),
        "components": _named({"$ref": "#/$defs/component"}, "The boxes of the design, by name."),
        "flows": _named({"$ref": "#/$defs/flow"}, "Every operation's path through the components."),
        "policies": _policies(policies),
        "slo": _named(_slo(), "What the flows promise."),
        "scenarios": _named(_scenario(), "What happens over time, and what is expected to come of it."),
        "ignore": _list(_ignore(), "Findings the author has decided to live with."),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tenfold design",
        **_object(top, "A system: what it must carry, its components, flows, policies and scenarios."),
        "required": ["tenfold", "components", "flows"],
        "$defs": {
            "component": _component(kinds),
            "flow": _flow(),
            "step": _step(),
            "steps": _list({"$ref": "#/$defs/step"}, "Calls, one after another."),
            "timing": _timing(),
        },
    }


def setting_schema(setting: "Field[Any]") -> Schema:
    """The schema of one setting of a Spec or Config, with its default and where that comes from."""
    metadata = setting.metadata
    choices, written = metadata.get("choices", ()), reads_as(setting)
    description = _described(setting)
    if choices:
        schema: Schema = {"description": description, "enum": list(choices)}
    elif written == "switch":
        schema = {"description": description, "type": "boolean"}
    elif written == "word":
        schema = _text(description)
    else:
        extra = [NO_LIMIT, "-1"] if metadata.get("low") == -1 else list(OFF) if has_off(setting) else []
        schema = _value(written, description, also=extra)
    if setting.default is not MISSING:
        schema["default"] = setting.default if written == "switch" else show_setting(setting, setting.default)
    return schema


def _described(setting: "Field[Any]") -> str:
    """What the editor shows on hover."""
    text = str(setting.metadata.get("doc", ""))
    if setting.default is MISSING:
        return f"{text} Required."
    source = setting.metadata.get("source")
    return f"{text} Default: {show_setting(setting, setting.default)}" + (f" ({source})." if source else ".")


def _value(written: str, description: str, is_range: bool = False, also: list[str] | None = None) -> Schema:
    """A value in one of our ways of writing."""
    one, sentence = WRITTEN[written]
    # In a range the unit may stand once, at the end; the loader says where that is ambiguous.
    pattern = rf"(({_N}[^./]*|{one})\.\.)*{one}" if is_range else one
    if written in ("duration", "size", "ratio"):
        pattern += "|0"
    pattern = "|".join([pattern, *(also or [])])
    example = f"{sentence}, or a range: 80..120" if is_range else sentence
    numbers: Schema = {"type": ["string", "number"], "minimum": -1 if also and "-1" in also else 0}
    if written not in _NUMERIC:
        numbers["maximum"] = 0  # a bare number has no unit
    return {
        "description": description or sentence,
        **numbers,
        "pattern": rf"^\s*({pattern})\s*$",
        "patternErrorMessage": f"write {example}",
    }


def _object(properties: Schema, description: str) -> Schema:
    """A mapping with these keys and no others."""
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }


def _named(schema: Schema, description: str) -> Schema:
    """A mapping from names."""
    return {
        "description": description,
        "type": ["object", "null"],
        "patternProperties": {_NAME: schema},
        "additionalProperties": False,
    }


def _list(items: Schema, description: str) -> Schema:
    """A list."""
    return {"description": description, "type": ["array", "null"], "items": items}


def _text(description: str) -> Schema:
    """Any text; YAML makes numbers and booleans of some."""
    return {"description": description, "type": ["string", "number", "boolean"]}


def _requirements() -> Schema:
    """The section `requirements`."""
    data = _object(
        {
            "size": _value("size", "Size of one item.", is_range=True),
            "count": _value("amount", "How many there are, or come.", is_range=True),
            "keep": _value("duration", "How long an item is kept.", is_range=True),
            "copies": _value("count", "Copies, the original included."),
            "index": _value("ratio", "What indexes add.", is_range=True),
            "backups": _value("count", "Full backups kept besides."),
            "popularity": {
                "description": "How requests choose among the items.",
                "type": "string",
                "pattern": rf"^(uniform|zipf\s+{_N})$",
                "patternErrorMessage": "write uniform, or zipf 0.9",
            },
        },
        "What is stored.",
    )
    keys = {
        "users": _value("number", "Daily active users.", is_range=True),
        "peak": _value("factor", "Busiest second / average second.", is_range=True),
        "headroom": _value("ratio", "Spare on top of the peak."),
        "consistency": {"description": "What readers must see.", "enum": list(CONSISTENCIES)},
        "data": _named(data, "What is stored, by name."),
    }
    return _object(keys, "What the system must carry.")


def _component(kinds: Mapping[str, Any]) -> Schema:
    """A component: its keys depend on its kind."""
    choices = [
        {
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": _object({"kind": {"const": name}} | _settings(kind.Spec), _summary(kind)),
        }
        for name, kind in kinds.items()
    ]
    return {
        "type": "object",
        "properties": {"kind": {"description": "What it is.", "enum": list(kinds)}},
        "required": ["kind"],
        "allOf": choices,
    }


def _settings(cls: type[Any]) -> Schema:
    """The settings of a Spec or Config by key."""
    return {key_of(setting.name): setting_schema(setting) for setting in fields(cls)}


def _summary(module: Any) -> str:
    """The first line of a module's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]


def _flow() -> Schema:
    """A flow."""
    keys = {
        "rate": _value("arrival", "How often it starts.", is_range=True),
        "trigger": _text("The log whose messages start it, once each."),
        "steps": {"$ref": "#/$defs/steps"},
    }
    return _object(keys, "An operation's path: it starts at a rate, or once per message of its trigger.")


def _step() -> Schema:
    """A step."""
    steps = {"$ref": "#/$defs/steps"}
    choice = _object({"weight": _value("ratio", "Share of this branch."), "steps": steps}, "One way to go.")
    keys = {
        **{verb: _text(f"{verb} this component.") for verb in VERBS},
        "parallel": _list(steps, "Branches at the same time: a list of lists of steps."),
        "choose": _list(choice, "One of several branches; the weights make 100%."),
        "cpu": {"$ref": "#/$defs/timing"},
        "takes": {"$ref": "#/$defs/timing"},
        "times": _value("count", "How often, one after another.", is_range=True),
        "hit_ratio": _value("ratio", "How often a get finds what it looks for.", is_range=True),
        "size": _value("size", "Payload on the wire.", is_range=True),
        "errors": _value("ratio", "Share of the calls that fail on their own."),
        "only_present": {"description": "Update what is there, do not create.", "type": "boolean"},
        "data": _text("The data set read or written."),
        "on_miss": steps,
        "steps": steps,
    }
    return _object(keys, "One verb towards one component, or a block.")


def _timing() -> Schema:
    """How long something takes."""
    duration = _value("duration", "A duration.", is_range=True)
    one = _value("duration", "A duration.")
    number = _value("number", "A number.")
    keys = {
        "p50": duration,
        "p99": duration,
        "constant": duration,
        "exponential": duration,
        "uniform": duration,
        "lognormal": _object({"mean": one, "cv": number}, "Mean, and standard deviation / mean."),
        "pareto": _object({"mean": one, "alpha": number}, "Mean and tail index: a heavy tail."),
        "empirical": _text("A file of samples beside the design: one duration or number of ms per line."),
    }
    shape = _object(keys, "A distribution.")
    mean = "The mean of an exponential; or {p50: 8 ms, p99: 45 ms} for a lognormal."
    return {**duration, **shape, "description": mean, "type": ["string", "number", "object"]}


def _policies(policies: Mapping[str, Any]) -> Schema:
    """The section `policies`."""
    keys: Schema = {name: _policy(module) for name, module in policies.items()}
    keys["on_failure"] = {"description": "miss: count a failed read as a miss; skip: go on.", "enum": list(ON_FAILURE)}
    return {
        "description": "What a caller does about a callee that is slow or fails: caller -> callee.",
        "type": ["object", "null"],
        "patternProperties": {_ARROW: _object(keys, "The policies of one arrow.")},
        "additionalProperties": False,
    }


def _policy(module: Any) -> Schema:
    """One policy: a mapping, or a single value for its main setting, or none."""
    mapping = _object(_settings(module.Config), _summary(module))
    main = main_of(module.Config)
    off = {"enum": list(OFF)}
    scalars = [setting_schema(main), off] if main else [off]
    return {"description": _summary(module), "anyOf": [mapping, *scalars]}


def _slo() -> Schema:
    """One flow's promise."""
    keys: Schema = {key: _value("duration", f"{key} of the latency is below this.") for key in PERCENTILES}
    keys["availability"] = _value("ratio", "Share of the requests that succeed.")
    return _object(keys, "What the flow promises.")


def _scenario() -> Schema:
    """One scenario."""
    load = {
        "description": f"{', '.join(LOAD_WORDS)}, a factor of the peak, or factors by time: {{0 min: 1x, 2 min: 3x}}.",
        "type": ["string", "number", "object"],
    }
    metrics = ", ".join([*FLOW_METRICS, *COMPONENT_METRICS])
    keys = {
        "lasts": _value("duration", "How long it lasts."),
        "load": load,
        "faults": _list(_fault(), "What goes wrong."),
        "expect": _list(
            _text(f"recovers within 60 s, or NAME.METRIC < LIMIT; metrics: {metrics}."), "What should come."
        ),
        "warmup": _value("duration", f"Not counted at the start. Default: {WARMUP}."),
        "starts": {
            "description": "Caches at the start: warm, as after hours of this load, or cold: empty. Default: warm.",
            "enum": list(STARTS),
            "default": STARTS[0],
        },
    }
    return _object(keys, "What happens over time.")


def _fault() -> Schema:
    """One fault."""
    keys: Schema = {"at": _value("duration", "When it begins.")}
    keys |= {verb: _text(f"{verb} this component or arrow.") for verb in FAULTS}
    keys |= {
        "by": _value("factor", "How many times slower."),
        "for": _value("duration", "How long it lasts."),
        "share": _value("ratio", "Share of the calls lost."),
        "nodes": _value("count", "Nodes killed; all when left out."),
    }
    return _object(keys, "Something that goes wrong.")


def _ignore() -> Schema:
    """One ignored finding."""
    keys = {
        "rule": {
            "description": "The rule's code.",
            "type": "string",
            "pattern": "^[A-Z]{2,10}[0-9]{1,4}$",
            "patternErrorMessage": "write a rule's code, such as CAP004",
        },
        "at": _text("Where."),
        "because": _text("Why the author lives with it."),
    }
    return {**_object(keys, "A finding the author lives with."), "required": list(keys)}
