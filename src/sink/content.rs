//! What stands in a file: the contract's `content:`.

use zeroize::Zeroizing;

use super::context::Member;
use super::template::{Template, TemplateError};
use crate::config::model::{Content, FileSink};
use crate::domain::{AccountId, Token, TokenDocument};

/// Why a token has no content for a file. Holds nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// In the template.
    #[error("template, {0}")]
    Template(#[from] TemplateError),
    /// In the template that this names.
    #[error("{place}, {error}")]
    In {
        /// The file that the template was read from, or what is made from it.
        place: String,
        /// What is wrong there.
        error: TemplateError,
    },
    /// A member of the template has no token.
    #[error("the account `{0}` has no token yet")]
    Missing(AccountId),
    /// The provider's token type is not what an HTTP header can begin with.
    #[error("the provider's token type is not one word, so there is no header to write")]
    TokenType,
    /// A token with a space, a line break or anything but printable ASCII would say something else in a file.
    #[error("the token holds a character that is not printable ASCII")]
    Unprintable,
}

/// The content of the sink's file for this token.
///
/// | `content:` | the file holds |
/// | --- | --- |
/// | `token` | the bare token, no newline |
/// | `header` | `Authorization: Bearer <token>`, no newline: `curl -H @FILE` takes the last line without one |
/// | `json` | the token document on one line, and a newline |
/// | `template` | what the template makes; nothing is added or cut |
///
/// # Errors
/// [`RenderError`].
pub fn render<'a>(sink: &FileSink, member: impl Into<Member<'a>>) -> Result<Zeroizing<Vec<u8>>, RenderError> {
    let member = member.into();
    let document = member.document;
    printable(document)?;
    match &sink.content {
        Content::Token => Ok(Zeroizing::new(document.token.access_token.expose().as_bytes().to_vec())),
        Content::Header => header(document.token),
        Content::Json => Ok(json(&document)),
        Content::Template(source) => {
            Ok(Template::for_path(source, &sink.path)?.render(&member.context(source))?)
        }
    }
}

pub(super) fn printable(document: TokenDocument<'_>) -> Result<(), RenderError> {
    let token = document.token.access_token.expose();
    let is_printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_printable { Ok(()) } else { Err(RenderError::Unprintable) }
}

fn header(token: &Token) -> Result<Zeroizing<Vec<u8>>, RenderError> {
    let scheme = token.scheme().ok_or(RenderError::TokenType)?;
    let parts = ["Authorization: ", scheme, " ", token.access_token.expose()];
    let mut line = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| line.extend_from_slice(part.as_bytes()));
    Ok(line)
}

fn json(document: &TokenDocument<'_>) -> Zeroizing<Vec<u8>> {
    let mut text = document.to_json().to_string();
    text.push('\n');
    Zeroizing::new(text.into_bytes())
}
