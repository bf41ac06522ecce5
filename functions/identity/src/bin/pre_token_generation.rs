fn main() -> std::process::ExitCode {
    common::lambda::pre_token_generation::<identity::pre_token_generation::NarrowTokens>()
}
