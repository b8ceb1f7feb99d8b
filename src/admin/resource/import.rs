//! Devices to be imported, in the three forms in which lists of devices come.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::problem::Problem;
use crate::ra::{Listing, MAX_LISTED_AT_ONCE};

/// A device to be listed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Row {
    /// Its id, as the label's `identity` reads it from the birth certificate.
    #[schema(min_length = 1, max_length = 128)]
    id: String,
    /// What operators call it by.
    #[serde(default)]
    tags: Vec<String>,
}

/// A row of CSV.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CsvRow {
    id: String,
    /// Separated by semicolons.
    #[serde(default)]
    tags: String,
}

impl From<Row> for Listing {
    fn from(Row { id, tags }: Row) -> Self {
        Self { id, tags }
    }
}

impl From<CsvRow> for Listing {
    fn from(CsvRow { id, tags }: CsvRow) -> Self {
        let tags = tags.split(';').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        Self { id, tags }
    }
}

/// The devices in a body. Rows are counted from 1; the header of CSV is none.
pub(super) fn rows(media_type: &str, body: &[u8]) -> Result<Vec<Listing>, Problem> {
    match media_type {
        "application/json" => {
            let rows: Vec<Row> =
                serde_json::from_slice(body).map_err(|error| Problem::unprocessable(error.to_string()))?;
            Ok(rows.into_iter().map(Into::into).collect())
        }
        "application/x-ndjson" | "application/jsonl" => {
            let lines = body.split(|octet| *octet == b'\n').filter(|line| !line.trim_ascii().is_empty());
            collect(lines.map(|line| serde_json::from_slice::<Row>(line).map_err(|error| error.to_string())))
        }
        "text/csv" => {
            let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body);
            // Told also when no row follows that would lack it.
            if !reader.headers().is_ok_and(|header| header.iter().any(|column| column == "id")) {
                return Err(Problem::unprocessable("a header with the columns id and, where wanted, tags is expected"));
            }
            collect(reader.deserialize::<CsvRow>().map(|row| row.map_err(|error| explain(&error))))
        }
        other => {
            let expected = "application/json, application/x-ndjson or text/csv";
            Err(Problem::media_type(format!("{expected} is expected, {other:?} came")))
        }
    }
}

fn collect<R: Into<Listing>>(rows: impl Iterator<Item = Result<R, String>>) -> Result<Vec<Listing>, Problem> {
    let mut listings = Vec::new();
    for (row, number) in rows.zip(1..) {
        let row = row.map_err(|error| Problem::unprocessable(format!("row {number}: {error}")))?;
        // One more than fits: the registry then says how many do.
        if number > MAX_LISTED_AT_ONCE + 1 {
            break;
        }
        listings.push(row.into());
    }
    Ok(listings)
}

/// Without the place that the reader counts its own way.
fn explain(error: &csv::Error) -> String {
    if let csv::ErrorKind::Deserialize { err, .. } = error.kind() {
        format!("the columns are id and, where wanted, tags: {err}")
    } else if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        format!("{expected_len} columns are expected, {len} came")
    } else if let csv::ErrorKind::Utf8 { .. } = error.kind() {
        "UTF-8 is expected".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(id: &str, tags: &[&str]) -> Listing {
        Listing { id: id.into(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let expected = vec![listing("SN-1", &["north", "pump"]), listing("SN-2", &[])];
        let json = r#"[{"id":"SN-1","tags":["north","pump"]},{"id":"SN-2"}]"#;
        let lines = "{\"id\":\"SN-1\",\"tags\":[\"north\",\"pump\"]}\r\n\n{\"id\":\"SN-2\"}\n";
        let csv = "id,tags\nSN-1,north; pump\n\"SN-2\",\n";
        assert_eq!(rows("application/json", json.as_bytes()).unwrap(), expected);
        assert_eq!(rows("application/x-ndjson", lines.as_bytes()).unwrap(), expected);
        assert_eq!(rows("text/csv", csv.as_bytes()).unwrap(), expected);
        assert_eq!(rows("text/csv", b"id\nSN-2\n").unwrap(), expected[1..]);
    }

    #[test]
    fn a_row_that_does_not_do_is_named() {
        for (media_type, body) in [
            ("application/x-ndjson", "{\"id\":\"SN-1\"}\n{\"ident\":\"SN-2\"}\n"),
            ("application/x-ndjson", "{\"id\":\"SN-1\"}\n{\"id\":\"SN-2\",\"key\":1}\n"),
            ("text/csv", "id,tags\nSN-1,\nSN-2\n"),
        ] {
            let problem = rows(media_type, body.as_bytes()).unwrap_err();
            assert!(serde_json::to_string(&problem).unwrap().contains("row 2: "), "{problem:?}");
        }
        for body in [&b""[..], b"true", b"\xff\n", b"SN-1\nSN-2\n"] {
            let problem = rows("text/csv", body).unwrap_err();
            assert!(serde_json::to_string(&problem).unwrap().contains("a header with the columns"), "{problem:?}");
        }
        let unknown = rows("text/csv", b"id,color\nSN-1,red\n").unwrap_err();
        assert!(serde_json::to_string(&unknown).unwrap().contains("color"), "{unknown:?}");
    }
}
