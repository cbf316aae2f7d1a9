"""Is an answer what schemas/openapi.yaml says of it? The part of JSON Schema that is used there, and one rule more: a member
that the schema does not name is a finding, so that nothing is answered that is not documented."""
import json
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}
FORMATS = {
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
}
KNOWN = {"type", "enum", "const", "properties", "required", "additionalProperties", "propertyNames", "items", "oneOf", "allOf", "$ref",
         "format", "pattern", "description", "default", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
         "minProperties", "maxProperties"}


def load():
    with open(f"{TOP}/schemas/openapi.yaml", encoding="utf-8") as file:
        return json.loads("".join(line for line in file if not line.startswith("#")))


class Contract:
    def __init__(self):
        self.document = load()
        self.seen = set()  # (path, method, status) that were checked

    def schema_of(self, path, method, status):
        """(template, schema) of an answer; None where nothing is written."""
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
                answer = operations[method.lower()]["responses"].get(str(status))
                if not answer:
                    return template, None
                return template, answer.get("content", {}).get("application/json", {}).get("schema")
        return None, None

    def answer(self, path, method, status, value):
        """What is wrong with it, as a list of sentences."""
        path = path.split("?")[0]
        template, schema = self.schema_of(path, method, status)
        if template is None:
            return []  # asked for what does not exist
        if schema is None:
            return [f"{method} {template}: no schema of an answer {status}"]
        self.seen.add((template, method, status))
        return [f"{method} {template} {status}: {line}" for line in self.wrong(schema, value, "answer")]

    def named(self, name, value):
        return self.wrong(self.document["components"]["schemas"][name], value, name)

    def wrong(self, schema, value, where):
        unknown = set(schema) - KNOWN
        if unknown:
            return [f"{where}: the schema uses {sorted(unknown)}, which this reader does not know"]
        if "$ref" in schema:
            return self.wrong(self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], value, where)
        if "allOf" in schema:  # members of all of them
            merged = {"type": "object", "properties": {}, "required": []}
            for part in schema["allOf"]:
                if "$ref" in part:
                    part = self.document["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
                merged["properties"].update(part.get("properties", {}))
                merged["required"] += part.get("required", [])
            return self.wrong(merged, value, where)
        if "oneOf" in schema:
            return [] if any(not self.wrong(one, value, where) for one in schema["oneOf"]) else [f"{where} is none of oneOf: {value!r}"]
        return self.wrong_value(schema, value, where)

    def wrong_value(self, schema, value, where):
        if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
            return [f"{where} is {value!r}, not {schema['const']!r}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{where} is {value!r}, not one of {schema['enum']}"]
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(TYPES[kind](value) for kind in kinds):
            return [f"{where} is {value!r}, not {' or '.join(kinds)}"]
        if isinstance(value, str):
            if "format" in schema and not re.fullmatch(FORMATS[schema["format"]], value):
                return [f"{where} is {value!r}, not a {schema['format']}"]
            if "pattern" in schema and not re.search(schema["pattern"], value):
                return [f"{where} is {value!r}, not {schema['pattern']}"]
        if isinstance(value, list) and "items" in schema:
            return [line for i, item in enumerate(value) for line in self.wrong(schema["items"], item, f"{where}[{i}]")]
        return self.wrong_members(schema, value, where) if isinstance(value, dict) else []

    def wrong_members(self, schema, value, where):
        found = [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        more = schema.get("additionalProperties", False if "properties" in schema else True)
        for name, item in value.items():
            if name in schema.get("properties", {}):
                found += self.wrong(schema["properties"][name], item, f"{where}.{name}")
            elif more is False:
                found.append(f"{where}.{name} is answered and not documented")
            elif isinstance(more, dict):
                found += self.wrong(more, item, f"{where}.{name}")
        return found
