//! What a request may ask after the question mark: what the document says, and nothing else. A `dry_run` that nobody looks at
//! would be a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::problem::Problem;

/// The names that each operation knows.
pub(super) struct KnownParameters(BTreeMap<(Method, String), BTreeSet<String>>);

impl KnownParameters {
    /// Those that a document describes.
    pub(super) fn of(document: &OpenApi) -> Self {
        let operations = document.paths.paths.iter().flat_map(|(path, item)| {
            operations(item).map(|(method, operation)| ((method, path.clone()), names(operation)))
        });
        Self(operations.collect())
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn names(operation: &Operation) -> BTreeSet<String> {
    let written = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        // The document has none of those.
        RefOr::Ref(_) => None,
    });
    written.filter(|parameter| parameter.parameter_in == ParameterIn::Query).map(|query| query.name.clone()).collect()
}

/// Lets a request through whose parameters are known.
pub(super) async fn known(
    State(known): State<Arc<KnownParameters>>,
    path: MatchedPath,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    // What is asked of a resource by HEAD is what GET would be asked.
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let names = known.0.get(&(method, path.as_str().to_owned()));
    let is_known = |name: &String| names.is_some_and(|names| names.contains(name));
    if let Some((unknown, _)) = parameters.iter().find(|(name, _)| !is_known(name)) {
        let expected = names.into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
        let expected = if expected.is_empty() { "none".to_owned() } else { expected.join(", ") };
        return Err(Problem::bad_request(format!("there is no parameter {unknown:?} here; there is: {expected}")));
    }
    Ok(next.run(request).await)
}
