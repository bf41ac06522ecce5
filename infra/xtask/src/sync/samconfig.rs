//! Reads the deployments' parameters from samconfig.toml.

/// The parameters that `sam deploy --config-env <environment>` sets, by name.
///
/// # Errors
/// If `parameter_overrides` is not one string on one line, as `sam deploy --guided` writes it.
pub(crate) fn parameters(samconfig: &str, environment: &str) -> Result<Vec<(String, String)>, String> {
    let Some((_, section)) = samconfig.split_once(&format!("[{environment}.deploy.parameters]\n")) else { return Ok(vec![]) };
    let section = section.split("\n[").next().unwrap_or(section);
    let Some(line) = section.lines().find(|line| line.trim_start().starts_with("parameter_overrides")) else {
        return Ok(vec![]);
    };
    let unread = || format!("samconfig.toml: `parameter_overrides` of {environment} is not one string on one line");
    let (_, value) = line.split_once('=').ok_or_else(unread)?;
    let text = value.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(unread)?;
    if text.replace("\\\"", "").contains('"') {
        return Err(unread());
    }
    words(&text.replace("\\\"", "\""))
        .into_iter()
        .map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(unread))
        .collect()
}

/// The longest list of operators' networks: a part of the 4 KB that Lambda allows for all of a function's environment.
pub(crate) const MOST_NETWORKS: usize = 1_000;

/// Refuses a value that CloudFormation accepts but a service would refuse during the deployment.
///
/// # Errors
/// Names the parameter and the reason.
pub(crate) fn check(parameters: &[(String, String)]) -> Result<(), String> {
    for (name, value) in parameters {
        let most = match name.as_str() {
            "AllowedOrigins" => super::api::MOST_ORIGINS,
            "OperatorNetworks" => MOST_NETWORKS,
            _ => continue,
        };
        if value.len() > most {
            return Err(format!("samconfig.toml: {name} has {} characters, and AWS takes {most}", value.len()));
        }
        // The characters of the reference of AWS::ApiGateway::Stage.
        let taken = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#&=,".contains(c);
        if let Some(refused) = value.chars().find(|c| !taken(*c)) {
            return Err(format!("samconfig.toml: {name} has `{refused}`, which AWS does not take there"));
        }
    }
    Ok(())
}

/// Splits at spaces outside quotes, and removes the quotes.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_with_and_without_quotes() {
        let by_hand = "parameter_overrides = \"Prefix=cloister-prod AllowedOrigins=https://a.example,https://b.example\"\n";
        let by_sam =
            "parameter_overrides = \"Prefix=\\\"cloister-prod\\\" AllowedOrigins=\\\"https://a.example,https://b.example\\\"\"\n";
        for line in [by_hand, by_sam] {
            let text = format!("[default.deploy.parameters]\nx = 1\n\n[prod.deploy.parameters]\n{line}\n[other]\n");
            let read = parameters(&text, "prod").unwrap();
            let expected = [("Prefix", "cloister-prod"), ("AllowedOrigins", "https://a.example,https://b.example")];
            assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
            assert_eq!(parameters(&text, "default").unwrap(), []);
            assert_eq!(parameters(&text, "none").unwrap(), []);
        }
    }

    #[test]
    fn parameters_of_another_form_are_an_error() {
        for value in ["[\"Prefix=x\"]", "\"\"\"", "\"Prefix\"", ""] {
            let text = format!("[prod.deploy.parameters]\nparameter_overrides = {value}\n");
            assert!(parameters(&text, "prod").is_err(), "{value}");
        }
    }
}
