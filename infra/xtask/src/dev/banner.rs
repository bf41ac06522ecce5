//! The text that `cargo dev` prints when it is ready: addresses, users, and commands to paste.

use super::short;
use crate::paint::Paint;
use local::{Data, Handover, Stack, TENANTS};
use std::{fmt::Write, time::Duration};

/// Ends with the line `ready http://127.0.0.1:PORT`.
pub(super) fn banner(stack: &Stack, data: &Data, took: Duration, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, stack, data, took, paint);
    out
}

fn write(out: &mut String, stack: &Stack, data: &Data, took: Duration, paint: Paint) -> std::fmt::Result {
    let base = stack.base_url();
    let kept = match data {
        Data::Kept(dir) => format!("{}, kept for the next run; delete it to start afresh", short(dir)),
        Data::Ephemeral => "in memory, lost when stopped".to_owned(),
    };
    let env = short(&Handover::shell_file(stack.dir()));
    writeln!(
        out,
        "\n{} on this machine, started in {:.1} s. Synthetic data only.\n",
        paint.bold("Cloister"),
        took.as_secs_f64()
    )?;
    writeln!(out, "  API     {}", paint.link(base))?;
    writeln!(out, "  Docs    {}", paint.link(format_args!("{base}/docs")))?;
    writeln!(out, "  Socket  {}/ws, with a ticket of POST /v1/notifications/tickets", base.replacen("http", "ws", 1))?;
    writeln!(out, "  Mail    {}", paint.link(format_args!("{base}/_mail")))?;
    match stack.asks_ups() {
        true => writeln!(out, "  UPS     {} itself, as UPS_CLIENT_ID", paint.odd("UPS"))?,
        false => writeln!(out, "  UPS     cargo xtask ups{} advance TRACKING_NUMBER DELIVERED", data_dir_flag(stack, data))?,
    }
    writeln!(out, "  Data    {kept}")?;
    writeln!(out, "  Audit   cargo xtask audit tail --follow{}", data_dir_flag(stack, data))?;
    writeln!(out, "  Tour    cargo xtask demo{}", data_dir_flag(stack, data))?;
    let operator = short(&Handover::operator_file(stack.dir()));
    writeln!(out, "  Operate source {operator} && cargo run -q -p cloister -- dlq list")?;
    writeln!(out, "  Lambda  source {env} && cargo lambda watch -A ::1")?;
    writeln!(out, "  Stop    Ctrl-C\n")?;
    match stack.password() {
        Some(password) => {
            let flag = data_dir_flag(stack, data);
            users(out, stack, password, &flag, paint)?;
            try_it(out, base, password, &flag, paint)?;
        }
        None => writeln!(out, "  No tenants and no users: --no-seed.\n")?,
    }
    writeln!(out, "ready {base}")
}

fn data_dir_flag(stack: &Stack, data: &Data) -> String {
    let default = matches!(data, Data::Kept(dir) if *dir == super::default_data_dir());
    if default { String::new() } else { format!(" --data-dir {}", short(stack.dir())) }
}

fn users(out: &mut String, stack: &Stack, password: &str, flag: &str, paint: Paint) -> std::fmt::Result {
    writeln!(out, "  Everybody's password: {}\n", paint.bold(password))?;
    writeln!(out, "  {}", paint.dim(format_args!("{:<14} {:<36} {}", "tenant", "user", "role")))?;
    for user in stack.users() {
        let second = if user.authenticator.is_some() { "  + authenticator" } else { "" };
        writeln!(out, "  {:<14} {:<36} {}{second}", user.tenant, user.email, user.role)?;
    }
    writeln!(out, "\n  An access token of a user:   {}", paint.bold(format_args!("cargo -q xtask token{flag} <user>")))?;
    writeln!(out, "  A code of an authenticator:  {}\n", paint.bold(format_args!("cargo xtask totp{flag} <user>")))
}

