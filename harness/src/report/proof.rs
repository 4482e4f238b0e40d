//! Writes the proof of a fault, which is JSON of any shape, as a person would note it: an indented
//! line per thing, without braces and quotes.

use serde_json::Value;

/// Texts from this length on have a line of their own, in bytes.
const LONG: usize = 24;

/// Several lines, each indented by `depth` steps; ends with a line end.
pub(super) fn write(out: &mut String, value: &Value, depth: usize) {
    let children: Vec<(Option<&str>, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(k, v)| (Some(k.as_str()), v)).collect(),
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        scalar => return line(out, depth, &text(scalar)),
    };
    for (name, child) in children {
        match (name, in_line(child)) {
            (Some(name), Some(text)) => line(out, depth, &format!("{name}: {text}")),
            (None, Some(text)) => line(out, depth, &text),
            (name, None) => {
                if let Some(name) = name {
                    line(out, depth, name);
                }
                write(out, child, depth + 1);
            }
        }
    }
}

/// A value that fits into one line: a scalar, scalars with names, or a few short ones.
fn in_line(value: &Value) -> Option<String> {
    let scalar = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(fields) if fields.values().all(scalar) => {
            let parts = fields.iter().map(|(name, value)| format!("{name} {}", text(value)));
            Some(parts.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) if items.iter().all(scalar) => {
            let line = items.iter().map(text).collect::<Vec<_>>().join(", ");
            // A long text is a rule: one a line.
            let short = items.iter().all(|item| text(item).len() < LONG);
            short.then_some(line)
        }
        value => scalar(value).then(|| text(value)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.push_str(&"  ".repeat(depth));
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        write(&mut out, value, 0);
        out
    }

    #[test]
    fn proof_reads_like_notes() {
        let proof = json!({
            "counters": [{"node": "n1", "packets": 9}, {"node": "n2", "packets": 8}],
            "rules": ["-A RAFT-IN -s 198.18.0.4 -j DROP"],
            "n3": {"boot": [1, 2], "probe": {"from": "n1"}},
            "probes": ["n1 to n2", "n2 to n1"],
            "skew_us": 4219,
        });
        assert_eq!(
            written(&proof),
            "counters\n  node n1, packets 9\n  node n2, packets 8\nn3\n  boot: 1, 2\n  probe: from n1\n\
             probes: n1 to n2, n2 to n1\n\
             rules\n  -A RAFT-IN -s 198.18.0.4 -j DROP\nskew_us: 4219\n"
        );
        assert_eq!(written(&json!("exited (137)")), "exited (137)\n");
    }
}
