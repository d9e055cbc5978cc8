use super::{load, said};

#[test]
fn smoke() {
    println!(
        "{}",
        said(
            "accounts:\n  a:\n    provider: bizpurio\n    credentials: { account: acme, pasword: hunter2 }\n    renew: { befor: 10m, cron: \"0 4 * * *\" }\n    sinks:\n      - file: run/x\n      - file: /run/y\n      - file: /run/y\nagnt: {}\n"
        )
    );
    println!(
        "{:#?}",
        load(
            "accounts:\n  a:\n    provider: bizppurio\n    credentials: { account: acme, password: { file: /run/secrets/x } }\n    sinks:\n      - file: /run/y\n"
        )
    );
}
