//! Changes of an autoscaler that runs. What a real controller makes of such is in `tests/gate/warned/replicas-*`.

use serde_json::{Value, json};

use super::*;
use crate::evidence::{Hpa, HpaPod, Look};
use crate::plan::testing::{cpu, deployment, forbidden, hpa, offline, online, result, seen, word, words};
use crate::plan::{HpaSpec, Quantity, read_template};

/// A metric with one of its amounts: `External`, `averageValue`, `500m`.
fn metric(kind: &str, field: &str, amount: &str) -> Value {
    let target = json!({"type": if field == "value" { "Value" } else { "AverageValue" }, field: amount});
    let name = json!({"name": "queue"});
    match kind {
        "Resource" => json!({"type": kind, "resource": {"name": "memory", "target": target}}),
        "Pods" => json!({"type": kind, "pods": {"metric": name, "target": target}}),
        "Object" => json!({"type": kind, "object": {"metric": name, "target": target,
                           "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"}}}),
        _ => json!({"type": kind, "external": {"metric": name, "target": target}}),
    }
}

fn average(amount: &str) -> Value {
    metric("External", "averageValue", amount)
}

/// An autoscaler with one metric, from 2 to 20 pods.
fn one(metric: impl Into<Value>) -> Value {
    let metric: Value = metric.into();
    several(json!([metric]))
}

fn several(metrics: Value) -> Value {
    let mut hpa = hpa("web", metrics);
    hpa["spec"]["maxReplicas"] = json!(20);
    hpa
}

fn with(mut hpa: Value, field: &str, value: Value) -> Value {
    hpa["spec"][field] = value;
    hpa
}

/// What the controller read: an amount of the field, for each metric in the cluster; nothing where it could not.
fn read(amounts: &[(&str, &str)]) -> Vec<Value> {
    let values = amounts.iter().map(|(field, amount)| match *field {
        "" => Value::Null,
        "average_utilization" => json!({*field: amount.parse::<i64>().expect("percent")}),
        field => json!({field: amount}),
    });
    values.collect()
}

/// A cluster with `theirs`, of which so many pods run, and `ours` that is to be deployed.
fn change(ours: &Value, theirs: &Value, values: &[Value], run: i64) -> Evidence {
    let mut evidence = online(std::slice::from_ref(ours));
    let spec = HpaSpec::read("autoscaling/v2", theirs);
    let values = values.iter().zip(&spec.metrics).enumerate().filter(|(_, (value, _))| value.is_object());
    let values: Vec<Value> = values
        .map(|(index, (value, metric))| {
            let mut value = value.clone();
            value["index"] = json!(index);
            value["source"] = json!(metric.source);
            value
        })
        .collect();
    let condition =
        |kind: &str| json!({"kind": kind, "status": "True", "reason": "", "message": "", "since": null});
    let there = json!({
        "namespace": "shop", "name": "web", "created": "1969-12-01T00:00:00Z",
        "target": ["apps/v1", "Deployment", "web"], "metrics": [], "filled": [], "spec": spec,
        "status": {"replicas": run, "desired": run, "values": values},
        "conditions": [condition("AbleToScale"), condition("ScalingActive")],
        "scale": seen(Need::HpaTarget, Value::Null), "pods": seen(Need::HpaPods, json!([])),
    });
    let there: Hpa = serde_json::from_value(there).expect("an autoscaler");
    evidence.gate.namespaces.get_mut("shop").expect("asked").hpas = seen(Need::Hpas, vec![there]);
    let plan = &mut evidence.gate.plans[0];
    let scale = json!({"replicas": run, "selector": "app=web"});
    plan.scale = seen(Need::HpaTarget, serde_json::from_value(scale).expect("a scale"));
    let pods = (0..run.clamp(0, 100)).map(|number| {
        json!({"name": format!("web-{number}"), "node": null, "phase": "Running", "ready": true,
               "created": "1969-12-31T23:00:00Z", "containers": [], "pod_requests": {}})
    });
    plan.pods = seen(Need::HpaPods, serde_json::from_value(pods.collect()).expect("pods"));
    evidence
}

