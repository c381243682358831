//! Swap: what is in use, and what turns it on when the machine boots.
//!
//! systemd makes a unit of each line of fstab and of what its generators find, and has `swap.target` want them
//! (systemd.swap(5), systemd-fstab-generator(8), systemd-gpt-auto-generator(8)). zswap is no swap: it compresses what
//! goes to one.

use std::fmt::Write as _;

use checks::evidence::{SwapAtBoot, SwapSource};

use super::at_boot;
use super::files::{Root, Unread, is_conf};
use super::{Look, Place, Unseen, units};

/// The most sources that are kept.
const SOURCES: usize = 32;

/// Services that make swap themselves, with the file and the word in it by which they leave it.
const SERVICES: [(&str, &str, &str); 6] = [
    // zram-tools of Debian, zram-config of Ubuntu, and zram of Fedora before zram-generator.
    ("zramswap.service", "", ""),
    ("zram-config.service", "", ""),
    ("zram-swap.service", "", ""),
    // Raspberry Pi OS.
    ("dphys-swapfile.service", "/etc/dphys-swapfile", "CONF_SWAPSIZE=0"),
    ("armbian-zram-config.service", "/etc/default/armbian-zram-config", "SWAP=false"),
    ("systemd-swap.service", "", ""),
];

/// Swap in use, as bytes of size (`proc_swaps(5)`: sizes are in KiB).
pub(super) fn now(place: &Place) -> Look<i64> {
    let text = match place.root.text("/proc/swaps") {
        Ok(text) => text,
        // A kernel without swap has no such file, but then there is a /proc.
        Err(Unread::Absent) if place.processes.is_ok() => return Ok(0),
        Err(unread) => return Err(unread.unseen("/proc/swaps")),
    };
    let mut sizes = text.lines().skip(1).map(|line| {
        // A file's name may hold blanks, which are written as \040.
        line.split_whitespace().nth(2).and_then(|size| size.parse::<i64>().ok())
    });
    sizes
        .try_fold(0_i64, |sum, size| sum.checked_add(size?.checked_mul(1024)?))
        .ok_or_else(|| Unseen::other("/proc/swaps has another form than in proc_swaps(5)"))
}

/// What turns it on at boot.
pub(super) fn at_boot(place: &Place) -> Look<SwapAtBoot> {
    let root = &place.root;
    if root.names("/etc").map_err(|unread| unread.unseen("/etc"))?.is_empty() {
        return Err(Unseen::lacking(format!("{} is not there", root.name("/etc"))));
    }
    let arguments = root.text_if_any("/proc/cmdline").map_err(|unread| unread.unseen("/proc/cmdline"))?;
    let arguments = arguments.unwrap_or_default();
    let says = |name: &str, values: &[&str]| {
        let value = arguments
            .split_whitespace()
            .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .next_back();
        value.is_some_and(|value| values.contains(&value))
    };
    let off = ["0", "no", "false", "off"];
    let has_systemd = root.exists("/usr/lib/systemd/systemd")? || root.exists("/lib/systemd/systemd")?;
    let mut sources = Vec::new();
    // What `swap.target` would start. Masked, it starts nothing.
    if !(has_systemd && units::is_off(root, "swap.target")) {
        if !says("systemd.swap", &off) {
            sources.extend(fstab(root, has_systemd)?);
            sources.extend(partitions(root)?);
        }
        if !says("systemd.zram", &off) {
            sources.extend(zram_generator(root)?);
        }
    }
    sources.extend(swap_units(root)?);
    sources.extend(services(root)?);
    sources.truncate(SOURCES);
    // Who turns it off again does not matter where nothing turns it on. The services that make swap know how to end it, too.
    let own = SERVICES.map(|(unit, ..)| unit);
    let turned_off_by = if sources.is_empty() { None } else { at_boot::says(root, "swapoff", &own)? };
    Ok(SwapAtBoot { sources, turned_off_by })
}

fn source(kind: &str, name: &str, file: &str, doubt: &str) -> SwapSource {
    let name = name.chars().take(256).collect();
    SwapSource { kind: kind.to_owned(), name, file: file.to_owned(), doubt: doubt.to_owned() }
}

