use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use super::tokens::Tokens;
use crate::cli::args::ExecArgs;
use crate::cli::exit::Exit;
use crate::cli::report::Failure;
use crate::domain::{AccountId, Secret, TokenDocument};

/// The field of the token document whose own fields are asked for by name.
const EXTRA: &str = "extra";

/// A variable that was asked for: `NAME=ACCOUNT.FIELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Variable {
    name: String,
    account: AccountId,
    field: Field,
}

/// A field of the token document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    /// One that every provider has.
    Common(&'static str),
    /// One of `extra`.
    Extra(String),
}

/// What the command is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whose tokens are needed.
    pub(super) accounts: Vec<AccountId>,
    /// Whose tokens are to stand in files.
    pub(super) in_files: Vec<AccountId>,
    variables: Vec<Variable>,
}

impl Wanted {
    /// From the options.
    ///
    /// # Errors
    /// Two variables would have one name.
    pub(super) fn new(args: &ExecArgs) -> Result<Self, Failure> {
        let mut accounts: Vec<AccountId> = Vec::new();
        for account in args.accounts.iter().chain(args.variables.iter().map(|variable| &variable.account)) {
            if !accounts.contains(account) {
                accounts.push(account.clone());
            }
        }
        let listed: Vec<AccountId> =
            accounts.iter().filter(|account| args.accounts.contains(account)).cloned().collect();
        let mut variables = args.variables.clone();
        let in_files = if args.files.is_some() { listed.clone() } else { Vec::new() };
        let named = |account: &AccountId| {
            let token = Field::Common("access_token");
            args.variables.iter().any(|variable| variable.account == *account && variable.field == token)
        };
        for account in listed.iter().filter(|account| args.files.is_none() && !named(account)) {
            variables.push(Variable {
                name: format!("{}_ACCESS_TOKEN", upper(account)),
                account: account.clone(),
                field: Field::Common("access_token"),
            });
        }
        let wanted = Self { accounts, in_files, variables };
        wanted.distinct()?;
        Ok(wanted)
    }

    fn distinct(&self) -> Result<(), Failure> {
        let files = self.in_files.iter().map(|account| (file_variable(account), account));
        let others = self.variables.iter().map(|variable| (variable.name.clone(), &variable.account));
        let mut seen: BTreeMap<String, &AccountId> = BTreeMap::new();
        for (name, account) in others.chain(files) {
            if let Some(other) = seen.insert(name.clone(), account) {
                let message =
                    format!("two variables would be called {name}: of `{other}` and of `{account}`");
                return Err(Failure::new(Exit::Usage, message)
                    .hint(format!("name one of them yourself: --env NAME={account}.access_token")));
            }
        }
        Ok(())
    }