fn judged(ours: &Value, theirs: &Value, values: &[(&str, &str)], run: i64) -> String {
    words(&result(&CHECK, &change(ours, theirs, &read(values), run)))
}

fn pods(evidence: &mut Evidence) -> &mut Vec<HpaPod> {
    match &mut evidence.gate.plans[0].pods.look {
        Look::Seen(pods) => pods,
        Look::Unseen(_) => panic!("pods"),
    }
}

fn there(evidence: &mut Evidence) -> &mut Hpa {
    match &mut evidence.gate.namespaces.get_mut("shop").expect("asked").hpas.look {
        Look::Seen(hpas) => &mut hpas[0],
        Look::Unseen(_) => panic!("autoscalers"),
    }
}

const UTILIZATION: &str = "average_utilization";
const AVERAGE: &str = "average_value";

#[test]
fn the_sentence_has_the_numbers_with_their_units() {
    assert_eq!(
        judged(&one(cpu(5)), &one(cpu(70)), &[(UTILIZATION, "82")], 10),
        "with the 82 % of cpu that the controller read last, a target of 5 % asks for 164 pods, and maxReplicas stops it \
         at 20; 10 run now, with 70 %"
    );
    assert_eq!(
        judged(&one(average("3")), &one(average("30")), &[(AVERAGE, "30")], 2),
        "with the 30 a pod of queue that the controller read last, a target of 3 a pod asks for 20 pods; 2 run now, with \
         30 a pod"
    );
    assert_eq!(
        judged(&one(cpu(800)), &one(cpu(80)), &[(UTILIZATION, "79")], 10),
        "with the 79 % of cpu that the controller read last, a target of 800 % asks for 1 pod, and minReplicas keeps 2; \
         10 run now, with 80 %"
    );
    let (ours, theirs) = (metric("External", "value", "50"), metric("External", "value", "500"));
    assert_eq!(
        judged(&one(ours), &one(theirs), &[("value", "480")], 2),
        "with the 480 of queue that the controller read last, a target of 50 asks for 20 pods; 2 run now, with 500"
    );
}

#[test]
fn it_points_at_the_amount() {
    let evidence = change(&one(average("3")), &one(average("30")), &read(&[(AVERAGE, "30")]), 2);
    let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!("it fails") };
    let [ours, theirs] = finding.citations.as_slice() else { panic!("two proofs") };
    assert_eq!(
        (ours.path.as_str(), ours.value.as_str()),
        ("spec.metrics.0.external.target.averageValue", "3")
    );
    assert_eq!(
        (theirs.path.as_str(), theirs.value.as_str()),
        ("items[web].status.currentMetrics[0].external.current.averageValue", "30 a pod")
    );
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                 "maxReplicas": 20, "targetCPUUtilizationPercentage": 5}});
    let evidence = change(&v1, &one(cpu(70)), &read(&[(UTILIZATION, "82")]), 10);
    let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!("it fails") };
    assert_eq!(finding.citations[0].path, "spec.targetCPUUtilizationPercentage");
}

#[test]
fn healthy_changes_are_not_told_of() {
    for (ours, theirs, read, run) in [
        // Less than twice, by rounding up only twice, and one pod more.
        (cpu(50), cpu(80), (UTILIZATION, "82"), 10),
        (cpu(50), cpu(80), (UTILIZATION, "78"), 2),
        (cpu(40), cpu(80), (UTILIZATION, "80"), 1),
        // More than half, and one pod less.
        (cpu(90), cpu(50), (UTILIZATION, "50"), 10),
        (cpu(99), cpu(40), (UTILIZATION, "40"), 2),
        // The same amount in other words, and a metric that says nothing now.
        (average("30"), average("30000m"), (AVERAGE, "90"), 10),
        (average("3"), average("30"), (AVERAGE, "0"), 2),
        (average("300"), average("30"), (AVERAGE, "0"), 2),
        // Fewer pods are due anyway, and are only held by the controller's memory.
        (cpu(40), cpu(80), (UTILIZATION, "20"), 10),
        (cpu(15), cpu(60), (UTILIZATION, "20"), 10),
    ] {
        assert_eq!(judged(&one(ours.clone()), &one(theirs), &[read], run), "pass", "{ours}");
    }
}

#[test]
fn bounds_are_meant() {
    let old = with(one(cpu(80)), "maxReplicas", json!(10));
    // More was due, and only maxReplicas stopped it.
    assert_eq!(judged(&one(cpu(80)), &old, &[(UTILIZATION, "300")], 10), "pass");
    assert_eq!(judged(&one(cpu(70)), &old, &[(UTILIZATION, "300")], 10), "pass");
    assert_eq!(
        judged(&with(one(cpu(70)), "minReplicas", json!(20)), &old, &[(UTILIZATION, "80")], 2),
        "pass"
    );
    // A bound that is left out may stay: no pod goes.
    let mut without = one(cpu(800));
    without["spec"].as_object_mut().expect("a map").remove("minReplicas");
    let ten = with(one(cpu(80)), "minReplicas", json!(10));
    assert_eq!(judged(&without, &ten, &[(UTILIZATION, "79")], 10), "pass");
}

#[test]
fn pods_above_a_new_maximum_go_at_once() {
    let lower = |max: i64| {
        let behavior = json!({"scaleDown": {"selectPolicy": "Disabled"}});
        with(with(one(cpu(80)), "maxReplicas", json!(max)), "behavior", behavior)
    };
    assert_eq!(
        judged(&lower(6), &one(cpu(80)), &[(UTILIZATION, "80")], 10),
        "10 pods run now, and maxReplicas falls from 20 to 6: the controller removes 4 at once, whatever the metrics and \
         behavior say"
    );
    assert_eq!(judged(&lower(10), &one(cpu(80)), &[(UTILIZATION, "80")], 10), "pass");
    // What the API server refuses is told elsewhere.
    assert_eq!(judged(&lower(0), &one(cpu(80)), &[(UTILIZATION, "80")], 10), "pass");
    let mut evidence = change(&lower(6), &one(cpu(80)), &[], 10);
    evidence.gate.plans[0].scale = forbidden(Need::HpaTarget);
    assert_eq!(word(&result(&CHECK, &evidence)), "open");
    // The scale alone decides: nothing need be read.
    let mut evidence = change(&lower(6), &one(cpu(80)), &[], 10);
    evidence.gate.plans[0].pods = forbidden(Need::HpaPods);
    assert_eq!(word(&result(&CHECK, &evidence)), "fail");
}

#[test]
fn of_several_metrics_the_highest_counts() {
    let both = |percent: i64, amount: &str| several(json!([cpu(percent), average(amount)]));
    let read = |cpu: &'static str, queue: &'static str| [(UTILIZATION, cpu), (AVERAGE, queue)];
    // One is enough for more pods, with the other one unread.
    assert!(judged(&both(5, "30"), &both(70, "30"), &read("82", "30"), 10).contains("164 pods"));
    let unread = [(UTILIZATION, "82"), ("", "")];
    assert!(judged(&both(5, "30"), &both(70, "30"), &unread, 10).contains("164 pods"));
    // For fewer, every one has to allow it.
    assert_eq!(judged(&both(800, "30"), &both(80, "30"), &read("79", "30"), 10), "pass");
    assert!(
        judged(&both(800, "30"), &both(80, "30"), &read("79", "9"), 10).contains("and another metric for 3;")
    );
    assert!(
        judged(&both(800, "300"), &both(80, "30"), &read("79", "30"), 10).contains("minReplicas keeps 2")
    );
    assert!(
        judged(&both(800, "30"), &both(80, "30"), &[(UTILIZATION, "79"), ("", "")], 10)
            .starts_with("open: hidden")
    );
    // What another one asks for already is no jump.
    assert_eq!(judged(&both(35, "30"), &both(80, "30"), &read("80", "60"), 10), "pass");
}

