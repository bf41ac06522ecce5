//! Tests the binary: exit codes and output.

use crate::made::*;
use auditor::paths;
use serde_json::Value;
use std::process::Command;

/// Exit code, standard output and standard error.
fn run(bundle: &Bundle, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloister-audit"));
    let output = command.arg("verify").arg("--offline").arg(bundle.0.path()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn verified_bundle_exits_0_and_lists_what_is_not_proven() {
    let (code, out, err) = run(&Bundle::new(), &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("VERIFIED  cloister.example/ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4\n"), "{out}");
    assert!(out.contains("25 events (3 segments), sequence 0 to 24") && out.contains("NOT proven:"), "{out}");
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn each_finding_has_its_exit_code() {
    type Tamper<'a> = &'a dyn Fn(&Bundle);
    let cases: [(i32, Tamper<'_>); 8] = [
        (10, &|bundle| bundle.put(FIRST, String::from_utf8(bundle.get(FIRST)).unwrap().replacen("marketer", "Marketer", 1))),
        (11, &|bundle| bundle.remove(FIRST)),
        (12, &|bundle| bundle.reorder(FIRST, [1, 0, 2, 3, 4, 5, 6, 7, 8, 9])),
        (13, &|bundle| bundle.remove(LAST)),
        (14, &|bundle| bundle.put(CHECKPOINTS[0], "")),
        (15, &|bundle| bundle.remove(paths::MANIFEST)),
        (16, &|bundle| bundle.put(CHECKPOINTS[0], bundle.get(CHECKPOINTS[1]))),
        (17, &|bundle| bundle.reorder(FIRST, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
    ];
    for (expected, tamper) in cases {
        let bundle = Bundle::new();
        tamper(&bundle);
        let (code, out, _) = run(&bundle, &[]);
        assert_eq!(code, expected, "{out}");
        assert!(out.starts_with("NOT VERIFIED"), "{out}");
        let (code, out, _) = run(&bundle, &["--json"]);
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (code, answer["exit_code"].as_i64(), &answer["verified"]),
            (expected, Some(expected.into()), &Value::Bool(false))
        );
        assert!(!answer["findings"][0]["file"].as_str().unwrap().is_empty(), "{out}");
    }
}

#[test]
fn key_and_checkpoint_are_read_from_files() {
    let bundle = Bundle::new();
    let (key, kept) = (bundle.path(paths::KEY), bundle.path(CHECKPOINTS[0]));
    let args = ["--key", key.to_str().unwrap(), "--since", kept.to_str().unwrap(), "--from", "3", "--to", "20", "--json"];
    let (code, out, _) = run(&bundle, &args);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["key_pinned"], answer["since"].as_u64()), (0, &Value::Bool(true), Some(10)));
    assert_eq!(answer["not_proven"].as_array().unwrap().len(), 1);
}

#[test]
fn checkpoint_may_be_pasted_from_a_mail() {
    let bundle = Bundle::new();
    let note = std::fs::read_to_string(bundle.path(CHECKPOINTS[0])).unwrap();
    let pasted = bundle.path("pasted.txt");
    std::fs::write(&pasted, format!("\r\n{}\r\n", note.replace('\n', "\r\n"))).unwrap();
    let (code, out, _) = run(&bundle, &["--since", pasted.to_str().unwrap(), "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, answer["since"].as_u64()), (0, Some(10)));
    // A changed text is refused.
    std::fs::write(&pasted, note.replacen("10\n", "11\n", 1)).unwrap();
    assert_ne!(run(&bundle, &["--since", pasted.to_str().unwrap()]).0, 0);
}

#[test]
fn control_characters_of_a_bundle_do_not_reach_the_terminal() {
    let bundle = Bundle::new();
    let manifest = String::from_utf8(bundle.get(paths::MANIFEST)).unwrap();
    bundle.put(paths::MANIFEST, manifest.replacen('{', r#"{"\u001b[2J\u202e":1,"#, 1));
    let (code, out, _) = run(&bundle, &[]);
    assert_eq!(code, 15);
    assert!(out.contains(r"\u{1b}[2J\u{202e}") && out.chars().all(|c| c == '\n' || !c.is_control()), "{out}");

    let bundle = Bundle::new();
    let note = String::from_utf8(bundle.get(CHECKPOINTS[0])).unwrap();
    bundle.put(CHECKPOINTS[0], note.replace("\u{2014} cloister", "\u{2014} \u{202e}cloister"));
    let (code, out, _) = run(&bundle, &[]);
    assert!(code == 14 && !out.contains('\u{202e}'), "{out}");
}

#[test]
fn invalid_command_exits_2() {
    let bundle = Bundle::new();
    for args in
        [&["--from", "9", "--to", "3"][..], &["--key", "nowhere"], &["--since", "nowhere"], &["--frob"], &["--from", "-1"]]
    {
        let (code, out, err) = run(&bundle, args);
        assert_eq!((code, out.as_str(), err.starts_with("error: ")), (2, "", true), "{args:?}: {err}");
    }
    let not_a_key = bundle.path(CHECKPOINTS[0]);
    assert_eq!(run(&bundle, &["--key", not_a_key.to_str().unwrap()]).0, 2);
}
