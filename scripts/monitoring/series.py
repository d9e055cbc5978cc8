"""How large a scrape gets."""

import collections
import json
import re
import time

import tools
from world import Agent, Simulator, World, get, say


def measure(count):
    """Series and bytes of an agent with `count` accounts, fresh and then failing in every class at once."""
    with World() as world:
        simulator = Simulator(world, "simulator", "2h")
        out = world.folder / "many" / "out"
        out.mkdir(parents=True)
        provider = "oauth2-client-credentials"
        accounts = {
            f"a{number:05}": simulator.account(provider, f"a{number}", sinks=[{"file": str(out / f"{number}")}])
            for number in range(count)
        }
        limits = {"hosts": {f"127.0.0.1:{simulator.port}": {"rate": "off", "concurrency": 64}}}
        agent = Agent(world, "many", accounts, limits=limits)
        done = agent.ask("wait", "--timeout", "5m")
        assert done.returncode == 0, done.stderr
        report(f"{count} accounts of one provider with one file each, all fresh", agent)
        for fault in ("503", "429:0s", "html", "rejected"):
            simulator.fault(provider, fault)
            agent.ask("renew", "--all", "--timeout", "5s")
        report("after failed renewals of three or four classes each", agent)


def report(when, agent):
    began = time.monotonic()
    status, page = get(agent.url("metrics"), within=30)
    took = time.monotonic() - began
    assert status == 200, page
    content, said = tools.promtool("check", "metrics", text=page)
    assert content and not said, f"promtool check metrics: {said}"
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    by_name = collections.Counter(re.match(r"renewd_[a-z_]+", line)[0] for line in lines)
    say(f"{when}: {len(lines)} series, {len(page)} bytes, answered in {took * 1000:.0f} ms; promtool has no word to say")
    for name, number in by_name.most_common(8):
        say(f"  {number:6} {name}")
    code = collections.Counter(re.findall(r'result="(\w+)"', "\n".join(line for line in lines if "renewals_total" in line)))
    say(f"  renewals by result: {json.dumps(code)}")
