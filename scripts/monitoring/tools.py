"""The programs, and where they come from."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "prometheus"
NAMES = ("prometheus", "promtool")


class Missing(Exception):
    """A program that cannot be had, in words."""


def skip(what, reason):
    """Said by name; where CI is true nothing may be skipped."""
    if os.environ.get("CI") == "true":
        raise Missing(f"{what} may not be skipped: {reason}")
    print(f"skipped: {what}: {reason}", flush=True)


def folder():
    """Where prometheus and promtool are; fetches them where they are not."""
    installed = [shutil.which(name) for name in NAMES]
    if all(installed):
        return Path(installed[1]).parent
    if not all((CACHE / name).exists() for name in NAMES):
        fetch()
    return CACHE


def fetch():
    """Debian's package, unpacked and not installed: it would start a service, and bring a browser's libraries."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Missing("Prometheus is not installed, and there is no apt-get to fetch it with")
    with tempfile.TemporaryDirectory() as room:
        os.chmod(room, 0o755)

        def apt(*words):
            return subprocess.run(["apt-get", "-qq", *words], cwd=room, capture_output=True, stdin=subprocess.DEVNULL)

        if apt("download", "prometheus").returncode != 0:
            apt("update")
            if apt("download", "prometheus").returncode != 0:
                raise Missing("Prometheus is not installed, and Debian's package cannot be fetched")
        (package,) = Path(room).glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, f"{room}/root"], check=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            # Moved into place whole, as two may fetch at once.
            half = CACHE / f".{name}.{os.getpid()}"
            shutil.copy2(f"{room}/root/usr/bin/{name}", half)
            half.rename(CACHE / name)


def renewd():
    """The binary to test."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "renewd"
    binary = Path(os.environ.get("RENEWD_BINARY", built)).absolute()
    if not binary.exists():
        raise AssertionError(f"there is no {binary}: cargo build, or name another with RENEWD_BINARY")
    return binary


def promtool(*words, text=None):
    """What it prints, both outputs together, and whether it was content."""
    command = [folder() / "promtool", *words]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout
