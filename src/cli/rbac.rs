//! `rbac`: the least rights that a subcommand takes, as YAML.

use clap::{Args, ValueEnum};

use super::failure::{Failure, Kind, no_output};
use crate::config_map::Place;
use crate::exit::Exit;
use crate::rbac::{Purpose, To, Wish, objects};
use crate::report::yaml;
use crate::ui::Ui;

/// Print the least ClusterRole and Roles for a subcommand, with their bindings
///
/// They follow from what the checks declare to read. Nothing is needed to start: what a user may not look at becomes an
/// undecided result that says which right it lacks.
#[derive(Debug, Args)]
pub(super) struct RbacArgs {
    /// The subcommand
    #[arg(long = "for", value_name = "SUBCOMMAND", default_value = "check")]
    purpose: For,
    /// What the objects are called
    #[arg(long, value_name = "NAME", default_value = "metrics-preflight", value_parser = name)]
    name: String,
    /// metrics-server's namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = "kube-system", value_parser = name)]
    namespace: String,
    /// Who gets the rights: `user:NAME`, `group:NAME` or `serviceaccount:NAMESPACE:NAME`
    ///
    /// Without it a ServiceAccount of the same name in metrics-server's namespace, which is printed too.
    #[arg(long, value_name = "WHO", value_parser = to)]
    to: Option<To>,
    /// With what `probe --host` takes: namespaces, and pods in all of them
    ///
    /// Whoever may create pods and namespaces is root on every node.
    #[arg(long)]
    host: bool,
    /// With the right to ask kubelets for their configuration through the API server
    ///
    /// Whoever has it can run commands in every pod of every node. `check` uses it where it is there, and needs it for
    /// no healthy verdict.
    #[arg(long)]
    with_nodes_proxy: bool,
    /// With the rights to keep the report in this ConfigMap, as `check --config-map` does
    #[arg(long, value_name = "NAMESPACE/NAME")]
    config_map: Option<Place>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum For {
    Check,
    Gate,
    Probe,
}

fn name(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(inner);
    let fits = fits && !text.starts_with('-') && !text.ends_with('-');
    fits.then(|| text.to_owned())
        .ok_or_else(|| "a name has at most 63 small letters, digits and dashes".to_owned())
}

fn to(text: &str) -> Result<To, String> {
    let wanted = || "give user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME".to_owned();
    let (kind, who) = text.split_once(':').ok_or_else(wanted)?;
    if who.is_empty() || who.chars().any(char::is_control) {
        return Err(wanted());
    }
    if matches!(who, "system:anonymous" | "system:unauthenticated") {
        return Err("nothing is ever granted to callers without a credential".to_owned());
    }
    match kind {
        "user" => Ok(To::User(who.to_owned())),
        "group" => Ok(To::Group(who.to_owned())),
        "serviceaccount" => {
            let (namespace, account) = who.split_once(':').ok_or_else(wanted)?;
            Ok(To::ServiceAccount(name(namespace)?, account.to_owned()))
        }
        _ => Err(wanted()),
    }
}

pub(super) fn run(args: &RbacArgs, ui: Ui) -> Exit {
    if args.host && !matches!(args.purpose, For::Probe) {
        return Failure::new(Kind::Usage, "only `probe` looks at machines with the rights of the cluster")
            .hint("Give `--for probe --host`.")
            .tell(ui);
    }
    let own = || To::ServiceAccount(args.namespace.clone(), args.name.clone());
    let wish = Wish {
        purpose: match args.purpose {
            For::Check => Purpose::Check,
            For::Gate => Purpose::Gate,
            For::Probe => Purpose::Probe,
        },
        name: args.name.clone(),
        namespace: args.namespace.clone(),
        to: args.to.clone().unwrap_or_else(own),
        nodes_proxy: args.with_nodes_proxy,
        config_map: args.config_map.clone(),
        machines: args.host,
    };
    let mut all = Vec::new();
    if args.to.is_none() {
        all.push(serde_json::json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": args.name, "namespace": args.namespace},
        }));
    }
    all.extend(objects(&wish));
    let mut text = String::new();
    for object in &all {
        text.push_str("---\n");
        // JSON is YAML too.
        text.push_str(&yaml::of(object).unwrap_or_else(|| format!("{object:#}\n")));
    }
    match ui.out(&text) {
        Ok(()) => Exit::Clean,
        Err(error) => no_output(&error).tell(ui),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_without_a_credential_gets_anything() {
        assert!(to("user:system:anonymous").is_err());
        assert!(to("group:system:unauthenticated").is_err());
        assert_eq!(to("user:jane@example.org"), Ok(To::User("jane@example.org".to_owned())));
        assert_eq!(to("serviceaccount:ci:bot"), Ok(To::ServiceAccount("ci".to_owned(), "bot".to_owned())));
        for text in ["jane", "serviceaccount:bot", "user:", "role:x"] {
            assert!(to(text).is_err(), "{text}");
        }
    }
}
