"""The published reference: up to date, complete, and true of what the codec writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from inspect import get_annotations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import inspect
from referencing import Registry, Resource

from runner_shell.protocol import (
    asyncapi,
    catalogue,
    codec,
    commands,
    docstrings,
    events,
    frames,
    generated,
    reference,
    schema,
)

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
TIME = "2026-11-21T10:00:00.000+00:00"

STRUCTS = [
    cls
    for module in (events, commands, frames)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, msgspec.Struct) and cls is not msgspec.Struct
]

Document = dict[str, Any]


def validator(document: Document) -> Draft202012Validator:
    """A validator that finds the other files by their names, and nothing on a network."""
    documents = (schema.events_schema(), schema.commands_schema(), schema.frames_schema())
    registry: Registry[Any] = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in documents]
    )
    return Draft202012Validator(document, registry=registry)


def sample(kind: inspect.Type) -> Any:
    """A value of this type that is no field's default."""
    match kind:
        case inspect.AnyType():
            return {"any": [None, True, 1, 0.5, "é", {}]}
        case inspect.StructType(cls=cls):
            return filled(cls)
        case inspect.LiteralType(values=allowed):
            return allowed[-1]
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return (sample(item),)
        case inspect.DictType(value_type=value):
            return {"key": sample(value)}
        case inspect.UnionType(types=types):
            return sample(next(t for t in types if not isinstance(t, inspect.NoneType)))
        case _:
            scalars: dict[type[inspect.Type], Any] = {
                inspect.BoolType: True,
                inspect.FloatType: 0.5,
                inspect.IntType: 3,
                inspect.StrType: "text",
            }
            return scalars[type(kind)]


def filled(cls: type[msgspec.Struct]) -> Any:
    """An instance with every field filled."""
    return cls(**{f.name: sample(f.type) for f in docstrings.struct_type(cls).fields})


def bare(cls: type[msgspec.Struct]) -> Any:
    """An instance with nothing but the required fields."""
    fields = docstrings.struct_type(cls).fields
    return cls(**{f.name: sample(f.type) for f in fields if f.required})


def encoded(event: events.Event | events.UnknownEvent) -> Any:
    """An event as it is stored, read by another JSON library."""
    return json.loads(codec.number(codec.encode_payload(event), seq=1, time=TIME, turn="t1"))


def objects(node: Any) -> Iterator[Document]:
    """Every JSON object in a document."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from objects(child)


def references(document: Document) -> Iterator[str]:
    """Every `$ref` in a document."""
    return (node["$ref"] for node in objects(document) if isinstance(node.get("$ref"), str))


def resolve(document: Any, ref: str) -> Any:
    """What a reference within the document points to."""
    assert ref.startswith("#/"), f"{ref} leads out of the document"
    for step in ref[2:].split("/"):
        document = document[step]
    return document


# --- the files -------------------------------------------------------------------------------


def test_committed_reference_is_up_to_date() -> None:
    """docs/reference says what the code says; `make docs-reference` writes it anew."""
    assert generated.outdated(reference.files(), FOLDER) == []


def test_reference_is_the_same_each_time(tmp_path: Path) -> None:
    """Two processes with different hash seeds write the same bytes, a newline at the end."""
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "runner_shell.protocol.reference", str(tmp_path / seed)],
            env={"PYTHONHASHSEED": seed},
            check=True,
            timeout=60,
        )
    written = {path.name: path.read_bytes() for path in (tmp_path / "1").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "2").iterdir()}
    assert written.keys() == reference.files().keys()
    assert all(text.endswith(b"\n") and not text.endswith(b"\n\n") for text in written.values())


def test_check_names_every_file_that_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing, names what differs or is missing, and says what to run."""
    assert reference.main([str(tmp_path)]) == 0
    assert reference.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "protocol.md").write_text("by hand")
    (tmp_path / "asyncapi.json").unlink()
    assert reference.main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "protocol.md" in said
    assert "asyncapi.json" in said
    assert "events.schema.json" not in said
    assert "make docs-reference" in said
    assert (tmp_path / "protocol.md").read_text() == "by hand"


def test_start_path_does_not_import_the_generator() -> None:
    """The codec is loaded without any part of the reference."""
    generator = ("docstrings", "schema", "asyncapi", "reference")
    code = (
        "import sys, runner_shell.protocol.codec\n"
        f"print([n for n in {generator} if 'runner_shell.protocol.' + n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- complete --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", STRUCTS, ids=lambda cls: cls.__name__)
def test_every_struct_and_field_is_described(cls: type[msgspec.Struct]) -> None:
    """Each struct has a docstring, and each of its fields, and only those, a description."""
    own = set(get_annotations(cls))
    assert docstrings.summary(cls)
    assert docstrings.attributes(cls, own).keys() == own


