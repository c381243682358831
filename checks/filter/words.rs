//! The words of a line as `iptables-save` writes it.

/// The words of a line: parted by spaces, unless within quotation marks, where `\` takes the next character as it is
/// (`xtables_save_string` in iptables' `libxtables/xtables.c`). `None` where a quotation does not end.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' if quoted => word.push(characters.next()?),
            space if space.is_ascii_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotation_marks_keep_spaces() {
        let line = r#"-A FORWARD -m comment --comment "a \"b\" c" -j LOG --log-prefix """#;
        let expected =
            ["-A", "FORWARD", "-m", "comment", "--comment", "a \"b\" c", "-j", "LOG", "--log-prefix", ""];
        assert_eq!(words(line).expect("it ends"), expected);
        assert_eq!(words(r#"-A FORWARD --comment "a"#), None);
        assert_eq!(words(r#"--comment "a\"#), None);
    }
}