#[test]
fn metrics_that_come_or_go_are_decisions() {
    let two = several(json!([cpu(80), average("30")]));
    // One that is new may keep the pods.
    let said = judged(&several(json!([cpu(800), average("30")])), &one(cpu(80)), &[(UTILIZATION, "79")], 10);
    assert_eq!(said, "open: only the deploy will show: what queue asks for, which is new");
    assert_eq!(judged(&two, &one(cpu(80)), &[(UTILIZATION, "79")], 10), "pass");
    assert_eq!(judged(&one(cpu(80)), &two, &[(UTILIZATION, "9"), (AVERAGE, "30")], 10), "pass");
    // Two alike: each against its own.
    let twins = |one: &str, other: &str| several(json!([average(one), average(other)]));
    let read = [(AVERAGE, "30"), (AVERAGE, "30")];
    assert_eq!(judged(&twins("30", "60"), &twins("30", "60"), &read, 10), "pass");
    assert!(judged(&twins("30", "6"), &twins("30", "60"), &read, 10).contains("of 6 a pod asks for 50 pods"));
}

#[test]
fn another_unit_is_judged_where_it_was_read() {
    let resource = |amount: &str| json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": amount}}});
    let both = json!({UTILIZATION: 82, AVERAGE: "82m"});
    let judge = |ours: &Value, theirs: &Value, value: &Value| {
        words(&result(
            &CHECK,
            &change(&one(ours.clone()), &one(theirs.clone()), std::slice::from_ref(value), 10),
        ))
    };
    assert!(
        judge(&resource("10m"), &cpu(80), &both)
            .contains("the 82m a pod of cpu that the controller read last")
    );
    assert_eq!(judge(&resource("100m"), &cpu(80), &both), "pass");
    let said = judge(&cpu(5), &resource("100m"), &json!({AVERAGE: "82m"}));
    assert_eq!(said, "open: only the deploy will show: averageUtilization of cpu, which nobody has read yet");
    // 30 a pod are 300 in all.
    let total = metric("External", "value", "60");
    assert!(judge(&total, &average("30"), &json!({AVERAGE: "30"})).contains("asks for 50 pods"));
    assert!(judge(&average("6"), &total, &json!({"value": "60"})).starts_with("pass"));
    // An average that was rounded is a range: 100 to 100.002.
    let evidence = change(&one(average("500m")), &one(average("34")), &read(&[(AVERAGE, "33334m")]), 3);
    assert!(words(&result(&CHECK, &evidence)).contains("asks for 200 to 201 pods"));
}

#[test]
fn a_way_that_is_closed_or_tolerant_is_not_gone() {
    let rules = |way: &str, rules: Value| json!({way: rules});
    let up = |behavior: Value| {
        judged(&with(one(cpu(5)), "behavior", behavior), &one(cpu(70)), &[(UTILIZATION, "82")], 10)
    };
    assert_eq!(up(rules("scaleUp", json!({"selectPolicy": "Disabled"}))), "pass");
    assert_eq!(up(rules("scaleUp", json!({"tolerance": 20}))), "pass");
    let quick = json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Min", "tolerance": "0.01"});
    assert!(up(rules("scaleUp", quick)).contains("164 pods"));
    assert!(up(rules("scaleDown", json!({"selectPolicy": "Disabled"}))).contains("164 pods"));
    let down = |ours: Value, theirs: Value| {
        let (ours, theirs) = (with(one(cpu(800)), "behavior", ours), with(one(cpu(80)), "behavior", theirs));
        judged(&ours, &theirs, &[(UTILIZATION, "79")], 10)
    };
    let closed = rules("scaleDown", json!({"selectPolicy": "Disabled"}));
    assert_eq!(down(closed.clone(), Value::Null), "pass");
    assert_eq!(down(rules("scaleDown", json!({"tolerance": "0.95"})), Value::Null), "pass");
    assert!(down(rules("scaleUp", json!({"selectPolicy": "Disabled"})), Value::Null).contains("1 pod,"));
    // What the manifest leaves out may stay as it is in the cluster.
    assert_eq!(down(Value::Null, closed.clone()), "pass");
    assert!(down(rules("scaleDown", json!({"selectPolicy": "Max"})), closed).contains("1 pod,"));
}

