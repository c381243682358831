//! The functions that expressions can call. Those that Kubernetes' own CEL library has keep their names and meaning.

use std::borrow::Cow;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use super::semver::Semver;
use super::types::Kind;
use super::value::{LONGEST_TEXT, Value, is_masked};
use crate::evidence::Backend;
use crate::net::{self, Cidr};
use crate::plan::Quantity;

/// A function, or one of several of the same name.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Whether it is called as `x.name(...)`; then the first parameter is `x`.
    pub(super) on: bool,
    pub(super) takes: &'static [Kind],
    pub(super) gives: Kind,
    pub(super) doc: &'static str,
    pub(super) run: Run,
}

type Run = for<'a, 'e> fn(&'a [Value<'e>]) -> Result<Value<'e>, String>;

impl Function {
    /// How it is called, such as `cidr.containsIP(ip): bool`.
    pub(super) fn signature(&self) -> String {
        let names: Vec<String> = self.takes.iter().map(|kind| kind.to_type().to_string()).collect();
        let gives = self.gives.to_type();
        match names.split_first() {
            Some((first, rest)) if self.on => format!("{first}.{}({}): {gives}", self.name, rest.join(", ")),
            _ => format!("{}({}): {gives}", self.name, names.join(", ")),
        }
    }
}

/// How the functions are called that take more than one type, with what they do.
pub(super) const SPECIAL: &[(&str, &str)] = &[
    (
        "has(x.field): bool",
        "Whether an optional field is there; `has(registration)` asks for a name of the first table. Where it was not seen, the result is undecided.",
    ),
    ("list.all(x, bool): bool", "Whether it holds for all items."),
    ("list.exists(x, bool): bool", "Whether it holds for any item."),
    ("list.exists_one(x, bool): bool", "Whether it holds for exactly one item."),
    ("list.filter(x, bool): list", "The items for which it holds."),
    ("list.map(x, value): list", "A value of each item; `map(x, bool, value)` of those for which it holds."),
    ("size(x): int, x.size(): int", "The length of a string, a list or a map."),
    (
        "string.matches(literal): bool",
        "Whether a regular expression (RE2) matches anywhere; it has to be a literal.",
    ),
    ("x in list, name in map", "Whether a list holds a value, or a map a name."),
];

fn text<'e>(text: impl Into<Cow<'e, str>>) -> Result<Value<'e>, String> {
    let text = text.into();
    if text.len() > LONGEST_TEXT {
        return Err(format!("a text of more than {LONGEST_TEXT} bytes"));
    }
    Ok(Value::Text(text))
}

fn mismatch<T>() -> Result<T, String> {
    // The types are checked when a rule is loaded.
    Err("the arguments are of other types".to_owned())
}

macro_rules! run {
    ($($pattern:pat),* => $body:expr) => {{
        fn run<'e>(arguments: &[Value<'e>]) -> Result<Value<'e>, String> {
            match arguments {
                [$($pattern),*] => $body,
                _ => mismatch(),
            }
        }
        run
    }};
}