/// The lines of fstab(5) that `swapon -a` and systemd take: of type `swap`, and without `noauto`.
fn fstab(root: &Root, has_systemd: bool) -> Look<Vec<SwapSource>> {
    const FILE: &str = "/etc/fstab";
    let text = root.text_if_any(FILE).map_err(|unread| unread.unseen(FILE))?.unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(what), Some(&"swap")) = (words.first(), words.get(2)) else { continue };
        if words.get(3).is_some_and(|options| options.split(',').any(|option| option == "noauto")) {
            continue;
        }
        let path = path_of(what);
        if has_systemd && units::is_off(root, &unit_of(&path)) {
            continue;
        }
        let doubt = if !(has_systemd || root.link("/etc/runlevels/boot/swap").is_ok()) {
            "what reads fstab for swap at boot is not known here"
        } else if root.exists(&path).is_ok_and(|is_there| !is_there) {
            "it is not there now"
        } else {
            ""
        };
        found.push(source("fstab", what, FILE, doubt));
    }
    Ok(found)
}

/// Where the device of a line is (fstab(5)); blanks are written as `\040`.
fn path_of(what: &str) -> String {
    let ways = [
        ("UUID=", "by-uuid"),
        ("LABEL=", "by-label"),
        ("PARTUUID=", "by-partuuid"),
        ("PARTLABEL=", "by-partlabel"),
    ];
    let tagged = ways.iter().find_map(|(tag, folder)| {
        Some(format!("/dev/disk/{folder}/{}", what.strip_prefix(tag)?.trim_matches('"')))
    });
    tagged.unwrap_or_else(|| what.to_owned()).replace("\\040", " ")
}

/// The name of the unit that systemd makes for a path (systemd-escape(1)).
fn unit_of(path: &str) -> String {
    let mut name = String::new();
    for (at, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            byte if byte.is_ascii_alphanumeric() || b":_.".contains(&byte) => name.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(name, "\\x{byte:02x}")),
        }
    }
    name + ".swap"
}

/// Partitions that systemd found by their type when the machine was booted; it will again.
fn partitions(root: &Root) -> Look<Vec<SwapSource>> {
    const FOLDER: &str = "/run/systemd/generator.late";
    let names = root.names(FOLDER).map_err(|unread| unread.unseen(FOLDER))?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| units::is_of(name, "swap")).take(SOURCES) {
        let file = format!("{FOLDER}/{name}");
        let text = root.text_if_any(&file).map_err(|unread| unread.unseen(&file))?.unwrap_or_default();
        if text.contains("systemd-gpt-auto-generator") && !units::is_off(root, name) {
            found.push(source("partition table", value_of(&text, "What").unwrap_or(name), &file, ""));
        }
    }
    Ok(found)
}

fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).next_back()
}

/// Units of kind `swap` that somebody wrote and something wants.
fn swap_units(root: &Root) -> Look<Vec<SwapSource>> {
    let mut found = Vec::new();
    let doubt = if units::is_off(root, "swap.target") {
        "swap.target is masked, which may be all that wants it"
    } else {
        ""
    };
    for unit in units::enabled(root, "swap")?.iter().take(SOURCES) {
        if let Some((file, _)) = units::texts(root, unit)?.first() {
            found.push(source("unit", unit, file, doubt));
        }
    }
    Ok(found)
}

