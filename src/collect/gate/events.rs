//! What the HPA controller said of an autoscaler of the cluster in events, where its conditions do not tell.

use checks::evidence::{HpaEvent, Need, Plan};
use serde_json::Value;

use super::super::ask::Asker;
use super::super::json;
use crate::source::{Request, guard, segment};

/// So many events of one autoscaler are read, and so many of them are kept, the latest.
const READ: usize = 100;
const KEPT: usize = 20;

/// Whether a metric is not read and no condition says why: there are none, or another metric was read.
pub(super) fn are_wanted(plan: &Plan) -> bool {
    let Some(live) = &plan.live else { return false };
    let says_no = |kind: &str| {
        live.conditions.iter().any(|condition| condition.kind == kind && condition.status == "False")
    };
    let all_read = live.filled.len() >= live.spec.metrics.len() && live.filled.iter().all(|filled| *filled);
    !all_read && !says_no("AbleToScale") && !says_no("ScalingActive")
}

/// The warnings about an autoscaler.
pub(super) async fn look(asker: &Asker<'_>, plan: &mut Plan) {
    let Ok(namespace) = segment(&plan.namespace) else { return };
    let of = format!(
        "involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={},type=Warning",
        plan.name.replace(['\\', ',', '='], "")
    );
    let of = guard::query_value(&of);
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={of}&limit={READ}");
    let asked = asker.ask(Request::get(path)).await;
    let permission = format!("events in {}", plan.namespace);
    plan.events = asked.read(Need::Events, "list", &permission, |body| Some(events(body, plan)));
}

/// The latest events first. What is older than the autoscaler is of another of its name.
fn events(body: &Value, plan: &Plan) -> Vec<HpaEvent> {
    let created = plan.live.as_ref().map(|live| live.created);
    let read = |item: &Value| {
        let of = &item["involvedObject"];
        let own = of["kind"] == "HorizontalPodAutoscaler" && of["name"] == plan.name.as_str();
        let last = json::time(&item["lastTimestamp"]).or_else(|| json::time(&item["eventTime"]))?;
        (own && created.is_none_or(|created| last >= created)).then(|| HpaEvent {
            reason: json::text(&item["reason"]),
            message: json::text(&item["message"]),
            count: json::number(&item["count"]),
            last,
        })
    };
    let mut events: Vec<HpaEvent> = json::items(&body["items"]).filter_map(read).collect();
    events.sort_by(|one, other| (other.last, &one.message).cmp(&(one.last, &other.message)));
    events.truncate(KEPT);
    events
}
