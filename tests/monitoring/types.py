"""Reads a dashboard into Grafana's own types and writes it out again: what is lost on the way, they do not know. Then
looks whether the values are of the types, which reading does not.

    python3 types.py FOLDER-OF-THE-TYPES DASHBOARD
"""

import enum
import json
import re
import sys
import typing

sys.path[0] = sys.argv[1]  # not this folder, whose name for this file is one of Python's own modules

from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: E402

# Grafana reads and writes these; its types leave them to the data source, or out where they are empty.
LOOSE = r"\.id|\.annotations\.list\[\d+\]\.(builtIn|step|titleFormat|textFormat|tagKeys)|\.templating\.list\[\d+\]\.definition"


def lost(before, after, path=""):
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after)):
            yield from lost(*pair, f"{path}[{number}]")
    elif before != after and not re.fullmatch(LOOSE, path):
        yield f"{path}: {json.dumps(before)} became {json.dumps(after)}"


def wrong(value, path=""):
    """Values that are none of the type's own: words of a closed list, numbers, texts."""
    if isinstance(value, (list, dict)):
        for key, inner in enumerate(value) if isinstance(value, list) else value.items():
            yield from wrong(inner, f"{path}.{key}")
    elif hasattr(value, "to_json"):
        for name, hint in typing.get_type_hints(type(value)).items():
            inner = getattr(value, name, None)
            kinds = [kind for kind in typing.get_args(hint) or [hint] if isinstance(kind, type)]
            words = [kind for kind in kinds if issubclass(kind, enum.Enum)]
            plain = tuple(kind for kind in kinds if kind in (str, int, float, bool))
            if inner is None:
                continue
            if words and not plain and not any(inner in list(kind) for kind in words):
                yield f"{path}.{name}: {inner!r} is none of {[word.value for kind in words for word in kind]}"
            elif plain and isinstance(inner, (str, int, float, bool)) and not words:
                fits = plain + (int,) if float in plain else plain
                if not isinstance(inner, fits):
                    yield f"{path}.{name}: {inner!r} is no {' or '.join(kind.__name__ for kind in plain)}"
            yield from wrong(inner, f"{path}.{name}")


register_default_plugins()
with open(sys.argv[2], encoding="utf-8") as file:
    dashboard = json.load(file)
read = Dashboard.from_json(dashboard)
complaints = [*lost(dashboard, json.loads(JSONEncoder().encode(read))), *wrong(read)]
print("\n".join(complaints) or f"{len(read.panels)} panels, nothing lost")
sys.exit(bool(complaints))
