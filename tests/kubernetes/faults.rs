//! What only a double can be made to do.

use std::time::Duration;

use axum::http::Method;
use renewd::kubernetes::{Cluster, KubeError, Origin, Removed, Written};
use serde_json::json;

use crate::double::{Double, Fault};
use crate::room::{NAME, RENEWD, Room, account, data, encoded, plain, stamp};

fn double(room: &Room) -> &Double {
    room.double.as_ref().unwrap()
}

#[tokio::test]
async fn a_busy_server_is_away_for_as_long_as_it_asks() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    for (status, wait, expected) in [
        (429, Some("7"), KubeError::Busy { retry_after: Some(Duration::from_secs(7)) }),
        (429, Some("1000000000"), KubeError::Busy { retry_after: Some(Duration::from_secs(3600)) }),
        (429, Some("soon"), KubeError::Busy { retry_after: None }),
        (503, Some("2"), KubeError::Server { status: 503, retry_after: Some(Duration::from_secs(2)) }),
        (500, None, KubeError::Server { status: 500, retry_after: None }),
    ] {
        for method in [Method::GET, Method::PATCH] {
            let before = double(&room).requests().len();
            double(&room).fault(method.clone(), Fault::Status(status, wait));
            let error =
                cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
            assert_eq!(error, expected);
            assert!(error.server_away());
            // Whoever drives the sinks retries, not the library below.
            let sent = double(&room).requests().len() - before;
            assert_eq!(sent, if method == Method::GET { 1 } else { 2 });
        }
    }
    assert_eq!(room.look().await, None);
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_its_time_and_no_more() {
    const SOON: Duration = Duration::from_millis(200);
    let room = Room::with_double().await;
    // The line is made first: what that costs on a busy machine is not what is asked here.
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "one")]), &stamp(1, 0)).await.unwrap();
    let cluster = cluster.with_timeout(SOON);
    double(&room).fault(Method::GET, Fault::Hang);
    let (content, before) = (data(&[("token", "two")]), double(&room).requests().len());
    // A request that has not even left in time has met no fault.
    while double(&room).requests().len() == before {
        let error = cluster.put(&room.sink(), &content, &stamp(2, 60)).await.unwrap_err();
        assert_eq!(error, KubeError::TimedOut(SOON));
        assert!(error.server_away());
    }
    // A look and a write on a line that has to be made anew may take their time.
    let cluster = cluster.with_timeout(Duration::from_secs(10));
    let put = cluster.put(&room.sink(), &content, &stamp(2, 60)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
}

#[tokio::test]
async fn a_page_is_no_answer_of_an_api_server() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    double(&room).fault(Method::GET, Fault::Html);
    let error = cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error, KubeError::NotKubernetes);
    double(&room).fault(Method::GET, Fault::Status(404, None));
    let error = cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error, KubeError::NotKubernetes, "a 404 that no API server wrote is not an absent Secret");
    assert!(error.server_away());
}

#[tokio::test]
async fn a_server_that_is_gone_is_away() {
    let room = Room::with_double().await;
    let cluster = json!({ "server": "http://127.0.0.1:9" });
    let path = room.kubeconfig_for(&cluster, &json!({ "token": RENEWD }));
    let cluster = Cluster::new(Origin::Kubeconfig(path));
    let error = cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error.to_string(), "the Kubernetes API cannot be reached: the connection is refused");
    assert!(error.server_away());
}

#[tokio::test]
async fn a_change_between_look_and_write_makes_it_look_again() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "one")]), &stamp(1, 0)).await.unwrap();
    let before = double(&room).requests().len();
    double(&room).fault(Method::PATCH, Fault::AfterForeignChange);
    let put = cluster.put(&room.sink(), &data(&[("token", "two")]), &stamp(2, 60)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(double(&room).requests()[before..], ["GET", "PATCH", "GET", "PATCH"]);
    assert_eq!(room.values().await, plain(&[("token", "two")]));
    double(&room).fault(Method::DELETE, Fault::AfterForeignChange);
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Secret);
}

