//! A double of the API server: Secrets, namespaces, RBAC by name, and faults on demand.

mod secret;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use secret::{Refused, Stored};

/// What the next request gets in place of its answer.
pub(crate) enum Fault {
    /// A status with a `Retry-After`, and a body that is no `Status`.
    Status(u16, Option<&'static str>),
    /// 200 with a page.
    Html,
    /// Nothing, for longer than anyone waits.
    Hang,
    /// The answer, after somebody else has labelled the Secret.
    AfterForeignChange,
    /// The answer, with the server's clock at this time.
    Clock(&'static str),
    /// The answer, and right after it another agent's apply of this, which is tied to no version.
    Overtaken(Value),
}

#[derive(Default)]
struct World {
    version: u64,
    namespaces: BTreeMap<String, bool>,
    secrets: BTreeMap<(String, String), Stored>,
    roles: Vec<(String, Value)>,
    bindings: Vec<(String, Value)>,
    tokens: BTreeMap<String, String>,
    faults: VecDeque<(Method, Fault)>,
    requests: Vec<String>,
    refused: usize,
}

/// The running double.
#[derive(Clone)]
pub(crate) struct Double {
    world: Arc<Mutex<World>>,
    pub(crate) url: String,
}

impl Double {
    /// Listens on this machine, as long as the test's runtime lives.
    pub(crate) async fn start(tokens: &[(&str, &str)]) -> Self {
        let mut world = World::default();
        world.namespaces.insert("default".to_owned(), false);
        world.tokens = tokens.iter().map(|(token, user)| ((*token).to_owned(), (*user).to_owned())).collect();
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { world, url }
    }

    /// The next request with this method meets a fault.
    pub(crate) fn fault(&self, method: Method, fault: Fault) {
        self.world.lock().unwrap().faults.push_back((method, fault));
    }

    /// A token that was issued for a user, beside those that there are.
    pub(crate) fn add_token(&self, token: &str, user: &str) {
        self.world.lock().unwrap().tokens.insert(token.to_owned(), user.to_owned());
    }

    /// The token has ended.
    pub(crate) fn forget_token(&self, token: &str) {
        self.world.lock().unwrap().tokens.remove(token);
    }

    /// The token has ended, and its user has another one.
    pub(crate) fn replace_token(&self, old: &str, new: &str) {
        let mut world = self.world.lock().unwrap();
        let user = world.tokens.remove(old).unwrap();
        world.tokens.insert(new.to_owned(), user);
    }

    /// How many requests had no token that it knows.
    pub(crate) fn refused(&self) -> usize {
        self.world.lock().unwrap().refused
    }

    /// `METHOD` of each request so far; `GET metadata` where no value was asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.world.lock().unwrap().requests.clone()
    }
}

/// One request's parts that matter.
struct Asked {
    method: Method,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    content_type: String,
    partial: bool,
    user: String,
    body: Value,
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header =
        |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let fault = {
        let mut world = world.lock().unwrap();
        let partial = method == Method::GET && wants_metadata(header(header::ACCEPT));
        world.requests.push(format!("{method}{}", if partial { " metadata" } else { "" }));
        match world.faults.front() {
            Some((expected, _)) if *expected == method => world.faults.pop_front().map(|(_, fault)| fault),
            _ => None,
        }
    };
    let (mut clock, mut overtaken) = (None, None);
    match fault {
        Some(Fault::Status(status, wait)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), "no").into_response();
            if let Some(wait) = wait {
                response.headers_mut().insert(header::RETRY_AFTER, wait.parse().unwrap());
            }
            return response;
        }
        Some(Fault::Html) => return "<html>Sign in</html>".into_response(),
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_secs(3600)).await,
        Some(Fault::AfterForeignChange) => world.lock().unwrap().label_everything(),
        Some(Fault::Clock(time)) => clock = Some(time),
        Some(Fault::Overtaken(body)) => overtaken = Some(body),
        None => {}
    }
    let mut world = world.lock().unwrap();
    let user = header(header::AUTHORIZATION)
        .strip_prefix("Bearer ")
        .and_then(|token| world.tokens.get(token))
        .cloned();
    let (status, body) = match user {
        None => {
            world.refused += 1;
            status(401, "Unauthorized", "Unauthorized", None, &[])
        }
        Some(user) => world.answer(&Asked {
            path: uri.path().split('/').skip(1).map(str::to_owned).collect(),
            content_type: header(header::CONTENT_TYPE).to_owned(),
            partial: wants_metadata(header(header::ACCEPT)),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            method,
            query,
            user,
        }),
    };
    if let Some(body) = overtaken {
        let (status, body) = world.answer(&Asked {
            method: Method::PATCH,
            path: uri.path().split('/').skip(1).map(str::to_owned).collect(),
            query: [("fieldManager".to_owned(), "renewd".to_owned())].into(),
            content_type: "application/apply-patch+yaml".to_owned(),
            partial: true,
            user: "admin".to_owned(),
            body,
        });
        assert_eq!(status, 200, "{body}");
    }
    let mut response = (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response();
    if let Some(clock) = clock {
        response.headers_mut().insert(header::DATE, clock.parse().unwrap());
    }
    response
}