    /// The variables' values; `folder` is where the files are.
    ///
    /// # Errors
    /// A token has no such field, or it cannot stand in an environment.
    pub(super) fn values(
        &self,
        tokens: &Tokens,
        folder: Option<&Path>,
    ) -> Result<Vec<(String, Secret)>, Failure> {
        let mut values = Vec::new();
        for Variable { name, account, field } in &self.variables {
            let document = tokens.get(account).unwrap_or(&Value::Null);
            let value = match field {
                Field::Common(field) => &document[*field],
                Field::Extra(field) => &document["extra"][field],
            };
            let text = match value {
                Value::Null => return Err(no_field(account, field, document)),
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            if text.contains('\0') {
                let message = format!("the field `{field}` of `{account}` holds what no variable can hold");
                return Err(Failure::new(Exit::Failed, message));
            }
            values.push((name.clone(), Secret::new(text)));
        }
        let path = |account: &AccountId| {
            let path = folder.unwrap_or(Path::new("")).join(account.as_str());
            (file_variable(account), Secret::new(path.to_string_lossy().into_owned()))
        };
        values.extend(self.in_files.iter().map(path));
        Ok(values)
    }
}

fn no_field(account: &AccountId, field: &Field, document: &Value) -> Failure {
    let extra = document["extra"].as_object();
    let names: Vec<&str> = extra.into_iter().flat_map(|extra| extra.keys().map(String::as_str)).collect();
    let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Failure::new(Exit::Failed, format!("the token of `{account}` has no field `{field}`"))
        .hint(format!("further fields of its provider: {has}"))
}

/// `my-app` as it stands in a variable's name: `MY_APP`.
fn upper(account: &AccountId) -> String {
    let letter =
        |symbol: char| if symbol.is_ascii_alphanumeric() { symbol.to_ascii_uppercase() } else { '_' };
    account.as_str().chars().map(letter).collect()
}

fn file_variable(account: &AccountId) -> String {
    format!("{}_TOKEN_FILE", upper(account))
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Common(name) => f.write_str(name),
            Self::Extra(name) => write!(f, "extra.{name}"),
        }
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, source) = text
            .split_once('=')
            .ok_or("a variable is NAME=ACCOUNT.FIELD, like TOKEN=messaging.access_token")?;
        let letter = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_';
        if name.is_empty()
            || name.starts_with(|symbol: char| symbol.is_ascii_digit())
            || !name.chars().all(letter)
        {
            return Err("a variable's name is letters, digits and `_`, no digit first".to_owned());
        }
        // A name may hold dots, so the field is what comes last.
        let (account, field) = match source.rsplit_once(".extra.") {
            Some((account, field)) if !field.is_empty() => (account, Field::Extra(field.to_owned())),
            _ => {
                let (account, field) = source.rsplit_once('.').unwrap_or((source, ""));
                let mut common = TokenDocument::FIELDS.into_iter().filter(|known| *known != EXTRA);
                let known = common.clone().find(|known| *known == field).ok_or_else(|| {
                    let names: Vec<&str> = common.by_ref().collect();
                    format!("the fields are {} and {EXTRA}.NAME", names.join(", "))
                })?;
                (account, Field::Common(known))
            }
        };
        let account = AccountId::new(account).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), account, field })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn wanted(words: &[&str]) -> Result<Wanted, Failure> {
        let words = ["renewd", "exec"].iter().chain(words).chain(&["--", "true"]);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Exec(args) => Wanted::new(&args),
            other => panic!("{other:?}"),
        }
    }

    fn given(words: &[&str]) -> Vec<(String, String)> {
        let document = |name: &str| {
            json!({"account": name, "access_token": format!("tok-{name}"), "generation": 7,
                   "expires_at_unix": 1_772_361_600, "extra": {"scope": "send read", "n": 5}})
        };
        let id = |name: &str| AccountId::new(name).unwrap();
        let tokens: Tokens = ["my-app", "my.app", "shop"].map(|name| (id(name), document(name))).into();
        let values = wanted(words).unwrap().values(&tokens, Some(Path::new("/dev/shm/t"))).unwrap();
        values.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_token_is_called_after_its_account_unless_it_is_named() {
        assert_eq!(given(&["--account", "my-app"]), pairs(&[("MY_APP_ACCESS_TOKEN", "tok-my-app")]));
        assert_eq!(given(&["--env", "T=my.app.access_token"]), pairs(&[("T", "tok-my.app")]));
        assert_eq!(
            given(&["--account", "shop", "--env", "T=shop.access_token"]),
            pairs(&[("T", "tok-shop")])
        );
        assert_eq!(
            given(&[
                "--account",
                "shop",
                "--env",
                "END=shop.expires_at_unix",
                "--env",
                "S=my-app.extra.scope"
            ]),
            pairs(&[("END", "1772361600"), ("S", "send read"), ("SHOP_ACCESS_TOKEN", "tok-shop")])
        );
    }

    #[test]
    fn with_files_only_their_paths_stand_in_the_environment() {
        assert_eq!(
            given(&["--account", "shop", "--files", "/dev/shm/t"]),
            pairs(&[("SHOP_TOKEN_FILE", "/dev/shm/t/shop")])
        );
    }

    #[test]
    fn two_variables_of_one_name_are_a_mistake() {
        for words in [
            &["--account", "my-app", "--account", "my.app"][..],
            &["--env", "T=shop.access_token", "--env", "T=shop.expires_at"],
        ] {
            assert_eq!(wanted(words).unwrap_err().exit(), Exit::Usage);
        }
    }

    #[test]
    fn a_field_that_is_none_is_told() {
        for bad in
            ["T", "=a.access_token", "1T=a.access_token", "T-X=a.access_token", "T=a", "T=a.refresh_token"]
        {
            assert!(bad.parse::<Variable>().is_err(), "{bad}");
        }
        let id = AccountId::new("shop").unwrap();
        let tokens: Tokens = [(id, json!({"access_token": "x", "extra": {"scope": "s"}}))].into();
        let failure = wanted(&["--env", "T=shop.extra.tenant"]).unwrap().values(&tokens, None).unwrap_err();
        let said = failure.render(crate::cli::screen::Look::plain());
        assert!(said.contains("extra.tenant") && said.contains("scope"), "{said}");
    }
}
