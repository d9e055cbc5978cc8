"""Who reads a renewed token: a target that accepts living tokens only, and nginx and kubectl in front of such a one."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tools
from world import free_port, get, until


METRICS = "text/plain; version=0.0.4"


def serve(answer):
    """Answers on a port of 127.0.0.1, which it gives, what `answer(request)` does: a status, a content type and a text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, kind, text = answer(self)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Guard:
    """Answers `/NAME/PROVIDER` with metrics to whoever brings a token that the stand-in accepts at that instant, else 401."""

    def __init__(self, simulator):
        self.accepted, self.refused, self.tokens = Counter(), Counter(), {}

        def answer(request):
            _, name, provider, *_ = request.path.split("/") + ["", ""]
            bearer = request.headers.get("Authorization", "")
            if get(simulator.url(f"{provider}/whoami"), {"Authorization": bearer})[0] != 200:
                self.refused[name] += 1
                return 401, METRICS, "the token is not accepted\n"
            self.accepted[name] += 1
            # Not the token itself: only how many there were.
            self.tokens.setdefault(name, set()).add(hashlib.sha256(bearer.encode()).digest())
            return 200, METRICS, "guarded 1\n"

        self.address = f"127.0.0.1:{serve(answer)}"

    def said(self, name):
        tokens = len(self.tokens.get(name, ()))
        return f"{self.accepted[name]} accepted, {self.refused[name]} refused, {tokens} tokens"


class Loop:
    """Does something again and again until it is told to stop; counts what came of it."""

    def __init__(self, every, what):
        self.outcomes, self.over = Counter(), threading.Event()

        def turn():
            while not self.over.wait(every):
                self.outcomes[what()] += 1

        self.thread = threading.Thread(target=turn, daemon=True)
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.outcomes


class Nginx:
    """A proxy that adds the token of an included file to what it passes on, as docs/uses/nginx.md has it."""

    PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    TEMPLATE = 'proxy_set_header Authorization {{ ("Bearer " ~ access_token) | json | replace("$", "${dollar}") }};\n'

    def __init__(self, world, guard, provider):
        self.port, self.include = free_port(), world.folder / "nginx" / "token.conf"
        self.pid_file = world.folder / "nginx" / "pid"
        user = "user root;" if os.geteuid() == 0 else ""
        paths = "".join(
            f"{kind}_temp_path {world.folder}/nginx/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.conf = world.path(
            "nginx/nginx.conf",
            f"daemon off; {user} worker_processes 1; pid {self.pid_file}; error_log {world.folder}/nginx/error.log;"
            f"events {{}} http {{ access_log off; {paths} geo $dollar {{ default '$'; }}"
            f"server {{ listen 127.0.0.1:{self.port}; location / {{ include {self.include};"
            f"proxy_pass http://{guard.address}/nginx/{provider}; }} }} }}\n",
        )

    def sink(self):
        return {"file": {"path": str(self.include), "template": self.TEMPLATE}}

    def hook(self):
        return {"signal": {"pid_file": str(self.pid_file), "signal": "HUP"}}

    def start(self, world):
        """Once the included file is there."""
        self.process = world.start("nginx-process", self.PROGRAM, "-p", world.folder / "nginx", "-c", self.conf)
        until("nginx", 10, lambda: get(f"http://127.0.0.1:{self.port}/")[0] == 200)

    def ask(self):
        return get(f"http://127.0.0.1:{self.port}/")[0]


class Kubectl:
    """A real API server that asks the stand-in about each bearer token (webhook authentication, nothing cached), and
    kubectl with a kubeconfig that names the delivered file."""

    def __init__(self, world, simulator, token_file, cache):
        self.world = world
        room = world.folder / "kubernetes"
        room.mkdir()
        client, peer, api = free_port(), free_port(), free_port()
        webhook = self.reviews(simulator)
        self.certify(room)
        (room / "webhook").write_text(kubeconfig(f"http://127.0.0.1:{webhook}", ""))
        world.start(
            "etcd", cache / "etcd/usr/bin/etcd", "--data-dir", room / "etcd",
            "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
        )
        world.start(
            "apiserver", cache / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{client}",
            "--bind-address", "127.0.0.1", "--secure-port", api, "--advertise-address", "127.0.0.1", "--cert-dir", room,
            "--tls-cert-file", room / "server.pem", "--tls-private-key-file", room / "server.key",
            "--authentication-token-webhook-config-file", room / "webhook",
            "--authentication-token-webhook-cache-ttl", "0s", "--anonymous-auth=false", "--authorization-mode", "AlwaysAllow",
            "--service-account-issuer", "https://kubernetes.test", "--service-account-signing-key-file", room / "sa.key",
            "--service-account-key-file", room / "sa.key", "--service-cluster-ip-range", "10.96.0.0/24",
        )
        self.kubeconfig = room / "kubeconfig"
        self.kubeconfig.write_text(kubeconfig(f"https://127.0.0.1:{api}", f"tokenFile: {token_file}", room / "ca.pem"))
        until("the API server, and a token that it accepts", 120, lambda: self.ask() == "ok")

    def reviews(self, simulator):
        """Answers TokenReviews."""
        self.reviewed = Counter()

        def answer(request):
            review = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
            bearer = {"Authorization": f"Bearer {review['spec']['token']}"}
            lives = get(simulator.url("oauth2-client-credentials/whoami"), bearer)[0] == 200
            self.reviewed["accepted" if lives else "refused"] += 1
            review["status"] = {"authenticated": lives, "user": {"username": "renewd", "uid": "1"}}
            del review["spec"]
            return 200, "application/json", json.dumps(review)

        return serve(answer)

    def certify(self, room):
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=room, check=True, capture_output=True)

        days = ["-days", "2"]
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *days, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=api", "-keyout", "server.key", "-out", "server.csr")
        (room / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", *days, "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", "names", "-out", "server.pem")
        openssl("genrsa", "-out", "sa.key", "2048")

    def ask(self):
        command = ["kubectl", "--kubeconfig", self.kubeconfig, "--request-timeout=5s", "get", "namespaces"]
        environment = os.environ | {"HOME": str(self.world.folder)}
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
        if done.returncode == 0:
            return "ok"
        return "refused" if "Unauthorized" in done.stderr or "logged in" in done.stderr else "other"


def kubeconfig(server, user, ca=None):
    trust = f", certificate-authority: {ca}" if ca else ""
    return (
        "apiVersion: v1\nkind: Config\n"
        f'clusters: [{{ name: c, cluster: {{ server: "{server}"{trust} }} }}]\n'
        f"users: [{{ name: u, user: {{ {user} }} }}]\n"
        "contexts: [{ name: x, context: { cluster: c, user: u } }]\ncurrent-context: x\n"
    )


def kubernetes_here():
    """Where `scripts/kubernetes-real --build` left its server."""
    cache = tools.ROOT / ".cache" / "kubernetes"
    if not (cache / "kube-apiserver").exists():
        raise tools.Missing("there is no API server: scripts/kubernetes-real --build")
    if not shutil.which("kubectl"):
        raise tools.Missing("there is no kubectl")
    return cache


class Frozen:
    """An agent's page of metrics as it was, until it is thawed."""

    def __init__(self, agent):
        self.page = get(agent.url("metrics"))[1]
        port = serve(lambda _: (200, METRICS, self.page or get(agent.url("metrics"))[1]))
        self.instance = f"127.0.0.1:{port}"

    def thaw(self):
        self.page = None