/// zram-generator.conf(5): the main file of the directory that counts most, and drop-ins after it; a section for each
/// device, which is swap unless it is given a file system.
fn zram_generator(root: &Root) -> Look<Vec<SwapSource>> {
    const PLACES: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
    let mut is_installed = false;
    for place in ["/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd"] {
        let program = format!("{place}/system-generators/zram-generator");
        if root.link(&program).is_ok_and(|target| target == "/dev/null") {
            return Ok(Vec::new());
        }
        is_installed |= root.exists(&program)?;
    }
    if !is_installed {
        return Ok(Vec::new());
    }
    let mut texts = Vec::new();
    for place in PLACES {
        let file = format!("{place}/zram-generator.conf");
        // A link to nowhere stands for an empty file.
        if is_masked(root, &file) {
            break;
        }
        if let Some(text) = root.text_if_any(&file).map_err(|unread| unread.unseen(&file))? {
            texts.push((file, text));
            break;
        }
    }
    let mut drop_ins = std::collections::BTreeMap::new();
    for place in PLACES {
        let folder = format!("{place}/zram-generator.conf.d");
        for name in root.names(&folder).map_err(|unread| unread.unseen(&folder))? {
            if is_conf(&name) && drop_ins.len() < SOURCES {
                drop_ins.entry(name.clone()).or_insert_with(|| format!("{folder}/{name}"));
            }
        }
    }
    for file in drop_ins.into_values().filter(|file| !is_masked(root, file)) {
        let text = root.text_if_any(&file).map_err(|unread| unread.unseen(&file))?.unwrap_or_default();
        texts.push((file, text));
    }
    let mut devices: Vec<SwapSource> = Vec::new();
    let mut mounted: Vec<String> = Vec::new();
    for (file, text) in &texts {
        let mut device = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut device);
                if name.starts_with("zram") && !devices.iter().any(|known| known.name == name) {
                    devices.push(source("zram-generator", name, file, ""));
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let Some(known) = devices.iter_mut().find(|known| known.name == device) else { continue };
            match (key.trim(), value.trim()) {
                ("mount-point", value) if !value.is_empty() => mounted.push(device.clone()),
                ("fs-type", value) if value != "swap" => mounted.push(device.clone()),
                ("host-memory-limit", "none") => known.doubt.clear(),
                ("host-memory-limit", _) => {
                    "it is made only on machines with less memory than its limit"
                        .clone_into(&mut known.doubt);
                }
                ("zram-size", "0") => NO_SIZE.clone_into(&mut known.doubt),
                ("zram-size", _) if known.doubt == NO_SIZE => known.doubt.clear(),
                _ => {}
            }
        }
    }
    // systemd starts neither where one of them is masked: the first needs the second.
    let is_off = |name: &str| {
        units::is_off(root, &format!("dev-{name}.swap"))
            || units::is_off(root, &format!("systemd-zram-setup@{name}.service"))
            || units::is_off(root, "systemd-zram-setup@.service")
    };
    devices.retain(|device| !mounted.contains(&device.name) && !is_off(&device.name));
    Ok(devices)
}

const NO_SIZE: &str = "its size is 0";

fn is_masked(root: &Root, file: &str) -> bool {
    root.link(file).is_ok_and(|target| target == "/dev/null")
}

