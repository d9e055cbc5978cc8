mod compose;
mod content;
mod directory;
mod escape;
mod file;
mod killed;

use serde_json::json;

use crate::config::model::{
    Content, FileSink, OnRemove, TemplateForm, TemplateTarget, WhenExpired, WriteMode,
};
use crate::domain::{AccountId, Generation, Secret, Timestamp, Token, TokenDocument, TokenMeta};

fn sink(path: &str, content: Content) -> FileSink {
    FileSink {
        path: path.into(),
        content,
        mode: 0o600,
        owner: None,
        group: None,
        write: WriteMode::Replace,
        when_expired: WhenExpired::Keep,
        on_remove: OnRemove::Keep,
    }
}

fn target(path: &std::path::Path, form: TemplateForm) -> TemplateTarget {
    TemplateTarget {
        path: path.to_owned(),
        form,
        accounts: Vec::new(),
        mode: 0o600,
        owner: None,
        group: None,
        on_remove: OnRemove::Keep,
        on_change: Vec::new(),
    }
}

fn token(text: &str) -> Token {
    Token {
        meta: TokenMeta {
            generation: Generation(7),
            issued_at: Timestamp::from_secs(1_800_000_000),
            expires_at: Timestamp::from_secs(1_800_003_600),
        },
        access_token: Secret::from(text),
        token_type: "Bearer".into(),
        extra: vec![
            ("scope".into(), json!("send read")),
            ("nested".into(), json!({"b": [1, "x"], "a": null})),
        ],
    }
}

/// The content of a file named `name` for this token.
fn render(name: &str, content: Content, token: &Token) -> Result<String, super::content::RenderError> {
    let account = AccountId::new("messaging").unwrap();
    let document = TokenDocument { account: &account, provider: "bizppurio", token };
    let content = super::content::render(&sink(&format!("/run/{name}"), content), &document)?;
    Ok(String::from_utf8(content.to_vec()).unwrap())
}
