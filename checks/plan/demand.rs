//! How many pods a metric asks for: the arithmetic of the HPA controller, for pods that are all ready and measured.
//!
//! It is `pkg/controller/podautoscaler/replica_calculator.go` of Kubernetes 1.36, without what hangs on pods that are not
//! ready or not measured, and without the tolerance of the controller's flag, which matters near the target only.

use super::{MetricRef, MetricSpec, Quantity};
use crate::evidence::MetricValue;

/// What a metric is held against: of several fields the one that the controller takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    /// What the amount is of.
    pub(crate) unit: Unit,
    /// Percent, or thousandths.
    amount: i64,
    /// As people write it.
    text: String,
}

/// What an amount is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Percent of the request of a pod.
    Percent,
    /// An amount for each pod.
    Average,
    /// An amount for all of them together.
    Total,
}

/// How many pods a metric asks for. What was read of an external metric is rounded, so that it is a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// The least and the most pods.
    pub(crate) pods: (i64, i64),
    /// What was read as a multiple of the target, at the least and at the most.
    pub(crate) ratio: (f64, f64),
    /// Whether the controller keeps what is too large within 32 bits; elsewhere it depends on its processor.
    pub(crate) is_bounded: bool,
}

impl Unit {
    /// The field of a target, and that of a value.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Percent => "averageUtilization",
            Self::Average => "averageValue",
            Self::Total => "value",
        }
    }

    /// An amount with its unit.
    fn words(self, amount: &str) -> String {
        match self {
            Self::Percent => format!("{amount} %"),
            Self::Average => format!("{amount} a pod"),
            Self::Total => amount.to_owned(),
        }
    }
}

impl Goal {
    /// What a metric is held against; nothing where the API refuses it, or where it is beyond what can be counted.
    pub(crate) fn of(metric: &MetricSpec) -> Option<Self> {
        let target = &metric.target;
        let average = || target.average_value.as_deref().map(|text| (Unit::Average, text));
        let total = || target.value.as_deref().map(|text| (Unit::Total, text));
        let (unit, text) = match &metric.source {
            MetricRef::Resource { .. } | MetricRef::ContainerResource { .. } => match average() {
                Some(average) => average,
                None => return Self::percent(target.average_utilization?),
            },
            MetricRef::Pods { .. } => average()?,
            // Only for objects the type decides, see `tests/gate/README.md`.
            MetricRef::Object { .. } if target.kind == "Value" => total()?,
            MetricRef::Object { .. } if target.kind == "AverageValue" => average()?,
            MetricRef::External { .. } => average().or_else(total)?,
            MetricRef::Object { .. } | MetricRef::Unusable { .. } => return None,
        };
        let quantity = Quantity::read(text)?;
        let amount = quantity.milli().filter(|amount| *amount > 0)?;
        Some(Self { unit, amount, text: quantity.to_string() })
    }

    fn percent(amount: i64) -> Option<Self> {
        (1..=i64::from(i32::MAX)).contains(&amount).then(|| Self {
            unit: Unit::Percent,
            amount,
            text: amount.to_string(),
        })
    }

    /// Whether both say the same. The API server may write an amount in another way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.unit == other.unit && self.amount == other.amount
    }

    /// The amount, as the manifest may say it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The amount with its unit.
    pub(crate) fn words(&self) -> String {
        self.unit.words(&self.text)
    }

    /// How many pods a value asks for where so many run; nothing where the controller reads another value for this goal,
    /// or the numbers are beyond what can be counted.
    pub(crate) fn demand(&self, value: &MetricValue, run: i64) -> Option<Demand> {
        let average = || milli(value.average_value.as_deref());
        // Of the metrics that are one value for all pods, the average is written rounded up.
        let total = || {
            if let Some(total) = milli(value.value.as_deref()) {
                return Some((total, total));
            }
            let average = average()?;
            Some((average.checked_sub(1)?.checked_mul(run)?.checked_add(1)?, average.checked_mul(run)?))
        };
        let is_shared = matches!(value.source, MetricRef::Object { .. } | MetricRef::External { .. });
        let ((least, most), times) = match self.unit {
            Unit::Percent => (value.average_utilization.map(|read| (read, read))?, run),
            Unit::Average if is_shared => (total()?, 1),
            Unit::Average => (average().map(|read| (read, read))?, run),
            Unit::Total => (total()?, run),
        };
        let of_target = |read: i64| float(read) / float(self.amount);
        let pods = |read: i64| whole((of_target(read) * float(times)).ceil());
        let ratio = |read: i64| of_target(read) * float(times) / float(run);
        Some(Demand {
            pods: (pods(least), pods(most)),
            ratio: (ratio(least), ratio(most)),
            is_bounded: match value.source {
                MetricRef::External { .. } => true,
                MetricRef::Object { .. } => self.unit == Unit::Total,
                _ => false,
            },
        })
    }
}

impl Demand {
    /// Whether it is more than the controller can count.
    pub(crate) fn is_beyond(&self) -> bool {
        !self.is_bounded && self.pods.0 > i64::from(i32::MAX)
    }

    /// The number, or the range.
    pub(crate) fn words(&self) -> String {
        match self.pods {
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        }
    }
}

/// The value that a goal of this unit is held against, with its unit; that of another unit where it was not written.
pub(crate) fn read_words(value: &MetricValue, unit: Unit) -> (Unit, String) {
    let text = |unit| match unit {
        Unit::Percent => value.average_utilization.map(|percent| percent.to_string()),
        Unit::Average => value.average_value.clone(),
        Unit::Total => value.value.clone(),
    };
    let units = [unit, Unit::Percent, Unit::Total, Unit::Average];
    let found = units.into_iter().find_map(|unit| Some((unit, text(unit)?)));
    let (unit, text) = found.unwrap_or((unit, String::new()));
    let text = Quantity::read(&text).map_or(text, |quantity| quantity.to_string());
    (unit, unit.words(&text))
}

fn milli(text: Option<&str>) -> Option<i64> {
    Quantity::read(text?)?.milli()
}

#[expect(clippy::cast_precision_loss, reason = "the controller divides floating point numbers too")]
fn float(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest number")]
fn whole(number: f64) -> i64 {
    number as i64
}
