//! A stored Secret and who owns which of its fields: server-side apply, as the API server does it for a flat object.
//! Checked against a real API server by `scripts/kubernetes-real`, which runs the same tests there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A leaf: `["data", "token"]`, `["metadata", "annotations", "renewd.io/account"]`, `["type"]`.
type Path = Vec<String>;

/// Who, and how: `("renewd", "Apply")`.
type Manager = (String, &'static str);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) uid: String,
    pub(crate) version: u64,
    pub(crate) leaving: bool,
    leaves: BTreeMap<Path, Value>,
    owners: BTreeMap<Manager, BTreeSet<Path>>,
}

/// Why a write is refused: status, reason, causes as (reason, message, field).
pub(crate) struct Refused(
    pub(crate) u16,
    pub(crate) &'static str,
    pub(crate) Vec<(&'static str, String, String)>,
);

impl Stored {
    pub(crate) fn new(uid: String) -> Self {
        Self { uid, version: 0, leaving: false, leaves: BTreeMap::new(), owners: BTreeMap::new() }
    }

    pub(crate) fn has_finalizers(&self) -> bool {
        let finalizers = self.leaves.get(&vec!["metadata".to_owned(), "finalizers".to_owned()]);
        finalizers.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    }

    /// Server-side apply.
    pub(crate) fn apply(&mut self, manager: &str, intent: &Value, force: bool) -> Result<(), Refused> {
        let me: Manager = (manager.to_owned(), "Apply");
        let wanted = leaves(intent);
        let mut causes = Vec::new();
        for (path, value) in &wanted {
            if self.leaves.get(path) == Some(value) {
                continue;
            }
            for ((name, how), owned) in &mut self.owners {
                if (name.as_str(), *how) != (manager, "Apply") && owned.contains(path) {
                    if force {
                        owned.remove(path);
                    } else {
                        let message = format!("conflict with {name:?} using v1");
                        causes.push(("FieldManagerConflict", message, format!(".{}", path.join("."))));
                    }
                }
            }
        }
        if !causes.is_empty() {
            return Err(Refused(409, "Conflict", causes));
        }
        let before = self.owners.remove(&me).unwrap_or_default();
        for path in before.into_iter().filter(|path| !wanted.contains_key(path)) {
            if !self.owners.values().any(|owned| owned.contains(&path)) {
                self.leaves.remove(&path);
            }
        }
        if !wanted.is_empty() {
            self.owners.insert(me, wanted.keys().cloned().collect());
        }
        self.leaves.extend(wanted);
        self.defaults()
    }

    /// A merge patch, or a whole new object: what changes belongs to the manager alone from then on.
    pub(crate) fn update(&mut self, manager: &str, patch: &Value) -> Result<(), Refused> {
        if self.leaves.get(&vec!["immutable".to_owned()]) == Some(&json!(true)) && patch.get("data").is_some()
        {
            return Err(immutable());
        }
        let mut changed = BTreeSet::new();
        for (path, value) in leaves(patch) {
            if self.leaves.get(&path) == Some(&value) {
                continue;
            }
            self.owners.values_mut().for_each(|owned| {
                owned.remove(&path);
            });
            if value.is_null() {
                self.leaves.remove(&path);
            } else {
                self.leaves.insert(path.clone(), value);
                changed.insert(path);
            }
        }
        if !changed.is_empty() {
            self.owners.entry((manager.to_owned(), "Update")).or_default().extend(changed);
        }
        self.owners.retain(|_, owned| !owned.is_empty());
        self.defaults()
    }

    /// What the server fills in, and what it checks.
    fn defaults(&mut self) -> Result<(), Refused> {
        self.leaves.entry(vec!["type".to_owned()]).or_insert_with(|| json!("Opaque"));
        let key = |path: &Path| (path.len() == 2 && path[0] == "data").then(|| path[1].clone());
        for name in self.leaves.keys().filter_map(key) {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                let field = format!("data[{name}]");
                return Err(Refused(
                    422,
                    "Invalid",
                    vec![("FieldValueInvalid", "Invalid value".to_owned(), field)],
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn is_immutable_against(&self, before: &Self) -> Result<(), Refused> {
        let immutable_then = before.leaves.get(&vec!["immutable".to_owned()]) == Some(&json!(true));
        let data = |stored: &Self| -> BTreeMap<Path, Value> {
            stored.leaves.clone().into_iter().filter(|(path, _)| path[0] == "data").collect()
        };
        if immutable_then && data(self) != data(before) { Err(immutable()) } else { Ok(()) }
    }

    /// As it is shown; with the metadata only where that is asked for.
    pub(crate) fn show(&self, namespace: &str, name: &str, partial: bool) -> Value {
        let mut object = json!({ "kind": "Secret", "apiVersion": "v1" });
        for (path, value) in &self.leaves {
            let mut at = &mut object;
            for part in path {
                at = &mut at[part];
            }
            *at = value.clone();
        }
        let managed: Vec<Value> = self
            .owners
            .iter()
            .map(|((manager, operation), owned)| {
                json!({ "manager": manager, "operation": operation, "apiVersion": "v1",
                        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields(owned, *operation == "Update") })
            })
            .collect();
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(name);
        metadata["namespace"] = json!(namespace);
        metadata["uid"] = json!(self.uid);
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        metadata["managedFields"] = json!(managed);
        if self.leaving {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        if partial {
            json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata.clone() })
        } else {
            object
        }
    }
}

fn immutable() -> Refused {
    let message = "Forbidden: field is immutable when `immutable` is set".to_owned();
    Refused(422, "Invalid", vec![("FieldValueForbidden", message, "data".to_owned())])
}

/// The leaves of what a client sends: maps are walked, lists are one value, names and versions are nobody's.
fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    fn walk(at: &Value, path: &Path, found: &mut BTreeMap<Path, Value>) {
        match at {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                walk(value, &[path.as_slice(), std::slice::from_ref(name)].concat(), found);
            }),
            other => {
                found.insert(path.clone(), other.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(object, &Vec::new(), &mut found);
    let server_owned = ["name", "namespace", "uid", "resourceVersion", "managedFields", "creationTimestamp"];
    found.retain(|path, _| match path.as_slice() {
        [first] => first != "apiVersion" && first != "kind",
        [first, second, ..] => first != "metadata" || !server_owned.contains(&second.as_str()),
        [] => false,
    });
    found
}

/// An update that makes a map owns the map too (`.`); an apply does not.
fn fields(owned: &BTreeSet<Path>, maps: bool) -> Value {
    let mut root = Map::new();
    for path in owned {
        let mut at = &mut root;
        for (depth, part) in path.iter().enumerate() {
            let entry = at.entry(format!("f:{part}")).or_insert_with(|| json!({}));
            let is_map = maps && matches!(part.as_str(), "data" | "annotations" | "labels") && depth < 2;
            let Value::Object(next) = entry else { unreachable!("made above") };
            if is_map && next.is_empty() {
                next.insert(".".to_owned(), json!({}));
            }
            at = next;
        }
    }
    Value::Object(root)
}