/// The services that make swap themselves.
fn services(root: &Root) -> Look<Vec<SwapSource>> {
    let mut found = Vec::new();
    for (unit, file, word) in SERVICES {
        if !units::is_enabled(root, unit)? {
            continue;
        }
        let text = if file.is_empty() {
            None
        } else {
            root.text_if_any(file).map_err(|unread| unread.unseen(file))?
        };
        if text.is_some_and(|text| text.lines().any(|line| line.trim() == word)) {
            continue;
        }
        let there = units::texts(root, unit)?.into_iter().next();
        found.push(source("service", unit, &there.map(|(file, _)| file).unwrap_or_default(), ""));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn swap_is_counted_in_bytes() {
        let tree = Tree::new("swap");
        tree.init();
        tree.write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 2097148 0 -2\n");
        assert_eq!(now(&tree.place()), Ok(2_097_148 * 1024));
        tree.write("/proc/swaps", "Filename Type Size Used Priority\n");
        assert_eq!(now(&tree.place()), Ok(0));
        tree.write("/proc/swaps", "Filename\n/dev/sda2 partition much\n");
        assert!(now(&tree.place()).is_err());
    }

    /// What a machine with systemd brings back, as kind, name and doubt.
    fn sources(name: &str, write: &dyn Fn(&Tree)) -> Vec<(String, String, String)> {
        let tree = Tree::new(name);
        tree.init();
        tree.write("/usr/lib/systemd/systemd", "");
        tree.write("/swapfile", "");
        tree.write("/dev/disk/by-uuid/1234-ab", "");
        tree.write("/etc/hostname", "one\n");
        write(&tree);
        let found = at_boot(&tree.place()).expect("it is read");
        found.sources.into_iter().map(|source| (source.kind, source.name, source.doubt)).collect()
    }

    fn is(kind: &str, name: &str) -> Vec<(String, String, String)> {
        vec![(kind.to_owned(), name.to_owned(), String::new())]
    }

    const FILE: &str = "/etc/fstab";

    #[test]
    fn lines_of_fstab_count_unless_they_are_comments_or_not_automatic() {
        let fstab = |lines: &str| {
            sources("fstab", &|tree| tree.write(FILE, format!("/dev/sda1 / ext4 defaults 0 1\n{lines}\n")))
        };
        assert_eq!(fstab("UUID=1234-ab none swap sw 0 0"), is("fstab", "UUID=1234-ab"));
        assert_eq!(fstab("  /swapfile\tnone\tswap"), is("fstab", "/swapfile"));
        assert_eq!(fstab("#/swapfile none swap sw 0 0\n # /swapfile none swap sw 0 0"), []);
        assert_eq!(fstab("/swapfile none swap sw,noauto 0 0"), []);
        assert_eq!(fstab("tmpfs /swap tmpfs defaults 0 0"), []);
        assert_eq!(fstab("UUID=gone none swap sw 0 0")[0].2, "it is not there now");
    }

    #[test]
    fn what_is_masked_or_switched_off_brings_nothing_back() {
        let with = |name: &str, write: &dyn Fn(&Tree)| {
            sources(name, &|tree| {
                tree.write(FILE, "UUID=1234-ab none swap sw 0 0\n");
                write(tree);
            })
        };
        let unit = "/etc/systemd/system/dev-disk-by\\x2duuid-1234\\x2dab.swap";
        assert_eq!(with("unit", &|tree| tree.link(unit, "/dev/null")), []);
        assert_eq!(with("target", &|tree| tree.link("/etc/systemd/system/swap.target", "/dev/null")), []);
        assert_eq!(with("cmdline", &|tree| tree.write("/proc/cmdline", "ro systemd.swap=0 quiet\n")), []);
        // What is masked until the next boot is not masked after it.
        let until_boot = |tree: &Tree| tree.link("/run/systemd/system/swap.target", "/dev/null");
        assert_eq!(with("run", &until_boot), is("fstab", "UUID=1234-ab"));
    }

    #[test]
    fn units_partitions_and_services_bring_swap() {
        let wanted = |name: &str| format!("/etc/systemd/system/swap.target.wants/{name}");
        let unit = |tree: &Tree| {
            tree.write("/etc/systemd/system/dev-sdb1.swap", "[Swap]\nWhat=/dev/sdb1\n");
            tree.link(&wanted("dev-sdb1.swap"), "../dev-sdb1.swap");
        };
        assert_eq!(sources("unit", &unit), is("unit", "dev-sdb1.swap"));
        let masked = |tree: &Tree| {
            unit(tree);
            tree.link("/etc/systemd/system/swap.target", "/dev/null");
        };
        assert!(sources("target masked", &masked)[0].2.contains("swap.target is masked"));
        let unwanted =
            |tree: &Tree| tree.write("/etc/systemd/system/dev-sdb1.swap", "[Swap]\nWhat=/dev/sdb1\n");
        assert_eq!(sources("unwanted", &unwanted), []);
        let partition = |tree: &Tree| {
            let text = "[Unit]\nDocumentation=man:systemd-gpt-auto-generator(8)\n[Swap]\nWhat=/dev/sda3\n";
            tree.write("/run/systemd/generator.late/dev-sda3.swap", text);
        };
        assert_eq!(sources("partition", &partition), is("partition table", "/dev/sda3"));
        let service = |tree: &Tree| {
            tree.link(&wanted("dphys-swapfile.service"), "/lib/systemd/system/dphys-swapfile.service");
        };
        assert_eq!(sources("service", &service), is("service", "dphys-swapfile.service"));
        let with_its_end = |tree: &Tree| {
            service(tree);
            let unit =
                "[Service]\nExecStart=/sbin/dphys-swapfile swapon\nExecStop=/sbin/dphys-swapfile swapoff\n";
            tree.write("/lib/systemd/system/dphys-swapfile.service", unit);
            tree.write("/sbin/dphys-swapfile", "#!/bin/sh\nswapoff $1\n");
            let found = at_boot(&tree.place()).expect("it is read");
            assert_eq!(found.turned_off_by, None);
        };
        assert_eq!(sources("service with its end", &with_its_end), is("service", "dphys-swapfile.service"));
        let none = |tree: &Tree| {
            service(tree);
            tree.write("/etc/dphys-swapfile", "CONF_SWAPSIZE=0\n");
        };
        assert_eq!(sources("service of size 0", &none), []);
    }

    #[test]
    fn zram_is_swap_where_its_generator_says_so() {
        let zram = |text: &str| {
            sources("zram", &|tree| {
                tree.write("/usr/lib/systemd/system-generators/zram-generator", "");
                tree.write("/usr/lib/systemd/zram-generator.conf", "[zram0]\nzram-size = min(ram, 8192)\n");
                if !text.is_empty() {
                    tree.write("/etc/systemd/zram-generator.conf.d/own.conf", text);
                }
            })
        };
        assert_eq!(zram(""), is("zram-generator", "zram0"));
        assert_eq!(zram("[zram0]\nmount-point = /var/cache\n"), []);
        assert!(zram("[zram0]\nhost-memory-limit = 2048\n")[0].2.contains("limit"));
        let not_installed = |tree: &Tree| tree.write("/etc/systemd/zram-generator.conf", "[zram0]\n");
        assert_eq!(sources("not installed", &not_installed), []);
        let emptied = |tree: &Tree| {
            tree.write("/usr/lib/systemd/system-generators/zram-generator", "");
            tree.write("/usr/lib/systemd/zram-generator.conf", "[zram0]\n");
            tree.write("/etc/systemd/zram-generator.conf", "");
        };
        assert_eq!(sources("emptied", &emptied), []);
        let linked = |tree: &Tree| {
            tree.write("/usr/lib/systemd/system-generators/zram-generator", "");
            tree.write("/usr/lib/systemd/zram-generator.conf", "[zram0]\n");
            tree.link("/etc/systemd/zram-generator.conf", "/dev/null");
        };
        assert_eq!(sources("linked to nowhere", &linked), []);
        for unit in ["dev-zram0.swap", "systemd-zram-setup@zram0.service"] {
            let masked = |tree: &Tree| {
                tree.write("/usr/lib/systemd/system-generators/zram-generator", "");
                tree.write("/usr/lib/systemd/zram-generator.conf", "[zram0]\n");
                tree.link(&format!("/etc/systemd/system/{unit}"), "/dev/null");
            };
            assert_eq!(sources(unit, &masked), []);
        }
        assert!(zram("[zram0]\nzram-size = 0\n")[0].2.contains("size"));
        assert_eq!(zram("[zram0]\nzram-size = 0\nzram-size = ram\n"), is("zram-generator", "zram0"));
    }

    #[test]
    fn who_turns_swap_off_again_is_named() {
        let tree = Tree::new("off again");
        tree.init();
        tree.write("/usr/lib/systemd/systemd", "");
        tree.write("/swapfile", "");
        tree.write(FILE, "/swapfile none swap sw 0 0\n");
        assert_eq!(at_boot(&tree.place()).expect("it is read").turned_off_by, None);
        tree.write("/etc/rc.local", "#!/bin/sh\nswapoff -a\n");
        assert_eq!(
            at_boot(&tree.place()).expect("it is read").turned_off_by.as_deref(),
            Some("/etc/rc.local")
        );
    }

    #[test]
    fn a_root_without_files_brings_no_answer() {
        let tree = Tree::new("nothing");
        assert!(at_boot(&tree.place()).is_err());
    }
}
