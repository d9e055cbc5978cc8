"""Processes, ports and conversations of one run, all on 127.0.0.1 and in one folder; everything ends with it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import tools


def say(words):
    print(f"[{time.strftime('%H:%M:%S')}] {words}", flush=True)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def get(url, headers=None, data=None, within=5.0):
    """Status and text; status 0 where there is no answer."""
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=within) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def until(what, within, look):
    """What `look` gives once that is true."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.1)


class World:
    """A folder of our own, and what runs in it."""

    def __init__(self):
        room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="renewd-prometheus.", dir=room))
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name, text=None):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            # Replaced whole: others watch these files.
            half = path.with_name(f".{path.name}.half")
            half.write_text(text)
            half.rename(path)
        return path

    def start(self, name, *command, **more):
        log = open(self.path(f"{name}.log"), "ab")
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **more
        )
        log.close()
        self.processes.append(process)
        return process

    def log(self, name):
        return self.path(f"{name}.log").read_text(errors="replace")


class Simulator:
    """The stand-ins; each of these is a host of its own to an agent."""

    def __init__(self, world, name, lifetime):
        self.world, self.name, self.lifetime = world, name, lifetime
        self.port = free_port()
        self.resume()

    def resume(self):
        address = f"127.0.0.1:{self.port}"
        self.process = self.world.start(
            self.name, tools.renewd(), "simulator", "--listen", address, "--lifetime", self.lifetime
        )
        until(f"the simulator {self.name}", 20, lambda: get(self.url("_simulator/stats"))[0] == 200)

    def stop(self):
        """An outage: nobody listens there any more."""
        self.process.terminate()
        self.process.wait(timeout=20)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def fault(self, target, fault):
        body = json.dumps({"provider": target, "fault": fault}).encode()
        status, answer = get(self.url("_simulator/fault"), {"content-type": "application/json"}, body)
        assert status == 200, f"the fault {target}={fault}: {answer}"

    def account(self, provider, name, **more):
        """An account of that stand-in; its name there is `name`."""
        keys = {
            "oauth2-client-credentials": ("client_id", "client_secret"),
            "bizppurio": ("account", "password"),
            "kiwoom": ("appkey", "secretkey"),
            "rcs-biz-center": ("clientId", "clientSecret"),
            "portone": (None, "apiSecret"),
        }[provider]
        credentials = {key: f"{kind}-{name}" for key, kind in zip(keys, ("id", "secret")) if key}
        account = {"provider": provider, "credentials": credentials}
        if provider.startswith("oauth2"):
            account["params"] = {"token_url": self.url(f"{provider}/token")}
        else:
            account["base_url"] = self.url(provider)
        return account | more


class Agent:
    """`renewd run` with a folder of its own."""

    def __init__(self, world, name, accounts, **more):
        self.world, self.name = world, name
        self.port = free_port()
        self.socket = world.folder / name / "renewd.sock"
        self.config = {
            "agent": {
                "state_dir": str(world.folder / name / "state"),
                "socket": str(self.socket),
                "listen": f"127.0.0.1:{self.port}",
            },
            "accounts": accounts,
        } | more
        self.write()
        self.process = world.start(
            name, tools.renewd(), "run", "--config", self.file, "--log-level", "info"
        )
        until(f"the agent {name}", 20, lambda: get(self.url("livez"))[0] == 200)

    @property
    def instance(self):
        return f"127.0.0.1:{self.port}"

    def write(self):
        self.file = self.world.path(f"{self.name}/renewd.yaml", json.dumps(self.config, indent=1))

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def sink(self, name):
        (self.world.folder / self.name / "out").mkdir(parents=True, exist_ok=True)
        return self.world.folder / self.name / "out" / name

    def ask(self, *words):
        command = [tools.renewd(), "--socket", self.socket, *words]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def status(self):
        return json.loads(self.ask("status", "--json").stdout)


class Prometheus:
    """A real one, on a configuration written here."""

    def __init__(self, world, config, rule_files):
        self.port = free_port()
        named = "".join(f"  - {path}\n" for path in rule_files)
        text = f"global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files:\n{named}{config}"
        file = world.path("prometheus.yml", text)
        content, said = tools.promtool("check", "config", file)
        assert content, said
        self.process = world.start(
            "prometheus",
            tools.folder() / "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={world.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )
        until("Prometheus", 30, lambda: get(self.url("-/ready"))[0] == 200)

    def url(self, path, **query):
        return f"http://127.0.0.1:{self.port}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def query(self, expression):
        """The samples of an instant query."""
        status, answer = get(self.url("api/v1/query", query=expression), within=20)
        assert status == 200, f"Prometheus refuses {expression!r}: {answer}"
        return json.loads(answer)["data"]["result"]

    def value(self, expression):
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def alerts(self, **labels):
        """Name and severity of those that fire."""
        alerts = json.loads(get(self.url("api/v1/alerts"), within=20)[1])["data"]["alerts"]
        firing = [alert for alert in alerts if alert["state"] == "firing"]
        return {
            (alert["labels"]["alertname"], alert["labels"]["severity"])
            for alert in firing
            if all(re.fullmatch(wanted, alert["labels"].get(name, "")) for name, wanted in labels.items())
        }
