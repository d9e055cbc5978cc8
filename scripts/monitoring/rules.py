"""The alert rules, and a copy with short times to try them with."""

import re

from tools import ROOT

RULES = ROOT / "deploy" / "prometheus" / "renewd.rules.yaml"
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# renewd's own pauses before it tries again do not shrink along: below this a range would miss what it looks for.
SHORTEST_RANGE = 15_000


def scaled(text, factor):
    """Each `for:` and each range divided by `factor`; the alerts have a label that says so, and groups another name.
    Numbers of seconds that are compared with (a clock 60 s off, 120 s overdue) stay."""

    def span(words, least):
        amount, unit = re.fullmatch(r"(\d+)([a-z]+)", words).groups()
        return f"{max(round(int(amount) * UNITS[unit] / factor), least)}ms"

    def ranges(match):
        spans = match[1].split(":")
        least = [SHORTEST_RANGE, 1_000][: len(spans)]
        return "[" + ":".join(span(words, floor) for words, floor in zip(spans, least)) + "]"

    text = re.sub(r"(?m)^( +for: )(\w+)$", lambda match: match[1] + span(match[2], 1), text)
    text = re.sub(r"\[(\d+[smhd](?::\d+[smhd])?)\]", ranges, text)
    text = re.sub(r"(?m)^( +)(severity: \w+)$", rf'\1\2\n\1scale: "{factor:g}"', text)
    text = re.sub(r"(?m)^(  - name: \S+)$", rf"\1-by-{factor:g}", text)
    return text.replace(":max2h", f":max2h_by_{factor:g}")


def names():
    """Of the alerts with their severities, each once."""
    return re.findall(r"- alert: (\w+)(?:\n(?!  +- ).*)*?\n +severity: (\w+)", RULES.read_text())
