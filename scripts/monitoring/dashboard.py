"""The dashboard's questions, as Grafana would put them."""

import json

from tools import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "renewd.json"


def questions():
    """Each panel's title with an expression of it, for every agent, account and provider."""
    dashboard = json.loads(DASHBOARD.read_text())
    replaced = {"$__rate_interval": "15s", "$__range": "5m", "$__interval": "1s"}
    replaced |= {f"${variable['name']}": ".*" for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name in sorted(replaced, key=len, reverse=True):
                expression = expression.replace(name, replaced[name])
            yield panel["title"], expression