def test_missing_or_stale_description_is_an_error() -> None:
    """A field nobody described, or a description of no field, stops the generator."""

    class Missing(msgspec.Struct):
        """One."""

        colour: str

    class Stale(msgspec.Struct):
        """One.

        Attributes:
            colour: Red or blue.
            size: In bytes.
        """

        colour: str

    with pytest.raises(ValueError, match="Missing: 'Attributes:' lacks colour"):
        docstrings.fields(Missing)
    with pytest.raises(ValueError, match="Stale: 'Attributes:' has size"):
        docstrings.fields(Stale)


def test_description_may_take_several_lines() -> None:
    """A description over several lines is one text, and the next one is another."""
    described = {field.name: field.description for field in docstrings.fields(events.CommandFailed)}
    assert described["code"].startswith("A stable word: not_supported,")
    assert described["code"].endswith("ending or failed.")
    assert described["message"] == "What happened and what to do, for a person."


@pytest.mark.parametrize(
    "make", [schema.events_schema, schema.commands_schema, schema.frames_schema]
)
def test_every_property_in_the_schema_is_described(make: Callable[[], Document]) -> None:
    """Whoever reads only the schema finds each field's meaning in it."""
    for name, definition in make()["$defs"].items():
        for field, property_ in definition.get("properties", {}).items():
            assert property_.get("description"), f"{name}.{field}"


def test_page_has_every_name() -> None:
    """The page for people names every event, command, frame, close code and reserved name."""
    page = reference.page()
    names = [
        *catalogue.EVENTS,
        *catalogue.COMMANDS,
        *catalogue.RUNNER_FRAMES,
        *catalogue.GATEWAY_FRAMES,
        *catalogue.RESERVED_EVENTS,
        *catalogue.RESERVED_COMMANDS,
        *reference.close_codes(),
        "secret.add",
    ]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_links_of_the_page_lead_somewhere() -> None:
    """Every link on the page names a heading of it or a file beside it."""
    page = reference.page()
    headings = [line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("#")]
    anchors = {
        "#" + "".join(c for c in heading if c.isalnum() or c in " -_").replace(" ", "-")
        for heading in headings
    }
    targets = {rest.partition(")")[0] for rest in page.split("](")[1:]}
    assert targets <= anchors | reference.files().keys()


def test_no_payload_hides_the_envelope() -> None:
    """No event has a field of its own with the name of one of the envelope's."""
    envelope = {field.name for field in docstrings.fields(events.Envelope)} - {"scope"}
    hidden = {
        f"{name}: {field.name}"
        for name, row in catalogue.EVENTS.items()
        for field in docstrings.fields(row.struct)
        if field.name in envelope
    }
    assert hidden == set()


# --- true ------------------------------------------------------------------------------------


@pytest.mark.slow  # the dialect's own schema takes `jsonschema` seconds
@pytest.mark.parametrize(
    "make", [schema.events_schema, schema.commands_schema, schema.frames_schema]
)
def test_schemas_are_valid_schemas(make: Callable[[], Document]) -> None:
    """Each file is a JSON Schema of the dialect that it names."""
    Draft202012Validator.check_schema(make())


@pytest.mark.parametrize(
    "make", [schema.events_schema, schema.commands_schema, schema.frames_schema]
)
def test_references_of_schemas_resolve(make: Callable[[], Document]) -> None:
    """Each reference in a file leads to a definition there or to another of the files."""
    document, files = make(), reference.files()
    for ref in references(document):
        assert ref in files or resolve(document, ref)


@pytest.mark.parametrize("fill", [filled, bare])
@pytest.mark.parametrize("name", catalogue.EVENTS)
def test_every_encoded_event_fits_the_schema(name: str, fill: Callable[[type], Any]) -> None:
    """What the shell writes is what the schema says, with all of its fields or the fewest."""
    row = catalogue.EVENTS[name]
    document = schema.events_schema()
    event = encoded(fill(row.struct))
    validator(document).validate(event)
    own = document["$defs"][schema.definition_name(row.struct)]
    assert own["properties"]["type"]["const"] == name
    assert own["x-tier"] == row.tier
    assert event.keys() <= own["properties"].keys()


@pytest.mark.parametrize("name", catalogue.EVENTS)
def test_event_with_a_missing_or_wrong_field_does_not_fit(name: str) -> None:
    """The schema refuses an event without a required field, or with one of a wrong type."""
    document = schema.events_schema()
    check = validator(document)
    own = document["$defs"][schema.definition_name(catalogue.EVENTS[name].struct)]
    event = encoded(filled(catalogue.EVENTS[name].struct))
    for field in own["required"]:
        lacking = {key: value for key, value in event.items() if key != field}
        assert not check.is_valid(lacking), field
    assert not check.is_valid(event | {"seq": "one"})
    assert not check.is_valid(event | {"scope": [1]})


