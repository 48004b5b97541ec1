//! Changing a state.json that somebody else may have written: only what changed is touched. Pure.

use serde_json::{Map, Value};

use super::types::State;
use crate::error::{Error, Result};

/// `original` with the difference between `before` (what was read from it) and `after` applied.
pub(super) fn rewrite(original: &[u8], before: &State, after: &State) -> Result<Vec<u8>> {
    let failed = |e: serde_json::Error| Error::new(format!("rewrite state.json: {e}"));
    let mut value: Value = serde_json::from_slice(original).map_err(failed)?;
    let before = serde_json::to_value(before).map_err(failed)?;
    let after = serde_json::to_value(after).map_err(failed)?;
    apply(&mut value, &before, &after);
    serde_json::to_vec(&value).map_err(failed)
}

/// Arrays are replaced as a whole: which element was which is not known.
fn apply(target: &mut Value, before: &Value, after: &Value) {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        *target = after.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        // Zero from now on, which is what a missing key means.
        target.remove(key);
    }
    for (key, new) in after {
        let old = before.get(key).unwrap_or(&Value::Null);
        if old != new {
            apply(target.entry(key).or_insert(Value::Null), old, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed() {
        let original = json!({
            "id": "x", "init_process_pid": 1, "init_process_start": 2, "created": "", "future": {"a": [1]},
            "config": {"rootfs": "/r", "later": 7, "umask": null, "hostname": "old",
                       "cgroups": {"memory": 5, "unheard_of": true, "unified": null}},
        });
        let bytes = serde_json::to_vec(&original).unwrap();
        let before: State = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&rewrite(&bytes, &before, &before).unwrap()).unwrap(), original);

        let mut after = before.clone();
        after.config.cgroups.memory = 0;
        after.config.cgroups.unified.insert("memory.high".into(), "9".into());
        after.config.umask = Some(0o77);
        after.config.hostname = "new".into();
        let mut expected = original;
        expected["config"]["cgroups"] = json!({"unheard_of": true, "unified": {"memory.high": "9"}});
        expected["config"]["umask"] = json!(63);
        expected["config"]["hostname"] = json!("new");
        assert_eq!(serde_json::from_slice::<Value>(&rewrite(&bytes, &before, &after).unwrap()).unwrap(), expected);
    }
}
