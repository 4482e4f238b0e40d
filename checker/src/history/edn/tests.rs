//! Golden values of EDN text.

use super::*;

fn read(text: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::new(text.as_bytes());
    let mut forms = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(form)) => forms.push(form.to_string()),
            Ok(None) => return Ok(forms),
            Err(Error::Malformed { line, problem }) => return Err(format!("{line}: {problem}")),
            Err(Error::Torn { line, form }) => return Err(format!("{line}: {form} is open")),
            Err(Error::Io(error)) => return Err(error.to_string()),
        }
    }
}

fn one(text: &str) -> Datum {
    Reader::of(text).read().unwrap().unwrap()
}

#[test]
fn every_form_has_a_datum() {
    let cases = [
        ("nil true false", "nil true false"),
        (
            "0 -7 +5 9223372036854775807 -9223372036854775808",
            "0 -7 5 9223372036854775807 -9223372036854775808",
        ),
        (
            "3N 9223372036854775808 9223372036854775808N",
            "3 9223372036854775808 9223372036854775808",
        ),
        ("1.50 1.5 -0.0 1e3 1.5M 1/2", "1.5 1.5 -0.0 1000.0 1.5M 1/2"),
        ("##Inf ##-Inf ##NaN", "Inf -Inf NaN"),
        (":a :a/b.c x/y + - ->x *ns* :5", "a a/b.c x/y + - ->x *ns* 5"),
        (r"\a \newline \u00e9 \( \é", "a \n é ( é"),
        (r#""a" "" "\"\\\t\n\r" "\u00e9\ud83d\ude00" "a;b #_ é""#, "a  \"\\\t\n\r é😀 a;b #_ é"),
        ("[1 [2] (3 4)] #{1 2} []", "[1 [2] [3 4]] [1 2] []"),
        ("{:a 1, :b {:c nil}} {}", "{a 1, b {c nil}} {}"),
        ("#inst \"2020\" #a.b/C{:x 1} #x #y [1] #:ns{:a 1}", "2020 {x 1} [1] {a 1}"),
        ("1 ; two 2\n3;", "1 3"),
        ("[1 #_ 2 3 #_#_ 4 5 #_ {:a #_ 1 2}] #_ 6", "[1 3]"),
        ("[1,2,,3]\"a\"[4]:b[5]", "[1 2 3] a [4] b [5]"),
    ];
    for (text, forms) in cases {
        assert_eq!(read(text).map(|forms| forms.join(" ")), Ok(forms.to_owned()), "{text}");
    }
    assert_eq!(one("5"), Datum::Int(5));
    assert_eq!(one("5N"), Datum::Int(5));
    assert_eq!(one("\"5\""), Datum::Text("5".into()));
    assert_eq!(one("#{5}"), Datum::List(vec![Datum::Int(5)]));
    assert_eq!(one("#{{:a 1 :b 2} 7}"), one("#{7 {:b 2 :a 1}}"));
    assert_ne!(one("[1 2]"), one("[2 1]"));
}

#[test]
fn what_is_no_edn_is_told_with_its_line() {
    let cases = [
        ("1\n]", "2: `]` closes nothing here"),
        ("[1\n}", "2: `}` closes nothing here"),
        ("[1\n[2\n3", "2: the list is open"),
        ("{:a\n", "1: the map is open"),
        ("{:a}", "1: `}` closes nothing here"),
        ("\n\"ab\n", "2: the string is open"),
        ("#{1", "1: the list is open"),
        ("#_", "1: what is discarded is open"),
        ("[#_]", "1: `]` closes nothing here"),
        ("#tag", "1: the tag is open"),
        ("[#tag]", "1: `]` closes nothing here"),
        ("#<Object 5>", "1: `#<` begins no form of EDN"),
        ("#\"regex\"", "1: `#\\\"` begins no form of EDN"),
        ("^meta x", "1: `^` begins no form of EDN"),
        ("\"\\q\"", "1: `\\q` is no escape of a string"),
        ("\"\\u12g4\"", "1: `\\u` needs four hexadecimal digits"),
        ("\"\\ud83d\"", "1: `\\ud83d` is half a character"),
        ("\"\\ude00\"", "1: `\\ude00` is half a character"),
        ("\\unknown", "1: \\unknown is no character"),
        ("\n\n1x", "3: `1x` is no number"),
        ("1.2.3", "1: `1.2.3` is no number"),
        (":", "1: `:` is no name"),
    ];
    for (text, error) in cases {
        assert_eq!(read(text), Err(error.to_owned()), "{text}");
    }
    let bad =
        Reader::new(&b"1 \"\xff\""[..]).read().and_then(|_| Reader::new(&b"\"\xff\""[..]).read());
    assert!(
        matches!(bad, Err(Error::Malformed { problem, .. }) if problem == "the string is not UTF-8")
    );
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let nested = |open: &str, depth: usize| open.repeat(depth);
    let closed = format!("{}{}", nested("[", DEPTH_MAX), nested("]", DEPTH_MAX));
    assert_eq!(read(&closed), Ok(vec![closed]));
    for open in ["[", "{:a ", "#{", "(", "[#_ ", "#_ #t "] {
        let refused = read(&nested(open, 100_000));
        let expected = format!("1: forms lie more than {DEPTH_MAX} deep");
        assert_eq!(refused, Err(expected), "{open}");
    }
    // Tags and comments do not nest.
    assert_eq!(read(&format!("{}1", nested("#t ", 100_000))), Ok(vec!["1".to_owned()]));
}
