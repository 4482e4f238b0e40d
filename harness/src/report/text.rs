//! Numbers and times as people read them.

const SECOND: u64 = 1_000_000_000;

/// `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time: `350 µs`, `12.5 ms`, `1.25 s`, `2 min 05 s`.
pub(super) fn length(nanoseconds: u64) -> String {
    let seconds = nanoseconds as f64 / SECOND as f64;
    match nanoseconds {
        0..1_000_000 => format!("{:.0} µs", seconds * 1e6),
        1_000_000..100_000_000 => format!("{:.1} ms", seconds * 1e3),
        100_000_000..SECOND => format!("{:.0} ms", seconds * 1e3),
        SECOND..120_000_000_000 => format!("{seconds:.2} s"),
        _ => {
            let whole = nanoseconds / SECOND;
            if whole < 3600 {
                format!("{} min {:02} s", whole / 60, whole % 60)
            } else {
                format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
            }
        }
    }
}

/// A moment on the run's clock: `12.345 s`.
pub(super) fn moment(nanoseconds: u64) -> String {
    format!("{:.3} s", nanoseconds as f64 / SECOND as f64)
}

/// The beginning of a text of more than `limit` characters, and an ellipsis.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(length(350_000), "350 µs");
        assert_eq!(length(12_500_000), "12.5 ms");
        assert_eq!(length(1_250_000_000), "1.25 s");
        assert_eq!(length(125_000_000_000), "2 min 05 s");
        assert_eq!(length(7_260_000_000_000), "2 h 01 min");
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äö", 2), "äö");
    }
}
