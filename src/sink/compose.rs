//! Files made from several accounts' tokens: the contract's `templates:`.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Value;
use zeroize::Zeroizing;

use super::content::{RenderError, printable};
use super::context::Member;
use super::template::{Template, TemplateError};
use crate::config::model::{Content, FileSink, TemplateForm, TemplateTarget, TemplateText, WhenExpired};
use crate::domain::AccountId;

/// The content of the file `path`, of this text and the accounts that it is made from.
///
/// The text sees them as `accounts.NAME.FIELD` (`accounts["NAME"].FIELD`) and nothing else. Values are escaped by the
/// ending of `path`, whatever the text's own file is called.
///
/// # Errors
/// [`RenderError`], with the place and line in the template and never a value.
pub fn render(
    text: &TemplateText,
    path: &Path,
    members: &BTreeMap<&AccountId, Member<'_>>,
) -> Result<Zeroizing<Vec<u8>>, RenderError> {
    members.values().try_for_each(|member| printable(member.document))?;
    let template = Template::for_path(&text.text, path).map_err(|error| placed(text, path, error))?;
    let account =
        |(name, member): (&&AccountId, &Member<'_>)| (name.as_str().to_owned(), member.context(&text.text));
    let accounts: BTreeMap<String, Value> = members.iter().map(account).collect();
    let context = Value::from(BTreeMap::from([("accounts".to_owned(), Value::from(accounts))]));
    template.render(&context).map_err(|error| placed(text, path, error))
}

/// The content of each file that `target` is made of, by its name: one for a `path:`, some for a `directory:`.
///
/// # Errors
/// As [`render`]; [`RenderError::Missing`] where `members` lacks one of the target's accounts.
pub fn render_all(
    target: &TemplateTarget,
    members: &BTreeMap<&AccountId, Member<'_>>,
) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, RenderError> {
    if let Some(missing) = target.accounts.iter().find(|account| !members.contains_key(account)) {
        return Err(RenderError::Missing(missing.clone()));
    }
    match &target.form {
        TemplateForm::File { text, .. } => {
            let name = target.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(BTreeMap::from([(name, render(text, &target.path, members)?)]))
        }
        TemplateForm::Directory(files) => {
            let file = |(name, text): (&String, _)| {
                render(text, &target.path.join(name), members).map(|content| (name.clone(), content))
            };
            files.iter().map(file).collect()
        }
    }
}

/// The file that a `path:` template is written to, for [`file`](super::file); `None` for a `directory:`.
#[must_use]
pub fn file_of(target: &TemplateTarget) -> Option<FileSink> {
    let TemplateForm::File { text, write } = &target.form else { return None };
    Some(FileSink {
        path: target.path.clone(),
        content: Content::Template(text.text.clone()),
        mode: target.mode,
        owner: target.owner.clone(),
        group: target.group.clone(),
        write: *write,
        when_expired: WhenExpired::Keep,
        on_remove: target.on_remove,
    })
}

fn placed(text: &TemplateText, path: &Path, error: TemplateError) -> RenderError {
    let place = match &text.source {
        Some(source) => format!("`{}`", source.display()),
        None => format!("template of `{}`", path.file_name().unwrap_or_default().to_string_lossy()),
    };
    RenderError::In { place, error }
}