fn wants_metadata(accept: &str) -> bool {
    accept.contains("as=PartialObjectMetadata")
}

impl World {
    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("POST", ["api", "v1", "namespaces"]) => {
                let name = asked.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.namespaces.insert(name, false);
                (201, asked.body.clone())
            }
            ("DELETE", ["api", "v1", "namespaces", name]) => {
                self.namespaces.insert((*name).to_owned(), true);
                (200, json!({}))
            }
            ("POST", ["apis", "rbac.authorization.k8s.io", "v1", "namespaces", namespace, kind]) => {
                let list = if *kind == "roles" { &mut self.roles } else { &mut self.bindings };
                list.push(((*namespace).to_owned(), asked.body.clone()));
                (201, asked.body.clone())
            }
            ("POST", ["api", "v1", "namespaces", namespace, "secrets"]) => {
                let name = asked.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.secret(asked, namespace, &name)
            }
            (_, ["api", "v1", "namespaces", namespace, "secrets", name]) => {
                self.secret(asked, namespace, name)
            }
            _ => status(404, "NotFound", "the server could not find the requested resource", None, &[]),
        }
    }

    fn secret(&mut self, asked: &Asked, namespace: &str, name: &str) -> (u16, Value) {
        let at = (namespace.to_owned(), name.to_owned());
        let there = self.secrets.get(&at).cloned();
        let verb = match asked.method.as_str() {
            "POST" => "create",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "get",
        };
        // An apply that makes the object needs `create` too, with the object's name.
        let creates = verb == "patch" && there.is_none();
        for verb in [Some(verb), creates.then_some("create")].into_iter().flatten() {
            if !self.allows(&asked.user, verb, namespace, name) {
                let message = if creates && verb == "create" {
                    format!("secrets {name:?} is forbidden: ")
                } else {
                    format!(
                        "secrets {name:?} is forbidden: User {:?} cannot {verb} resource \"secrets\" in API group \"\" in \
                         the namespace {namespace:?}",
                        asked.user
                    )
                };
                return status(403, "Forbidden", &message, Some("secrets"), &[]);
            }
        }
        let absent = || status(404, "NotFound", &format!("secrets {name:?} not found"), Some("secrets"), &[]);
        match (verb, there) {
            ("get", Some(there)) => (200, there.show(namespace, name, asked.partial)),
            ("delete", Some(there)) => self.delete(asked, &at, there),
            ("get" | "delete", None) => absent(),
            (_, there) => self.write(asked, &at, there),
        }
    }

    fn write(&mut self, asked: &Asked, at: &(String, String), there: Option<Stored>) -> (u16, Value) {
        let (namespace, name) = at;
        if there.is_none() {
            match self.namespaces.get(namespace) {
                None => {
                    let message = format!("namespaces {namespace:?} not found");
                    return status(404, "NotFound", &message, Some("namespaces"), &[]);
                }
                Some(true) => {
                    let because = format!("namespace {namespace} is being terminated");
                    let cause = ("NamespaceTerminating", because, "metadata.namespace".to_owned());
                    return status(403, "Forbidden", "it is being terminated", Some("secrets"), &[cause]);
                }
                Some(false) => {}
            }
        }
        let expected = asked.body["metadata"]["resourceVersion"].as_str();
        if let (Some(there), Some(expected)) = (&there, expected)
            && there.version.to_string() != expected
        {
            return conflict();
        }
        let before = there.clone();
        let mut stored = there.unwrap_or_else(|| Stored::new(format!("uid-{}", self.version + 1)));
        let manager = asked.query.get("fieldManager").map_or("unknown", String::as_str);
        let done = match asked.content_type.as_str() {
            "application/apply-patch+yaml" => stored.apply(
                manager,
                &asked.body,
                asked.query.get("force").is_some_and(|force| force == "true"),
            ),
            _ => stored.update(manager, &asked.body),
        };
        let checked =
            done.and_then(|()| before.as_ref().map_or(Ok(()), |before| stored.is_immutable_against(before)));
        if let Err(Refused(code, reason, causes)) = checked {
            return status(code, reason, "refused", Some("secrets"), &causes);
        }
        if before.as_ref() != Some(&stored) && !asked.query.contains_key("dryRun") {
            self.version += 1;
            stored.version = self.version;
            if stored.leaving && !stored.has_finalizers() {
                self.secrets.remove(at);
            } else {
                self.secrets.insert(at.clone(), stored.clone());
            }
        }
        (if before.is_none() { 201 } else { 200 }, stored.show(namespace, name, asked.partial))
    }

    fn delete(&mut self, asked: &Asked, at: &(String, String), mut there: Stored) -> (u16, Value) {
        let wanted = &asked.body["preconditions"];
        let differs = |field: &str, is: &str| wanted[field].as_str().is_some_and(|wanted| wanted != is);
        if differs("uid", &there.uid) || differs("resourceVersion", &there.version.to_string()) {
            return conflict();
        }
        if there.has_finalizers() {
            self.version += 1;
            there.version = self.version;
            there.leaving = true;
            self.secrets.insert(at.clone(), there);
        } else {
            self.secrets.remove(at);
        }
        (200, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
    }

    /// RBAC: some binding of the user names a role that has the verb for the name.
    fn allows(&self, user: &str, verb: &str, namespace: &str, name: &str) -> bool {
        let has = |list: &Value, item: &str| {
            list.as_array().is_some_and(|list| list.iter().any(|entry| entry == item))
        };
        let role_allows = |role: &Value| {
            role["rules"].as_array().into_iter().flatten().any(|rule| {
                has(&rule["resources"], "secrets")
                    && has(&rule["verbs"], verb)
                    && (rule["resourceNames"].is_null() || has(&rule["resourceNames"], name))
            })
        };
        let bound = |binding: &Value| {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            subjects.into_iter().any(|subject| subject["kind"] == "User" && subject["name"] == user)
        };
        user == "admin"
            || self.bindings.iter().filter(|(at, binding)| at == namespace && bound(binding)).any(
                |(_, binding)| {
                    let mut roles = self.roles.iter().filter(|(at, _)| at == namespace);
                    roles.any(|(_, role)| {
                        role["metadata"]["name"] == binding["roleRef"]["name"] && role_allows(role)
                    })
                },
            )
    }

    fn label_everything(&mut self) {
        for stored in self.secrets.values_mut() {
            self.version += 1;
            let label = json!({ "metadata": { "labels": { "seen": self.version.to_string() } } });
            assert!(stored.update("labeller", &label).is_ok());
            stored.version = self.version;
        }
    }
}

fn conflict() -> (u16, Value) {
    status(
        409,
        "Conflict",
        "Operation cannot be fulfilled: the object has been modified",
        Some("secrets"),
        &[],
    )
}

fn status(
    code: u16,
    reason: &str,
    message: &str,
    kind: Option<&str>,
    causes: &[(&'static str, String, String)],
) -> (u16, Value) {
    let causes: Vec<Value> = causes
        .iter()
        .map(|(reason, message, field)| json!({ "reason": reason, "message": message, "field": field }))
        .collect();
    let mut body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                           "message": message, "reason": reason, "code": code });
    if let Some(kind) = kind {
        body["details"] = json!({ "kind": kind });
        if !causes.is_empty() {
            body["details"]["causes"] = json!(causes);
        }
    }
    (code, body)
}
