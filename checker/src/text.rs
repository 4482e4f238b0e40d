//! Numbers and values as sentences hold them.

/// Characters of a value before its middle is left out.
const SHOWN: usize = 60;

/// `1 key`, `2 keys`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `12,345`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12,345 entries`; a noun that ends in `y` or takes an `s`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let number = grouped(n);
    match (n, noun.strip_suffix("ry")) {
        (1, _) => format!("{number} {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ries"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// The value with its middle left out, if it is long.
pub(crate) fn shorten(value: &str) -> String {
    let length = value.chars().count();
    if length <= SHOWN {
        return value.to_owned();
    }
    let start: String = value.chars().take(SHOWN / 2).collect();
    let end: String = value.chars().skip(length - SHOWN / 2).collect();
    format!("{start} … {end}")
}