#[tokio::test]
async fn a_secret_that_never_rests_is_told_after_four_tries() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "one")]), &stamp(1, 0)).await.unwrap();
    for _ in 0..4 {
        double(&room).fault(Method::PATCH, Fault::AfterForeignChange);
    }
    let error = cluster.put(&room.sink(), &data(&[("token", "two")]), &stamp(2, 60)).await.unwrap_err();
    assert_eq!(error, KubeError::Restless);
    assert!(!error.server_away());
}

#[tokio::test]
async fn a_token_that_a_broken_clock_dated_into_the_future_does_not_hold_its_place() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    // Ten years ahead of the server's clock.
    cluster.put(&room.sink(), &data(&[("token", "ahead")]), &stamp(7, 315_360_000)).await.unwrap();
    double(&room).fault(Method::GET, Fault::Clock("Tue, 14 Nov 2023 22:13:25 GMT"));
    let put = cluster.put(&room.sink(), &data(&[("token", "right")]), &stamp(8, 5)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("token", "right")]));
}

#[tokio::test]
async fn what_stands_as_it_was_written_is_compared_by_its_version_alone() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    let content = data(&[("token", "one")]);
    let asked = |before: usize| double(&room).requests()[before..].to_vec();
    let begun = || double(&room).requests().len();
    let put = async |content: &_, generation| {
        cluster.put(&room.sink(), content, &stamp(generation, 0)).await.unwrap().written
    };
    assert_eq!(put(&content, 1).await, Written::Created);
    assert_eq!(asked(0)[asked(0).len() - 3..], ["GET", "PATCH", "GET metadata"]);
    for _ in 0..2 {
        let before = begun();
        assert_eq!(put(&content, 1).await, Written::Unchanged);
        assert_eq!(asked(before), ["GET metadata"]);
    }
    // Somebody's label: another version, so all of it is read, once.
    room.others_patch("kubectl-label", &json!({ "metadata": { "labels": { "team": "a" } } })).await;
    let before = begun();
    assert_eq!(put(&content, 1).await, Written::Unchanged);
    assert_eq!(put(&content, 1).await, Written::Unchanged);
    assert_eq!(asked(before), ["GET metadata", "GET", "GET metadata"]);
    // A new token is another matter, and so is what was taken away.
    let (newer, before) = (data(&[("token", "two")]), begun());
    assert_eq!(put(&newer, 2).await, Written::Updated);
    assert_eq!(asked(before), ["GET", "PATCH"]);
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Secret);
    let before = begun();
    assert_eq!(put(&newer, 2).await, Written::Created);
    assert_eq!(asked(before), ["GET", "PATCH", "GET metadata"]);
    // At the start of another agent nothing is known.
    let other = room.cluster(RENEWD);
    let before = begun();
    for _ in 0..2 {
        let put = other.put(&room.sink(), &newer, &stamp(2, 0)).await.unwrap();
        assert_eq!(put.written, Written::Unchanged);
    }
    assert_eq!(asked(before), ["GET", "GET metadata"]);
}

#[tokio::test]
async fn of_two_agents_that_make_a_secret_at_the_same_instant_the_newer_token_stays() {
    let room = Room::with_double().await;
    let cluster = room.cluster(RENEWD);
    let older = |value: &str, generation: &str, issued_at: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": NAME, "annotations": {
                "renewd.io/account": "messaging", "renewd.io/generation": generation,
                "renewd.io/issued-at": issued_at,
            } },
            "data": { "token": encoded(value) },
        })
    };
    // Another agent has seen that there is no Secret, and its older token arrives after ours.
    let theirs = older("older", "6", "2023-11-14T22:13:20Z");
    double(&room).fault(Method::PATCH, Fault::Overtaken(theirs));
    let put = cluster.put(&room.sink(), &data(&[("token", "newer")]), &stamp(7, 60)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("token", "newer")]));
    assert_eq!(room.look().await.unwrap()["metadata"]["annotations"]["renewd.io/generation"], "7");

    // Its newer one stays.
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Secret);
    let theirs = older("newest", "8", "2023-11-14T22:15:20Z");
    double(&room).fault(Method::PATCH, Fault::Overtaken(theirs));
    let put = cluster.put(&room.sink(), &data(&[("token", "newer")]), &stamp(7, 60)).await.unwrap();
    assert_eq!(put.written, Written::NewerThere);
    assert_eq!(room.values().await, plain(&[("token", "newest")]));
}
