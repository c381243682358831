//! Semantic versions, with the normalisation of Kubernetes' `semver(text, true)`.

use std::cmp::Ordering;

/// A version; what follows `+` does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Semver {
    pub(super) major: i64,
    pub(super) minor: i64,
    pub(super) patch: i64,
    pre: Vec<String>,
}

impl Semver {
    /// Reads a version. `normalize` also takes a leading `v`, leading zeros, and versions without minor or patch.
    pub(super) fn parse(text: &str, normalize: bool) -> Option<Self> {
        let text = if normalize { text.trim_start_matches(['v', 'V']) } else { text };
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
            return None;
        }
        let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let mut numbers = core.split('.').map(|part| number(part, normalize));
        let major = numbers.next()??;
        let mut next = || match numbers.next() {
            Some(number) => number,
            None if normalize => Some(0),
            None => None,
        };
        let (minor, patch) = (next()?, next()?);
        if numbers.next().is_some() {
            return None;
        }
        let pre: Vec<String> = pre.map(|pre| pre.split('.').map(str::to_owned).collect()).unwrap_or_default();
        let sound =
            |part: &String| is_identifier(part) && (!is_number(part) || number(part, false).is_some());
        pre.iter().all(sound).then_some(Self { major, minor, patch, pre })
    }

    /// -1, 0 or 1 in the order of versions.
    pub(super) fn compare(&self, other: &Self) -> i64 {
        let core = |version: &Self| (version.major, version.minor, version.patch);
        let order =
            core(self).cmp(&core(other)).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => pre_release(&self.pre, &other.pre),
            });
        match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }
}

fn pre_release(one: &[String], other: &[String]) -> Ordering {
    for (one, other) in one.iter().zip(other) {
        let order = match (is_number(one), is_number(other)) {
            // Numbers without leading zeros: the longer is the larger.
            (true, true) => one.len().cmp(&other.len()).then_with(|| one.cmp(other)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => one.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    one.len().cmp(&other.len())
}

fn number(part: &str, normalize: bool) -> Option<i64> {
    let leads = part.len() > 1 && part.starts_with('0');
    if !is_number(part) || (leads && !normalize) {
        return None;
    }
    part.parse().ok()
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_their_order() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        let versions: Vec<Semver> =
            order.iter().map(|text| Semver::parse(text, false).expect(text)).collect();
        for (index, one) in versions.iter().enumerate() {
            for (place, other) in versions.iter().enumerate() {
                let expected = if index < place { -1 } else { i64::from(index > place) };
                assert_eq!(one.compare(other), expected, "{} and {}", order[index], order[place]);
            }
        }
    }

    #[test]
    fn versions_of_kubelets_are_normalized() {
        let kubelet = Semver::parse("v1.36.2+k3s1", true).expect("a version");
        assert_eq!((kubelet.major, kubelet.minor, kubelet.patch), (1, 36, 2));
        assert_eq!(
            Semver::parse("v1.36", true)
                .expect("a version")
                .compare(&Semver::parse("1.36.0", false).expect("one")),
            0
        );
        for text in ["v1.36.2", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3+", "", "1.2.x", "1.2.3-01"] {
            assert_eq!(Semver::parse(text, false), None, "{text}");
        }
    }
}