#[test]
fn where_pods_come_and_go_nothing_is_said() {
    let judge = |edit: &dyn Fn(&mut Evidence)| {
        let mut evidence = change(&one(cpu(5)), &one(cpu(70)), &read(&[(UTILIZATION, "82")]), 10);
        edit(&mut evidence);
        words(&result(&CHECK, &evidence))
    };
    assert!(judge(&|_| ()).contains("164 pods"));
    let early = "open: too early to tell: pods come and go";
    assert!(judge(&|it| pods(it)[0].ready = false).starts_with(early));
    assert!(judge(&|it| pods(it)[0].created = it.taken_at).starts_with(early));
    assert!(judge(&|it| drop(pods(it).pop())).starts_with(early));
    assert!(judge(&|it| pods(it)[0].phase = "Pending".to_owned()).starts_with(early));
    assert!(judge(&|it| there(it).status.desired = 12).starts_with(early));
    // The controller overlooks what has failed.
    let evicted = |it: &mut Evidence| {
        let mut pod = pods(it)[0].clone();
        (pod.phase, pod.ready) = ("Failed".to_owned(), false);
        pods(it).push(pod);
    };
    assert!(judge(&evicted).contains("164 pods"));
    assert!(judge(&|it| there(it).conditions.clear()).starts_with("open: too early"));
    assert!(judge(&|it| there(it).conditions[1].status = "False".to_owned()).starts_with("open: hidden by"));
    assert!(judge(&|it| there(it).conditions[0].status = "False".to_owned()).starts_with("open: hidden by"));
    assert!(judge(&|it| there(it).status.values.clear()).starts_with("open: hidden by"));
    assert_eq!(
        judge(&|it| there(it).conditions[1].reason = "ScalingDisabled".to_owned()),
        "n/a: it runs no pods"
    );
    assert!(judge(&|it| it.gate.plans[0].pods = forbidden(Need::HpaPods)).starts_with("open: not permitted"));
    let hidden =
        |it: &mut Evidence| it.gate.namespaces.get_mut("shop").expect("it").hpas = forbidden(Need::Hpas);
    assert!(judge(&hidden).starts_with("open: not permitted"));
    let other = |it: &mut Evidence| there(it).spec.target.name = "other".to_owned();
    assert_eq!(judge(&other), "n/a: it scales something else than the one in the cluster");
    assert_eq!(word(&result(&CHECK, &online(&[one(cpu(5))]))), "n/a");
    assert_eq!(word(&result(&CHECK, &offline(&[one(cpu(5))]))), "n/a");
}

#[test]
fn requests_that_change_too_leave_a_percentage_open() {
    let container = |request: &str| json!([{"name": "app", "resources": {"requests": {"cpu": request}}}]);
    let judge = |ours: &str, theirs: &str, percent: i64| {
        let workload = deployment("web", container(ours));
        let mut evidence = change(&one(cpu(percent)), &one(cpu(70)), &read(&[(UTILIZATION, "82")]), 10);
        let with = online(&[one(cpu(percent)), workload]).gate.manifests;
        evidence.gate.manifests = with;
        let template = read_template(&json!({"spec": {"containers": container(theirs)}}), "");
        evidence.gate.plans[0].template = seen(Need::Template, Some(template));
        evidence
    };
    let said = |evidence: &Evidence| words(&result(&CHECK, evidence));
    assert_eq!(
        said(&judge("1", "100m", 5)),
        "open: only the deploy will show: what cpu is in percent of requests that change with it"
    );
    assert!(said(&judge("0.1", "100m", 5)).contains("164 pods"));
    let mut evidence = judge("100m", "100m", 5);
    evidence.gate.plans[0].template = forbidden(Need::Template);
    assert!(said(&evidence).starts_with("open: not permitted"));
    let mut evidence = judge("100m", "100m", 60);
    evidence.gate.plans[0].template = forbidden(Need::Template);
    assert_eq!(word(&result(&CHECK, &evidence)), "open");
}