macro_rules! functions {
    ($($name:literal $on:literal ($($kind:ident),*) $gives:ident $doc:literal $run:expr;)+) => {
        /// Every function of fixed types.
        pub(super) static FUNCTIONS: &[Function] = &[$(Function {
            name: $name,
            on: $on,
            takes: &[$(Kind::$kind),*],
            gives: Kind::$gives,
            doc: $doc,
            run: $run,
        }),+];
    };
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{}` is no timestamp of RFC 3339", short(text)))
}

/// Reads a duration as Go writes it, such as `1h30m` or `500ms`.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let known = |char: char| char.is_ascii_digit() || "hmsnu.-".contains(char);
    let wrong = || format!("`{}` is no duration such as `1h30m`", short(text));
    if text.is_empty() || !text.chars().all(known) || text.len() > 40 {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn quantity(text: &str) -> Result<Quantity, String> {
    Quantity::read(text).ok_or_else(|| format!("`{}` is no quantity", short(text)))
}

fn version(text: &str, normalize: bool) -> Result<Semver, String> {
    Semver::parse(text, normalize).ok_or_else(|| format!("`{}` is no semantic version", short(text)))
}

fn cidr(text: &str) -> Result<Cidr, String> {
    Cidr::parse(text).ok_or_else(|| format!("`{}` is no network", short(text)))
}

fn ip(text: &str) -> Result<std::net::IpAddr, String> {
    net::ip(text).ok_or_else(|| format!("`{}` is no IP address", short(text)))
}

fn texts(list: &Value<'_>) -> Option<Vec<String>> {
    match list {
        Value::List(items) => items
            .iter()
            .map(|item| match item {
                Value::Text(text) => Some(text.to_string()),
                _ => None,
            })
            .collect(),
        Value::Data(data) => data.items().iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn flag<'e>(arguments: &[Value<'e>]) -> Result<Value<'e>, String> {
    match arguments {
        [list, Value::Text(name)] => {
            let Some(list) = texts(list) else { return mismatch() };
            let value = Backend::flag(&list, name.trim_start_matches('-')).unwrap_or_default();
            if is_masked(value) {
                return Err("the value of the flag was redacted".to_owned());
            }
            text(value.to_owned())
        }
        _ => mismatch(),
    }
}

fn join<'e>(arguments: &[Value<'e>]) -> Result<Value<'e>, String> {
    let (list, separator) = match arguments {
        [list] => (list, ""),
        [list, Value::Text(separator)] => (list, separator.as_ref()),
        _ => return mismatch(),
    };
    let Some(list) = texts(list) else { return mismatch() };
    if list.iter().any(|item| is_masked(item)) {
        return Err("a text among them was redacted".to_owned());
    }
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        if joined.len() + item.len() + separator.len() > LONGEST_TEXT {
            return Err(format!("a text of more than {LONGEST_TEXT} bytes"));
        }
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item);
    }
    text(joined)
}

use Value::{Bool, Duration, Int, Text, Time};

functions! {
    "string" false (Int) Text "The number as text." run!(Int(value) => text(value.to_string()));
    "string" false (Bool) Text "`true` or `false`." run!(Bool(value) => text(value.to_string()));
    "string" false (Text) Text "The text itself." run!(Text(value) => text(value.clone()));
    "string" false (Time) Text "The moment in RFC 3339." run!(Time(value) => text(value.to_string()));
    "string" false (Duration) Text "The duration in seconds, such as `90s`." run!(Duration(value) => text(format!("{}s", value.as_secs())));
    "string" false (Ip) Text "The address." run!(Value::Ip(value) => text(value.to_string()));
    "int" false (Text) Int "The whole number that a text holds." run!(Text(value) => {
        value.parse().map(Int).map_err(|_| format!("`{}` is no whole number", short(value)))
    });
    "int" false (Time) Int "Seconds since 1970." run!(Time(value) => Ok(Int(value.as_second())));
    "timestamp" false (Text) Time "The moment that RFC 3339 writes so." run!(Text(value) => time(value).map(Time));
    "duration" false (Text) Duration "A duration such as `1h30m`." run!(Text(value) => duration(value).map(Duration));
    "getHours" true (Duration) Int "The duration in whole hours." run!(Duration(value) => Ok(Int(value.as_hours())));
    "getMinutes" true (Duration) Int "The duration in whole minutes." run!(Duration(value) => Ok(Int(value.as_mins())));
    "getSeconds" true (Duration) Int "The duration in whole seconds." run!(Duration(value) => Ok(Int(value.as_secs())));
    "contains" true (Text, Text) Bool "Whether the one holds the other." run!(Text(one), Text(other) => Ok(Bool(one.contains(other.as_ref()))));
    "startsWith" true (Text, Text) Bool "Whether it begins so." run!(Text(one), Text(other) => Ok(Bool(one.starts_with(other.as_ref()))));
    "endsWith" true (Text, Text) Bool "Whether it ends so." run!(Text(one), Text(other) => Ok(Bool(one.ends_with(other.as_ref()))));
    "lowerAscii" true (Text) Text "The same with small ASCII letters." run!(Text(one) => text(one.to_ascii_lowercase()));
    "upperAscii" true (Text) Text "The same with capital ASCII letters." run!(Text(one) => text(one.to_ascii_uppercase()));
    "trim" true (Text) Text "The same without white space around it." run!(Text(one) => text(one.trim().to_owned()));
    "split" true (Text, Text) TextList "The parts between separators." run!(Text(one), Text(other) => {
        let parts: Vec<&str> = one.split(other.as_ref()).take(super::value::LONGEST_LIST + 1).collect();
        if parts.len() > super::value::LONGEST_LIST {
            return Err(format!("a list of more than {} items", super::value::LONGEST_LIST));
        }
        Ok(Value::List(parts.into_iter().map(|part| Text(Cow::Owned(part.to_owned()))).collect()))
    });
    "join" true (TextList) Text "The texts one after the other." join;
    "join" true (TextList, Text) Text "The texts, with a separator between them." join;
    "flag" false (TextList, Text) Text "The value of a flag among arguments, as `--name=value` or `--name value`; `true` \
        for a flag without a value, and an empty text where it is not given. No part of Kubernetes' library." flag;
    "quantity" false (Text) Quantity "A quantity of Kubernetes, such as `100m` or `1.5Gi`."
        run!(Text(value) => quantity(value).map(|value| Value::Quantity(Rc::new(value))));
    "isQuantity" false (Text) Bool "Whether the text is a quantity." run!(Text(value) => Ok(Bool(Quantity::read(value).is_some())));
    "isGreaterThan" true (Quantity, Quantity) Bool "Whether the one is more." run!(Value::Quantity(one), Value::Quantity(other) => Ok(Bool(one > other)));
    "isLessThan" true (Quantity, Quantity) Bool "Whether the one is less." run!(Value::Quantity(one), Value::Quantity(other) => Ok(Bool(one < other)));
    "compareTo" true (Quantity, Quantity) Int "-1, 0 or 1." run!(Value::Quantity(one), Value::Quantity(other) => Ok(Int(one.cmp(other) as i64)));
    "asInteger" true (Quantity) Int "The whole number that it is." run!(Value::Quantity(one) => {
        one.as_integer().map(Int).ok_or_else(|| "the quantity is no whole number".to_owned())
    });
    "ip" false (Text) Ip "An IP address." run!(Text(value) => ip(value).map(Value::Ip));
    "isIP" false (Text) Bool "Whether the text is an IP address." run!(Text(value) => Ok(Bool(net::ip(value).is_some())));
    "family" true (Ip) Int "4 or 6." run!(Value::Ip(value) => Ok(Int(if value.is_ipv4() { 4 } else { 6 })));
    "isLoopback" true (Ip) Bool "Whether it is a loopback address." run!(Value::Ip(value) => Ok(Bool(value.is_loopback())));
    "cidr" false (Text) Cidr "A network such as `10.0.0.0/8`." run!(Text(value) => cidr(value).map(Value::Cidr));
    "isCIDR" false (Text) Bool "Whether the text is a network." run!(Text(value) => Ok(Bool(Cidr::parse(value).is_some())));
    "containsIP" true (Cidr, Ip) Bool "Whether the address lies in the network." run!(Value::Cidr(one), Value::Ip(other) => Ok(Bool(one.contains(*other))));
    "containsIP" true (Cidr, Text) Bool "The same for an address as text." run!(Value::Cidr(one), Text(other) => ip(other).map(|other| Bool(one.contains(other))));
    "containsCIDR" true (Cidr, Cidr) Bool "Whether the other network lies in it." run!(Value::Cidr(one), Value::Cidr(other) => Ok(Bool(one.contains_all(*other))));
    "containsCIDR" true (Cidr, Text) Bool "The same for a network as text." run!(Value::Cidr(one), Text(other) => cidr(other).map(|other| Bool(one.contains_all(other))));
    "prefixLength" true (Cidr) Int "How many bits its addresses share." run!(Value::Cidr(one) => Ok(Int(one.prefix())));
    "semver" false (Text) Semver "A semantic version such as `1.36.2`." run!(Text(value) => version(value, false).map(|value| Value::Semver(Rc::new(value))));
    "semver" false (Text, Bool) Semver "With `true` it also takes `v1.36` and the like."
        run!(Text(value), Bool(normalize) => version(value, *normalize).map(|value| Value::Semver(Rc::new(value))));
    "isSemver" false (Text) Bool "Whether the text is a semantic version." run!(Text(value) => Ok(Bool(Semver::parse(value, false).is_some())));
    "isSemver" false (Text, Bool) Bool "The same, normalised." run!(Text(value), Bool(normalize) => Ok(Bool(Semver::parse(value, *normalize).is_some())));
    "isGreaterThan" true (Semver, Semver) Bool "Whether the one is later." run!(Value::Semver(one), Value::Semver(other) => Ok(Bool(one.compare(other) > 0)));
    "isLessThan" true (Semver, Semver) Bool "Whether the one is earlier." run!(Value::Semver(one), Value::Semver(other) => Ok(Bool(one.compare(other) < 0)));
    "compareTo" true (Semver, Semver) Int "-1, 0 or 1." run!(Value::Semver(one), Value::Semver(other) => Ok(Int(one.compare(other))));
    "major" true (Semver) Int "The first number." run!(Value::Semver(one) => Ok(Int(one.major)));
    "minor" true (Semver) Int "The second number." run!(Value::Semver(one) => Ok(Int(one.minor)));
    "patch" true (Semver) Int "The third number." run!(Value::Semver(one) => Ok(Int(one.patch)));
}
