"""The whole play: readers who must never be refused, and alerts that must come and go."""

import json
import time

import dashboard
import rules
import tools
from readers import Frozen, Guard, Kubectl, Loop, Nginx, kubernetes_here
from troubles import LIFE, Troubles
from world import Agent, Prometheus, Simulator, World, get, say, until

SCALE = 60
# Their providers hand out a token of their own each time, and the files are read for each scrape.
READ = {"metrics-api": "oauth2-client-credentials", "messaging": "bizppurio", "shop": "portone"}


def run(minutes, with_kubernetes):
    tools.folder(), tools.renewd()
    with World() as world:
        began = time.monotonic()
        simulator = Simulator(world, "simulator", LIFE)
        guard = Guard(simulator)
        nginx = None
        if Nginx.PROGRAM:
            nginx = Nginx(world, guard, READ["metrics-api"])
        else:
            tools.skip("nginx", "it is not installed")
        steady = steady_agent(world, simulator, nginx)
        loops = readers(world, simulator, steady, nginx, with_kubernetes)
        troubles = Troubles(world)
        agents = [steady, troubles.agent, troubles.stopped, troubles.reloaded]
        prometheus = watch(world, guard, steady, agents)
        say(f"{len(agents)} agents, tokens of {LIFE}, scrapes and looks each second, rules as they are and {SCALE} times as fast")

        fire(prometheus, troubles, steady)
        scrapes_are_valid(agents)
        panels_have_answers(prometheus)
        clear(prometheus, troubles, steady)
        if minutes >= 5:
            frozen(world, prometheus, troubles, agents)
        nobody(world, prometheus, agents)
        while time.monotonic() - began < minutes * 60:
            time.sleep(1)
            quiet(prometheus, steady)
        conclude(world, prometheus, guard, steady, loops)


def steady_agent(world, simulator, nginx):
    accounts = {}
    for name, provider in READ.items():
        (world.folder / "steady" / "out").mkdir(parents=True, exist_ok=True)
        sinks = [{"file": str(world.folder / "steady" / "out" / name)}]
        accounts[name] = simulator.account(provider, name, sinks=sinks)
    if nginx:
        accounts["metrics-api"]["sinks"].append(nginx.sink())
        accounts["metrics-api"]["on_change"] = [nginx.hook()]
    agent = Agent(world, "steady", accounts)
    done = agent.ask("wait", "--timeout", "30s")
    assert done.returncode == 0, done.stderr
    return agent


def readers(world, simulator, steady, nginx, with_kubernetes):
    loops = {}
    if nginx:
        nginx.start(world)
        loops["requests through nginx by status"] = Loop(0.2, nginx.ask)
    if with_kubernetes:
        kubectl = Kubectl(world, simulator, steady.sink("metrics-api"), kubernetes_here())
        loops["kubectl, a process each"] = Loop(1, kubectl.ask)
    return loops


def watch(world, guard, steady, agents):
    """Prometheus on the agents, on what takes their tokens, and on the same with a token that nobody renews."""
    first = world.path("first-token", steady.sink("metrics-api").read_text())
    targets(world, agents)
    jobs = [f"  - {{ job_name: renewd, file_sd_configs: [{{ files: [{world.folder}/agents.json], refresh_interval: 1s }}] }}"]
    files = {f"guarded-{name}": (provider, steady.sink(name)) for name, provider in READ.items()}
    for job, (provider, file) in (files | {"control": (READ["metrics-api"], first)}).items():
        jobs.append(
            f"  - {{ job_name: {job}, metrics_path: /{job}/{provider}, authorization: {{ credentials_file: {file} }},"
            f' static_configs: [{{ targets: ["{guard.address}"] }}] }}'
        )
    fast = world.path("fast.rules.yaml", rules.scaled(rules.RULES.read_text(), SCALE))
    return Prometheus(world, "scrape_configs:\n" + "\n".join(jobs) + "\n", [rules.RULES, fast])


def targets(world, agents):
    world.path("agents.json", json.dumps([{"targets": [agent.instance for agent in agents]}] if agents else []))


def quiet(prometheus, steady):
    loud = prometheus.alerts(instance=steady.instance)
    assert not loud, f"alerts although all is well with {steady.instance}: {loud}"


def fire(prometheus, troubles, steady):
    until("the agents are scraped", 20, lambda: prometheus.value('sum(up{job="renewd"})') == 4)
    time.sleep(3)
    before = prometheus.alerts(scale=str(SCALE)) - {("RenewdTokenMissing", "critical"), ("RenewdServerFailing", "warning")}
    assert not before, f"before anything was done: {before}"
    began, missing, seen = time.monotonic(), troubles.expected(), set()
    troubles.begin()

    def look():
        quiet(prometheus, steady)
        for alert in sorted(prometheus.alerts(scale=str(SCALE)) - seen):
            seen.add(alert)
            say(f"  fires after {time.monotonic() - began:4.0f} s: {' '.join(alert)}")
        return missing <= seen

    try:
        until("all alerts", 120, look)
    finally:
        left = missing - seen
        if left:
            say(f"these have not fired: {sorted(left)}")
    assert seen <= missing, f"alerts that these troubles do not call for: {seen - missing}"


