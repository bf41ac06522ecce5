//! Credentials in an `Authorization` header (RFC 9110, section 11.4).

/// The token68 after a scheme, if the header has that scheme, in any letter case, and exactly one token.
pub(crate) fn credentials<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (named, rest) = header.trim_matches([' ', '\t']).split_once(' ')?;
    let token = rest.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    let is_token68 = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    (named.eq_ignore_ascii_case(scheme) && !body.is_empty() && body.bytes().all(is_token68)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scheme_is_matched_in_any_case_with_exactly_one_token() {
        for header in
            ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER   a.b-c_d~e+f/g==", " bEaReR a.b-c_d~e+f/g==\t"]
        {
            assert_eq!(credentials(header, "Bearer"), Some("a.b-c_d~e+f/g=="), "{header}");
        }
        let others = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer\ta",
            "Bearera",
            "Basic a",
            "Bearer a b",
            "Bearer a,b",
            "Bearer =",
            "Bearer a=b",
            "Bearer \"a\"",
            "Bearer é",
        ];
        for header in others {
            assert_eq!(credentials(header, "Bearer"), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn accepted_credentials_have_no_spaces_or_separators(header in "\\PC*|[Bb]earer[ \t]+[ -~]*") {
            if let Some(token) = credentials(&header, "bearer") {
                prop_assert!(header.contains(token) && !token.contains([' ', ',', '"', '\t']));
            }
        }
    }
}