#[test]
fn more_than_the_controller_can_hold() {
    let resource = |amount: &str| one(metric("Resource", "averageValue", amount));
    let said = judged(&resource("500m"), &resource("500Mi"), &[(AVERAGE, "480Mi")], 5);
    assert!(said.contains("asks for 5033164800 pods, more than the controller can hold"), "{said}");
    // The controller keeps those of external metrics within bounds.
    let said = judged(&one(average("1m")), &one(average("1G")), &[(AVERAGE, "1G")], 5);
    assert!(said.contains("and maxReplicas stops it at 20"), "{said}");
    // Neither way is open.
    let off = json!({"selectPolicy": "Disabled"});
    let closed = with(resource("500m"), "behavior", json!({"scaleUp": off, "scaleDown": off}));
    assert_eq!(judged(&closed, &resource("500Mi"), &[(AVERAGE, "480Mi")], 5), "pass");
    // No bound lets anything happen.
    let fixed = |hpa: Value| with(with(hpa, "minReplicas", json!(5)), "maxReplicas", json!(6));
    assert_eq!(judged(&fixed(resource("500m")), &fixed(resource("500Mi")), &[(AVERAGE, "480Mi")], 5), "pass");
}

/// Whatever stands in an object, there is a result, and no number that nobody can read makes a finding.
#[test]
fn hostile_numbers_are_survived() {
    let amounts = [
        "0",
        "-1",
        "-9e18",
        "1m",
        "1n",
        "9223372036854775807",
        "9223372036854775807m",
        "16Ei",
        "1e400",
        "NaN",
        "",
        "Infinity",
        "0x10",
        "1e-400",
        "1E",
    ];
    let readable = |text: &str| Quantity::read(text).and_then(Quantity::milli);
    let kinds = ["Resource", "Pods", "Object", "External"].into_iter();
    for (kind, field) in kinds.flat_map(|kind| [(kind, "averageValue"), (kind, "value")]) {
        for ours in amounts {
            let (new, old) = (one(metric(kind, field, ours)), one(metric(kind, field, "5")));
            let mut evidence = change(&new, &old, &[json!({AVERAGE: "1", "value": "1"})], 7);
            for (value, run) in
                amounts.into_iter().flat_map(|value| [(value, -3), (value, 7), (value, i64::MAX)])
            {
                let status = &mut there(&mut evidence).status;
                (status.replicas, status.desired) = (run, run);
                for it in &mut status.values {
                    it.average_value = Some(value.to_owned());
                    it.value = Some(value.to_owned());
                    it.average_utilization = Some(i64::MIN);
                }
                let said = words(&result(&CHECK, &evidence));
                let counts = readable(value).is_some() && readable(ours).is_some_and(|it| it > 0);
                assert!(counts || !said.starts_with("with the"), "{kind} {ours} {value}: {said}");
            }
        }
    }
    for percent in [i64::MIN, -1, 0, i64::MAX] {
        for bound in [i64::MIN, -1, 0, 1, i64::MAX] {
            let new = with(with(one(cpu(percent)), "maxReplicas", json!(bound)), "minReplicas", json!(bound));
            let said = judged(&new, &one(cpu(70)), &[(UTILIZATION, "9223372036854775807")], 10);
            assert!(!said.starts_with("with the"), "{percent} {bound}: {said}");
        }
    }
}