def clear(prometheus, troubles, steady):
    began = time.monotonic()
    troubles.end()
    last = set()

    def look():
        nonlocal last
        quiet(prometheus, steady)
        now = prometheus.alerts(scale=str(SCALE))
        for alert in sorted(last - now):
            say(f"  clears after {time.monotonic() - began:4.0f} s: {' '.join(alert)}")
        last = now
        # What a person does who has mended something.
        troubles.agent.ask("renew", "--all", "--timeout", "3s")
        return not now

    until("all alerts clear", 150, look)


def frozen(world, prometheus, troubles, agents):
    """A scheduler that stands still while the page goes on being served, which a real agent does not do: its last page
    again and again."""
    page = Frozen(troubles.agent)
    targets(world, [*agents, page])
    alert = {("RenewdSchedulerStalled", "critical")}
    until("RenewdSchedulerStalled of a page that stands still", 200, lambda: alert <= prometheus.alerts(instance=page.instance))
    say("  fires: RenewdSchedulerStalled of an agent's page that is served unchanged for two minutes")
    page.thaw()
    until("no alert of the page that goes on", 30, lambda: not prometheus.alerts(instance=page.instance))
    say("  clears, as the page goes on")
    targets(world, agents)


def nobody(world, prometheus, agents):
    alert = ("RenewdNoAgent", "critical")
    targets(world, [])
    until("RenewdNoAgent", 40, lambda: alert in prometheus.alerts(scale=str(SCALE)))
    say("  fires: RenewdNoAgent critical, as service discovery is empty")
    targets(world, agents)
    until("no alerts", 40, lambda: not prometheus.alerts(scale=str(SCALE)))
    # One agent that is there again ends the alert; the others' series may still be marked as gone.
    until("the agents are scraped again", 20, lambda: prometheus.value('sum(up{job="renewd"})') == len(agents))
    say("  clears: RenewdNoAgent critical")


def scrapes_are_valid(agents):
    """`promtool check metrics` has nothing to say about any agent's page, with failures of every kind on it."""
    for agent in agents:
        status, page = get(agent.url("metrics"))
        if status:  # not the stopped one
            content, said = tools.promtool("check", "metrics", text=page)
            assert content and not said, f"promtool check metrics of {agent.name}: {said}"
            out = (agent.world.folder / agent.name / "out").glob("*")
            tokens = [file.read_text() for file in out if file.is_file()]
            assert not any(token in page for token in tokens), f"the page of {agent.name} shows a token"
            say(f"promtool check metrics: no word about the {len(page)} bytes of `{agent.name}`")


def panels_have_answers(prometheus):
    asked = list(dashboard.questions())
    silent = [f"{title}: {expression}" for title, expression in asked if not prometheus.query(expression)]
    assert not silent, "the dashboard asks what nothing answers:\n" + "\n".join(silent)
    say(f"the dashboard: all of its {len(asked)} expressions have an answer")


def conclude(world, prometheus, guard, steady, loops):
    quiet(prometheus, steady)
    for name in READ:
        of = f'up{{job="guarded-{name}"}}'
        scrapes, good = prometheus.value(f"count_over_time({of}[1h])"), prometheus.value(f"sum_over_time({of}[1h])")
        say(f"scrapes with the file of `{name}`: {scrapes:.0f}, without an answer {scrapes - good:.0f}; "
            f"at the target: {guard.said(f'guarded-{name}')}")
        assert guard.refused[f"guarded-{name}"] == 0, "a scrape was refused"
        assert len(guard.tokens[f"guarded-{name}"]) > 2, "too few tokens to say anything"
    control = prometheus.value('sum_over_time(up{job="control"}[1h])'), prometheus.value('up{job="control"}')
    say(f"the same with the first token kept: {guard.said('control')}")
    assert control[1] == 0 and guard.refused["control"] > 0, "the target accepts a token that has ended"
    for what, loop in loops.items():
        outcomes = loop.stop()
        say(f"{what}: {dict(outcomes)}")
        assert set(outcomes) <= {200, "ok"} and outcomes, f"{what}: refused or failed: {dict(outcomes)}"
    fired = prometheus.query(f'count_over_time(ALERTS{{instance="{steady.instance}", alertstate="firing"}}[1h])')
    assert not fired, f"alerts although all was well: {fired}"
    reloads = prometheus.value(f'sum(renewd_hook_runs_total{{instance="{steady.instance}", result="ok"}})')
    renewals = prometheus.value(f'sum(renewd_renewals_total{{instance="{steady.instance}"}})')
    say(f"the agent behind the readers: {renewals:.0f} renewals, {reloads or 0:.0f} hooks, no alert of either set of rules")
