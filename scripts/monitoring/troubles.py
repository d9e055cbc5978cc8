"""Everything that the alert rules look for, done to agents of its own, and undone."""

import signal
import time

import rules
import tools

from world import Agent, Simulator, free_port, say, until

LIFE = "20s"


class Troubles:
    """Three agents: one whose providers, sinks and hooks fail, one that stops, one whose configuration breaks."""

    def __init__(self, world):
        self.world = world
        self.away = Simulator(world, "simulator-away", LIFE)
        self.mute = Simulator(world, "simulator-mute", LIFE)
        self.odd = Simulator(world, "simulator-odd", LIFE)
        self.odd.fault("kiwoom", "503")
        self.password = world.path("password", "good")
        self.allowed = world.path("allowed", "")
        self.vault = Vault(world)
        self.agent = Agent(world, "troubled", self.accounts(), **self.vault.section())
        self.stopped = Agent(world, "stopped", {})
        self.reloaded = Agent(world, "reloaded", {})
        for account in ("outage", "stuck", "refused", "skewed", "blocked", "told"):
            done = self.agent.ask("wait", account, "--timeout", "30s")
            # A sink at a Vault that is away is nothing that the others wait for.
            assert done.returncode == 0, done.stderr

    def accounts(self):
        hook = {"command": ["test", "-e", str(self.allowed)]}
        self.blocked = self.world.folder / "troubled" / "out" / "blocked"
        refused = self.odd.account("bizppurio", "refused")
        refused["credentials"]["password"] = {"file": str(self.password)}
        accounts = {
            "outage": self.away.account("oauth2-client-credentials", "outage"),
            "stuck": self.mute.account("portone", "stuck", http={"timeout": "25s"}),
            "new": self.odd.account("kiwoom", "new"),
            "refused": refused,
            "skewed": self.odd.account("rcs-biz-center", "skewed"),
            "blocked": self.odd.account(
                "oauth2-client-credentials", "blocked", sinks=[{"file": str(self.blocked)}]
            ),
            "told": self.odd.account(
                "oauth2-client-credentials", "told", sinks=[{"file": str(self.blocked.with_name("told"))}], on_change=[hook]
            ),
        }
        self.blocked.parent.mkdir(parents=True)
        for name in ("one", "two") if self.vault.program else ():
            sinks = [{"vault": f"secret/{name}"}]
            accounts[f"vault-{name}"] = self.odd.account("oauth2-client-credentials", f"vault-{name}", sinks=sinks)
        return accounts

    def begin(self):
        say("troubles: an outage, a provider that hangs, one that is off by 10 minutes, a wrong password, a folder where "
            "a sink was, a hook that fails, Vault away, an agent stopped, a configuration changed six times and broken")
        self.away.stop()
        self.mute.fault("portone", "hang")
        self.odd.fault("rcs-biz-center", "clock:+10m")
        self.world.path("password", "wrong")
        self.blocked.unlink()
        (self.blocked / "in-the-way").mkdir(parents=True)
        self.allowed.unlink()
        self.stopped.process.send_signal(signal.SIGSTOP)
        for seconds in range(21, 27):
            before = self.loaded()
            self.reloaded.config["agent"]["shutdown_grace"] = f"{seconds}s"
            self.reloaded.write()
            self.reloaded.process.send_signal(signal.SIGHUP)
            until("a reload", 10, lambda: self.loaded() != before)
            time.sleep(1.1)  # a scrape sees each of them
        self.world.path("reloaded/renewd.yaml", "accounts: {\n")

    def loaded(self):
        return self.reloaded.status()["config"]["loaded_at"]

    def end(self):
        say("all of it is mended")
        self.away.resume()
        self.mute.fault("portone", None)
        self.odd.fault("rcs-biz-center", None)
        self.odd.fault("kiwoom", None)
        self.world.path("password", "good")
        (self.blocked / "in-the-way").rmdir()
        self.blocked.rmdir()
        self.world.path("allowed", "")
        self.vault.start()
        self.stopped.process.send_signal(signal.SIGCONT)
        self.reloaded.write()

    def expected(self):
        """The alerts that these troubles are about; RenewdNoAgent is not among them, nor a disk that hangs."""
        known = {alert for alert in rules.names() if alert[0] not in ("RenewdNoAgent", "RenewdSinkHanging")}
        return known if self.vault.program else known - {("RenewdServerFailing", "warning")}


class Vault:
    """An OpenBao server as `scripts/test` fetches it; away until it is started."""

    def __init__(self, world):
        self.world, self.port = world, free_port()
        program = tools.ROOT / ".cache" / "bao" / "bao"
        self.program = program if program.exists() else None
        if not self.program:
            tools.skip("RenewdServerFailing", "there is no .cache/bao/bao, which scripts/test fetches")

    def section(self):
        token = self.world.path("vault-token", "root-of-a-test")
        address = f"http://127.0.0.1:{self.port}"
        return {"vault": {"address": address, "auth": {"token": {"file": str(token)}}}} if self.program else {}

    def start(self):
        if self.program:
            self.world.start(
                "vault", self.program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root-of-a-test",
                f"-dev-listen-address=127.0.0.1:{self.port}",
            )