/// Commands for any POSIX shell with curl and sed: the requests of a marketer, in each of two tenants.
fn try_it(out: &mut String, base: &str, password: &str, flag: &str, paint: Paint) -> std::fmt::Result {
    const JSON: &str = "-H 'content-type: application/json'";
    let phi = |token: &str| format!(r#"-H "authorization: Bearer ${token}" -H 'x-purpose-of-use: TREAT'"#);
    let [acme, birch] = TENANTS;
    let admin = format!("tenant_admin@{acme}.example");
    let mut steps = vec![("Where".to_owned(), format!("API={base}"))];
    for (tenant, token, id) in [(acme, "TOKEN", "ID"), (birch, "OTHER", "THEIRS")] {
        steps.extend(marketer(tenant, token, id, password, &phi(token)));
    }
    steps.push((
        "Neither finds the other's shipment: 404 and 404".to_owned(),
        format!("curl -si $API/v1/shipments/$THEIRS {}\n  curl -si $API/v1/shipments/$ID {}", phi("TOKEN"), phi("OTHER")),
    ));
    steps.push((
        "Sign in as an administrator, in two steps: the password, and the authenticator's code".to_owned(),
        format!(
            "SESSION=$(curl -s $API/v1/auth/login {JSON} \\\n    \
             -d '{{\"email\":\"{admin}\",\"password\":\"{password}\"}}' | {})\n  \
             ADMIN=$(curl -s $API/v1/auth/challenge {JSON} \\\n    \
             -d \"{{\\\"challenge\\\":\\\"TOTP\\\",\\\"session\\\":\\\"$SESSION\\\",\\\"code\\\":\\\"$(cargo -q xtask totp{flag} {admin})\\\"}}\" \\\n    \
             | {})\n  \
             curl -s $API/v1/sessions -H \"authorization: Bearer $ADMIN\"",
            member("session"),
            member("access_token"),
        ),
    ));
    for (what, lines) in steps {
        writeln!(out, "  {}\n  {lines}\n", paint.dim(format_args!("# {what}")))?;
    }
    Ok(())
}

/// From sign-in to void. The variables of these names hold the token and the shipment's id.
fn marketer(tenant: &str, token: &str, id: &str, password: &str, phi: &str) -> Vec<(String, String)> {
    const JSON: &str = "-H 'content-type: application/json'";
    let (create, update) = (sample("create_shipment"), sample("update_shipment"));
    let one = format!("$API/v1/shipments/${id}");
    let sign_in = format!(
        "{token}=$(curl -s $API/v1/auth/login {JSON} \\\n    \
         -d '{{\"email\":\"marketer@{tenant}.example\",\"password\":\"{password}\"}}' | {})",
        member("access_token"),
    );
    let register = format!(
        "{id}=$(curl -s $API/v1/shipments {phi} {JSON} -H \"idempotency-key: $(date +%s)\" \\\n    -d '{create}' \\\n    \
         | tee /dev/stderr | {})",
        member("shipment_id"),
    );
    let get = format!("SEEN=$(curl -si {one} {phi} | tee /dev/stderr | tr -d '\\r' | sed -n 's/^[eE][tT]ag: *//p')");
    let update = format!("curl -si -X PATCH {one} {phi} {JSON} -H \"if-match: $SEEN\" \\\n    -d '{update}'");
    [
        (format!("Sign in as a marketer of {tenant}"), sign_in),
        ("Register a shipment, and remember its id".to_owned(), register),
        ("List".to_owned(), format!("curl -s $API/v1/shipments {phi}")),
        ("Get, and remember the version that you have seen".to_owned(), get),
        ("Update that version".to_owned(), update),
        ("Void".to_owned(), format!("curl -si -X POST {one}/void {phi}")),
    ]
    .into()
}

/// Extracts a member from an answer.
fn member(name: &str) -> String {
    format!(r#"sed 's/.*"{name}":"\([^"]*\)".*/\1/'"#)
}

/// An endpoint's sample body on one line.
fn sample(endpoint: &str) -> String {
    let body = registry::all().find(|e| e.name == endpoint).and_then(|e| e.sample.body).unwrap_or("{}");
    // INVARIANT: no sample contains a quote mark that would end the shell's; a test checks it.
    serde_json::from_str::<serde_json::Value>(body).map_or_else(|_| body.to_owned(), |json| json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_commands_hold_whole_samples_that_need_no_shell_escapes() {
        for endpoint in ["create_shipment", "update_shipment"] {
            let body = sample(endpoint);
            assert_ne!(body, "{}", "{endpoint}");
            assert!(!body.contains(['\'', '\n']), "{body}");
        }
    }
}
