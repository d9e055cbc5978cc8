//! What `--help` says below the options: examples, for people who learn by them.

pub(super) const EXAMPLES: &str = "\
First steps:
  renewd demo                          watch it work: no network, no accounts, no set-up
  renewd init --provider bizppurio     a configuration to start from
  renewd check                         is it right?
  renewd run                           keep the tokens fresh

Day by day:
  renewd status                        how each account stands
  renewd renew messaging               a new token now
  curl -H \"Authorization: Bearer $(renewd token messaging)\" https://...

Exit status: 0 done; 1 some account or sink failed; 2 usage; 70 internal fault;
75 cannot reach the running agent, or timed out; 78 configuration.";

pub(super) const RUN: &str = "\
Reloads when the configuration changes, or on HUP; USR1 renews every account; TERM ends it in good order.

Examples:
  renewd run
  renewd run --config ./renewd.yaml --socket /tmp/renewd.sock";

pub(super) const ONCE: &str = "\
Exits 0 only if every account is fresh and delivered, 1 where some failed, 75 where the time was up
or a running agent holds the state directory. What may pass by itself is tried again until the time is
up: a provider, Vault or the Kubernetes API that does not answer. What needs a person ends it at once:
refused credentials, a file that cannot be written. When the time is up it still ends what it has begun, so that
no token and no single-use refresh token is lost: with a request that hangs that takes up to
`agent.shutdown_grace` (20s) more.

Examples:
  renewd once --timeout 2m && exec my-app";

pub(super) const CHECK: &str = "\
All problems are told at once, as FILE:LINE:COLUMN with a hint. Exits 78 where there is one, 1 where
`--online` finds one of the network or of this machine. Run that as the agent's user: what it finds is
what that user may do. Whether a disk is full it tries with a file that has no name, where the folder is
there and its file system knows such files (NFS does not); it leaves nothing behind.

Examples:
  renewd check --config ./renewd.yaml
  renewd check --online        before the first run on a new host";

pub(super) const PLAN: &str = "\
A line an account, with what becomes of its sinks below it, and a line a template:
+ is added, ~ is changed or written anew, - goes, > asks the provider at a start, = stays as it is.
Nothing is asked of a provider and nothing is changed. Exits 78 where a reload would refuse the file.

Examples:
  renewd plan                              before a reload
  renewd plan --config ./new.yaml          what that file would change";

pub(super) const STATUS: &str = "\
Exits 0 whenever the agent answered. Without a terminal it is plain aligned text: no colour, no bars.

Examples:
  renewd status --watch
  renewd status messaging
  renewd status --check || alert
  renewd status --json | jq -r '.accounts[] | select(.state != \"fresh\") | .name'";

pub(super) const RENEW_USAGE: &str = "renewd renew [OPTIONS] <ACCOUNT>...
       renewd renew [OPTIONS] --all";

pub(super) const RENEW: &str = "\
Asks at once and waits for the outcome: a line an account. An account that `min_interval` or the vendor
holds back is told with the instant and the reason, and is no failure. Exits 1 where one failed.

Examples:
  renewd renew messaging
  renewd renew --all --timeout 5m";

pub(super) const TOKEN: &str = "\
Prints the token that is valid now; asks no provider. Allowed to root, the agent's user and the socket's group.

Examples:
  curl -H \"Authorization: Bearer $(renewd token messaging)\" https://api.example.com/me
  renewd token messaging --json | jq -r .expires_at";

pub(super) const WAIT: &str = "\
Waits for an agent that is only just starting, too. Exits 75 when the time is up, and says what is missing; 1 at
once where the running agent has no such account and its configuration names none.

Examples:
  renewd wait --timeout 1m
  renewd wait messaging payments && exec my-app";

pub(super) const EXEC: &str = "\
The command keeps the terminal, gets the signals that renewd exec gets, and its exit status is handed through
(128 and the number for a signal; 126 or 127 where it cannot be run; 75 without a token in time).
A running process's environment does not change: after a renewal take --on-change restart, or --files.

Examples:
  renewd exec --account messaging -- ./send.sh                   # $MESSAGING_ACCESS_TOKEN
  renewd exec --env API_TOKEN=messaging.access_token --on-change restart -- ./worker
  renewd exec --account messaging --files /dev/shm/app --on-change signal:HUP -- nginx -g 'daemon off;'";

pub(super) const PROVIDERS: &str = "\
The definitions are data: copy one under `providers:` and change it to describe a token API of your own.

Examples:
  renewd providers
  renewd providers portone > my-portone.yaml";

pub(super) const INIT: &str = "\
Examples:
  renewd init --provider bizppurio > renewd.yaml
  renewd init --provider portone --output /etc/renewd/renewd.yaml";

pub(super) const INSTALL_SYSTEMD: &str = "\
Shows each file first, with --dry-run all of its text. One that is there and differs is shown as a
difference, and nothing at all is written then, unless with --force, which keeps the former as
FILE.old. A configuration that is there is never touched. Lines of your own belong into drop-ins
(`systemctl edit renewd`), which it leaves alone.

Examples:
  renewd install systemd --dry-run
  sudo renewd install systemd
  renewd install systemd --root ./image --program /usr/bin/renewd";

pub(super) const SCHEMA: &str = "\
For editors that complete and check YAML (yaml-language-server):
  renewd schema > renewd.schema.json
  # and as the first line of the configuration:
  # yaml-language-server: $schema=renewd.schema.json";

pub(super) const DEMO: &str = "\
The stand-ins hand out tokens that live for seconds; one of them fails for a while and recovers.
The tokens appear in a folder that the demo names and removes at its end.

Examples:
  renewd demo
  renewd demo --for 30s";

pub(super) const SIMULATOR: &str = "\
Point an account at one with `base_url: http://ADDR/PROVIDER`; the addresses are printed. Any credentials
are accepted but a secret that is exactly `wrong`. GET /_simulator/stats counts what was asked.

A fault is TARGET=FAULT, then @FROM..TO (time since the start) or #COUNT (requests that it hits):
  portone=503                  every answer of one vendor
  *=429:5s                     every vendor asks for 5 s of patience
  bizppurio=503@10s..25s       for a while
  bizppurio/acme=hang#3        three requests of one account are never answered
  portone:refresh=reset#1      one refresh ends in a reset connection

Examples:
  renewd simulator --listen 127.0.0.1:9999
  renewd simulator --listen 127.0.0.1:0 --lifetime 10s --fault kis=rejected";

pub(super) const SIMULATE: &str = "\
It is the very engine of the agent, with a clock that runs as fast as it can.

Examples:
  renewd simulate --accounts 1000 --days 7
  renewd simulate --accounts 1000 --days 2 --lifetime 1h --outage 6h+40m";

pub(super) const COMPLETIONS: &str = "\
Examples:
  renewd completions bash > /usr/share/bash-completion/completions/renewd
  renewd completions zsh > \"${fpath[1]}/_renewd\"
  renewd completions fish > ~/.config/fish/completions/renewd.fish";

pub(super) const MAN: &str = "\
Examples:
  renewd man | man -l -
  renewd man --dir /usr/local/share/man/man1";
