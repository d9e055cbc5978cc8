//! A Secret as the API server shows it: what renewd looks at, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::FIELD_MANAGER;
use super::stamp::{Seen, Stamp};
use crate::config::model::KubernetesSink;
use crate::domain::Secret;

/// A Secret that was read.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    /// In base64.
    #[serde(default, deserialize_with = "masked")]
    data: BTreeMap<String, Secret>,
    #[serde(default)]
    immutable: Option<bool>,
}

/// A Secret's or any object's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) uid: String,
    pub(super) resource_version: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    managed_fields: Vec<Managed>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

/// An object of which only the metadata was asked for.
#[derive(Deserialize)]
pub(super) struct Partial {
    pub(super) metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    fields_v1: Map<String, Value>,
}

impl Object {
    /// What stands in it by its own account.
    pub(super) fn seen(&self) -> Seen {
        Seen::read(&self.metadata.annotations)
    }

    /// Whether it waits for a finalizer to let it go.
    pub(super) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }

    /// Whether it holds exactly this, all of it applied by renewd and nothing more.
    pub(super) fn holds(&self, data: &BTreeMap<String, Secret>, stamp: &Stamp) -> bool {
        let values = data.iter().all(|(key, value)| {
            self.data.get(key).is_some_and(|there| there.expose() == STANDARD.encode(value.expose()))
        });
        let annotations = stamp
            .annotations()
            .into_iter()
            .all(|(name, value)| self.metadata.annotations.get(name) == Some(&value));
        values && annotations && self.metadata.keys_of(Managed::is_ours) == data.keys().cloned().collect()
    }

    /// Whether renewd has applied any key.
    pub(super) fn has_ours(&self) -> bool {
        !self.metadata.keys_of(Managed::is_ours).is_empty()
    }

    /// Whether all that makes it a Secret is renewd's: each key, and nobody else owns a key or its type.
    pub(super) fn is_ours_alone(&self) -> bool {
        let ours = self.metadata.keys_of(Managed::is_ours);
        let others = |managed: &&Managed| {
            !managed.is_ours() && (managed.owns("f:type") || managed.keys().next().is_some())
        };
        self.data.keys().all(|key| ours.contains(key))
            && !self.metadata.managed_fields.iter().any(|m| others(&m))
    }
}

impl Metadata {
    fn keys_of(&self, whose: impl Fn(&Managed) -> bool) -> BTreeSet<String> {
        let managed = self.managed_fields.iter().filter(|managed| whose(managed));
        managed.flat_map(|managed| managed.keys().map(str::to_owned)).collect()
    }
}

impl Managed {
    /// An update under our name is not an apply: whoever made it was not renewd.
    fn is_ours(&self) -> bool {
        self.manager == FIELD_MANAGER && self.operation == "Apply"
    }

    fn owns(&self, field: &str) -> bool {
        self.fields_v1.contains_key(field)
    }

    /// The keys below `data`, in a form as `{"f:data": {".": {}, "f:token": {}}}`.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let data = self.fields_v1.get("f:data").and_then(Value::as_object);
        data.into_iter().flat_map(|fields| fields.keys()).filter_map(|field| field.strip_prefix("f:"))
    }
}

/// What is applied: the whole of what renewd means to own. `version` ties it to the Secret that was read.
pub(super) fn intent(
    sink: &KubernetesSink,
    version: Option<&str>,
    content: Option<(&BTreeMap<String, Secret>, &Stamp)>,
) -> Value {
    let mut intent = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": sink.secret, "namespace": sink.namespace },
    });
    if let Some(version) = version {
        intent["metadata"]["resourceVersion"] = json!(version);
    }
    if let Some((data, stamp)) = content {
        let encoded: BTreeMap<&String, String> =
            data.iter().map(|(key, value)| (key, STANDARD.encode(value.expose()))).collect();
        intent["metadata"]["annotations"] = json!(stamp.annotations());
        // Never `stringData`: the API server drops it, so that its ownership could not be told.
        intent["data"] = json!(encoded);
    }
    intent
}

fn masked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    let plain: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    let entries = plain.into_iter().flatten();
    Ok(entries.map(|(key, value)| (key, Secret::new(value.unwrap_or_default()))).collect())
}