def test_unknown_event_fits_the_schema() -> None:
    """A type that nobody knows is allowed, with its envelope and any fields."""
    check = validator(schema.events_schema())
    event = encoded(events.UnknownEvent(type="new.thing", fields={"a": [1]}, scope=("x",)))
    check.validate(event)
    del event["seq"]
    assert not check.is_valid(event)


def test_newer_field_fits_the_schema() -> None:
    """A known event with one more field than this version knows is allowed."""
    event = encoded(events.Log(message="hi")) | {"colour": "red"}
    validator(schema.events_schema()).validate(event)


@pytest.mark.parametrize("fill", [filled, bare])
@pytest.mark.parametrize("name", schema.READABLE_COMMANDS)
def test_every_encoded_command_fits_the_schema(name: str, fill: Callable[[type], Any]) -> None:
    """Each command as it is sent is what the schema says."""
    command = json.loads(codec.encode_command(fill(schema.READABLE_COMMANDS[name])))
    assert command["type"] == name
    validator(schema.commands_schema()).validate(command)


@pytest.mark.parametrize("name", catalogue.RESERVED_COMMANDS)
def test_reserved_command_fits_the_schema(name: str) -> None:
    """A command that this version does not carry out is allowed, with any fields."""
    command = {"type": name, "id": "c1", "seq": 1, "anything": {}}
    validator(schema.commands_schema()).validate(command)


@pytest.mark.parametrize("fill", [filled, bare])
@pytest.mark.parametrize("name", [n for n in schema.FRAMES if n not in ("events", "commands")])
def test_every_encoded_frame_fits_the_schema(name: str, fill: Callable[[type], Any]) -> None:
    """Each frame as it is sent is what the schema says."""
    frame = json.loads(codec.encode_frame(fill(schema.FRAMES[name])))
    validator(schema.frames_schema()).validate(frame)


def test_members_of_a_frame_must_fit_their_own_schema() -> None:
    """The schema of a frame looks into the events and commands that it carries."""
    event = codec.number(codec.encode_payload(events.Log(message="")), seq=1, time=TIME, turn="")
    command = codec.encode_command(commands.SessionEnd(id="c1", seq=1))
    check = validator(schema.frames_schema())
    check.validate(json.loads(codec.join_events([event, event])))
    check.validate(json.loads(codec.join_commands([command])))
    assert not check.is_valid({"frame": "events", "events": [{"seq": 1}]})
    assert not check.is_valid({"frame": "commands", "commands": [{"seq": 1}]})


# --- AsyncAPI --------------------------------------------------------------------------------


def test_asyncapi_has_what_the_standard_requires() -> None:
    """The document has AsyncAPI 3.0's required parts and the project's one channel."""
    document = asyncapi.document()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"]
    assert document["info"]["version"]
    channel = document["channels"]["runner"]
    assert channel["address"] == "/sessions/{session}/runner"
    assert channel["parameters"].keys() == {"session"}
    subprotocol = channel["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"]
    assert subprotocol["const"] == frames.SUBPROTOCOL
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"] == {"$ref": "#/channels/runner"}
        # The standard: an operation's messages are references to its channel's, never to others.
        assert all(
            message["$ref"].startswith("#/channels/runner/messages/")
            for message in operation["messages"]
        )


def test_asyncapi_is_self_contained() -> None:
    """Every reference leads to something in the document itself."""
    document = asyncapi.document()
    for ref in references(document):
        assert resolve(document, ref)


def test_asyncapi_operations_carry_the_catalogues_frames() -> None:
    """What the runner sends and receives is what the table of frames says, payload for payload."""
    document = asyncapi.document()
    for operation, table in (
        ("runnerSends", catalogue.RUNNER_FRAMES),
        ("runnerReceives", catalogue.GATEWAY_FRAMES),
    ):
        found = {}
        for message in document["operations"][operation]["messages"]:
            in_channel = resolve(document, message["$ref"])
            body = resolve(document, in_channel["$ref"])
            payload = resolve(document, body["payload"]["$ref"])
            found[body["name"]] = payload["properties"]["frame"]["const"]
        assert found == {name: name for name in table}


def test_asyncapi_schemas_hold_in_its_older_dialect() -> None:
    """Nothing stands beside a reference, where AsyncAPI's own dialect would overlook it."""
    for node in objects(asyncapi.document()):
        assert "$ref" not in node or len(node) == 1, node
