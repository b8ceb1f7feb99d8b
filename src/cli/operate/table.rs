//! Answers as tables and lists, for people.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A table of the columns (title, key) of rows.
pub(super) fn rows(rows: &[Value], columns: &[(&str, &str)], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(title, _)| *title));
    for row in rows {
        table.add_row(columns.iter().map(|(_, key)| row.get(*key).map(text).unwrap_or_default()));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `key: value`, one a line; the objects of a list indented below it.
pub(super) fn fields(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let Value::Object(fields) = answer else { return writeln!(out, "{}", text(answer)) };
    for (key, value) in fields {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                writeln!(out, "{key}:")?;
                for item in items {
                    let fields = item.as_object().into_iter().flatten();
                    let shown: Vec<_> = fields.map(|(key, value)| format!("{key} {}", text(value))).collect();
                    writeln!(out, "  {}", shown.join(", "))?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                writeln!(out, "{key}: {}", text(value))?
            }
        }
    }
    Ok(())
}

/// A value in one line; names may hold anything.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_its_columns_and_no_control_characters() {
        let mut out = Vec::new();
        let shown = [json!({"id": "SN-1", "tags": ["a", "b"]}), json!({"id": "SN\u{1b}[2J", "count": 3})];
        rows(&shown, &[("ID", "id"), ("TAGS", "tags"), ("COUNT", "count")], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words, [vec!["ID", "TAGS", "COUNT"], vec!["SN-1", "a,", "b"], vec!["SN\\u{1b}[2J", "3"]]);
    }
}
