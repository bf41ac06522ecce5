//! Finds the endpoint of a method and path. A fixed segment takes precedence over a parameter, as in API Gateway.

use axum::http::Method;
use common::request::AnyEndpoint;
use std::collections::BTreeMap;

/// The routes, by path template.
#[derive(Debug)]
pub(crate) struct Routes(BTreeMap<&'static str, BTreeMap<&'static str, &'static AnyEndpoint>>);

#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// The path exists, but not with this method.
    Path {
        path: &'static str,
        methods: Vec<&'static str>,
    },
    Endpoint {
        endpoint: &'static AnyEndpoint,
        parameters: Vec<(String, String)>,
    },
}

impl Routes {
    pub(crate) fn new(endpoints: impl IntoIterator<Item = &'static AnyEndpoint>) -> Self {
        let mut routes: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for endpoint in endpoints {
            routes.entry(endpoint.route.path).or_default().insert(endpoint.route.method.as_str(), endpoint);
        }
        Self(routes)
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let candidates = self.0.iter().filter_map(|(template, methods)| Some((template, methods, parameters(template, path)?)));
        // The template with the fewest parameters.
        let Some((path, methods, parameters)) = candidates.min_by_key(|(.., parameters)| parameters.len()) else {
            return Found::Nothing;
        };
        match methods.get(method.as_str()) {
            Some(endpoint) => Found::Endpoint { endpoint, parameters },
            None => Found::Path { path, methods: methods.keys().copied().collect() },
        }
    }
}

/// The parameters' values if `path` matches the template.
fn parameters(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
                Some(name) if !given.is_empty() => found.push((name.to_owned(), decoded(given))),
                None if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Percent-decoded; a plus sign is unchanged.
fn decoded(segment: &str) -> String {
    let escaped = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_matches_its_template_segment_by_segment() {
        let fits = |template, path| parameters(template, path).map(|p| p.into_iter().map(|(_, v)| v).collect::<Vec<_>>());
        assert_eq!(fits("/v1/shipments", "/v1/shipments"), Some(vec![]));
        assert_eq!(fits("/v1/shipments/{id}", "/v1/shipments/shp_1"), Some(vec!["shp_1".to_owned()]));
        assert_eq!(fits("/v1/shipments/{id}/void", "/v1/shipments/a%2Fb+c/void"), Some(vec!["a/b+c".to_owned()]));
        for path in ["/v1/shipments/", "/v1/shipments/x/y", "/v1", "/v1/shipments/x/void/", "//v1/shipments"] {
            assert_eq!(fits("/v1/shipments/{id}", path), None, "{path}");
        }
    }
}
