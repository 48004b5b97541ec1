//! The annotation `io.dunnage.trace`: the container's start is to be traced. Pure.
//!
//! Annotations come from images and pods. This one switches on and off, and names no file: where a trace is written is the
//! runtime's own to say (the state directory).

use std::collections::BTreeMap;

use super::landlock::problem;
use super::problem::Problem;

/// Its name.
pub const ANNOTATION: &str = "io.dunnage.trace";

/// Whether it asks for a trace.
///
/// # Errors
/// It is neither `true` nor `false`.
pub fn asked(annotations: &BTreeMap<String, String>) -> Result<bool, Problem> {
    match annotations.get(ANNOTATION).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(problem(ANNOTATION, "must be \"true\" or \"false\"; a file of your own takes --trace FILE")),
    }
}

/// The same of a container that is there, by the labels of its state.json: `NAME=VALUE`.
pub fn asked_by_labels(labels: &[String]) -> bool {
    labels.iter().any(|label| label.strip_prefix(ANNOTATION) == Some("=true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_and_off_and_nothing_else() {
        let asked = |value: &str| asked(&BTreeMap::from([(ANNOTATION.to_owned(), value.to_owned())]));
        assert!(asked("true").unwrap() && !asked("false").unwrap());
        for wrong in ["", "1", "TRUE", "/etc/passwd", "true\n"] {
            assert_eq!(asked(wrong).unwrap_err().field, "/annotations/io.dunnage.trace", "{wrong:?}");
        }
        assert!(asked_by_labels(&["a=b".into(), "io.dunnage.trace=true".into()]));
        assert!(!asked_by_labels(&["io.dunnage.trace=false".into(), "io.dunnage.trace.x=true".into()]));
    }
}
