"""Infotext as Automatic1111, Forge and reForge write and read it: "name: value, name: value"; a value with a comma, a
colon or a line break is a JSON string.
"""

import json
import re

ENTRY = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def written(values: dict) -> str:
    def quoted(value):
        return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", str(value)) else str(value)

    return ", ".join(f"{name}: {quoted(value)}" for name, value in values.items())


def read(line: str) -> dict:
    return {name: json.loads(value) if value[:1] == '"' else value for name, value in ENTRY.findall(line)}
