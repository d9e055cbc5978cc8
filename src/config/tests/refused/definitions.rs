//! Definitions of providers.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "a definition",
        r#"accounts: {}
providers:
  Bad: {}
  x: { titel: a, life: 0s }
  y:
    environments: { a: "http://x.example.com" }
    default_environment: b
    credentials: { id: { identity: yes }, k: null }
    issue: { request: { path: x }, response: { token: x, expiry: [] } }
"#,
        r"
3:3: not a provider's name: 1 to 64 of `a-z 0-9 . _ -`
4:3: a definition needs `issue`, `refresh` or both
4:8: unknown key `titel` in a provider (did you mean `title`?)
4:24: a life of nothing
6:24: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
7:26: not one of `environments` (there are none)
8:36: expected `true` or `false`
8:46: expected a mapping, found nothing (the keys of a credential are `identity`, `optional`, `max_length`, `refresh_seed`, `owns_refresh` and `description`)
9:31: expected a path such as `/v1/token` (a whole URL is given as `url`)
9:55: expected a JSON pointer such as `/data/token` (it begins with `/`)
9:66: `expiry` is an empty list
",
    ),
    (
        "a definition's request",
        r#"accounts: {}
providers:
  y:
    life: 1h
    response: { token: /t }
    credentials: { id: {} }
    issue:
      request:
        path: /x
        url: /y
        headers: { "a b": c, x-k: "{{ credentials.i }}", host: x }
        json: { a: "{{ nonse }}" }
        form: {}
    refresh: { request: { url: "{{ credentials.id }}", method: PATCH, basic: { username: "{{" } } }
"#,
        r"
8:7: a request has exactly one of `path` and `url`
10:14: a path in place of a whole URL (give it as `path`)
11:20: not the name of a header
11:35: the template uses `credentials.i`, which does not exist (did you mean `credentials.id`?)
11:58: this header is made from the request itself
12:20: the template uses `nonse`, which does not exist (did you mean `nonce`?)
13:15: a request has `json` or `form`, not both
14:32: the template uses `credentials.id`, which does not exist (there are `base_url` and `environment`)
14:64: `method` must be one of `GET`, `POST`, `PUT`
14:71: `password` is missing in `basic` (add `password`: a template.)
14:90: the template is not valid: unexpected end of input, expected expression
",
    ),
    (
        "a definition's response",
        r#"accounts: {}
providers:
  y:
    issue:
      request: { path: /x }
      response:
        token: []
        expiry:
          - { datetime: /x, format: "%Q", zone: Mars }
          - { datetime: /x }
          - { lifetime: x }
          - { lifetime: /x, jwt: exp }
          - { fixed: 1h, unit: s }
          - { param: p }
        errors: [{ class: bad }, { status: 700, at: /x, class: transient }]
        wait: [{ header: "a b", min: 2s, max: 1s }]
"#,
        r#"
7:16: `token` is an empty list
9:37: not a strptime format of a date and a time (as in "%Y%m%d%H%M%S")
9:49: there is no such time zone (an IANA name such as `Asia/Seoul` or `UTC`)
10:13: `datetime` needs a `format` such as "%Y-%m-%d %H:%M:%S"
11:25: expected a JSON pointer such as `/data/token` (it begins with `/`)
12:13: an expiry rule has exactly one of `lifetime`, `epoch`, `datetime`, `rfc3339`, `jwt`, `fixed` and `param`
13:32: `unit` goes with `lifetime` and `epoch` only
14:22: not one of `params` (there are none)
15:18: a rule without a condition (add `status`, or `at` with `values`)
15:27: `class` must be one of `rejected`, `throttled`, `transient`, `malformed`, `relogin`, `config`
15:34: `at` and `values` go together
15:44: expected an HTTP status such as `401` or `5xx`
16:26: not the name of a header
16:38: `min` is more than `max`
"#,
    ),
    (
        "a refresh without a first token",
        r"accounts: {}
providers: { y: { life: 1h, refresh: { request: { path: /x }, response: { token: /t } } } }
",
        r"
2:38: `refresh` without `issue` needs a first refresh token (mark the credential that holds it with `refresh_seed: true`)
",
    ),
    (
        "a key that owns no refresh token",
        r"accounts: {}
providers: { y: { credentials: { k: { owns_refresh: true } }, issue: { request: { path: /x }, response: { token: /t, expiry: [ fixed: 1h ] } } } }
",
        r"
2:32: `k` owns no refresh token here (`owns_refresh` is for a provider with `issue` and `refresh`)
",
    ),
];
