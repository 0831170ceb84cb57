//! Bad input ends with one sentence on stderr and the exit code 2.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::process::ExitCode;

/// What `main` returns for `result`: an error is told as one sentence.
pub(crate) fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe does not want to read on.
        Err(error) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => refuse(&sentence(error.as_ref())),
    }
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What `main` returns when clap does not let the program start: help and version are no refusals.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        return refuse(&complaint(error));
    }
    // Whoever closed the pipe does not want to read on.
    error.print().unwrap_or_default();
    ExitCode::SUCCESS
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::from(2)
}

/// An error with its causes, each of them once.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What clap's message says about the flag, as one sentence.
fn complaint(error: &clap::Error) -> String {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag = word(ContextKind::InvalidArg).map(|text| text.split(" <").next().unwrap_or(text));
    match (error.kind(), flag, word(ContextKind::InvalidValue), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(flag), Some(""), _) => format!("{flag}: a value must follow"),
        (ErrorKind::InvalidValue, Some(flag), Some(value), Some(ContextValue::Strings(known))) => {
            format!("{flag} {value}: it must be one of {}", known.join(", "))
        }
        (ErrorKind::ValueValidation, Some(flag), Some(value), _) => {
            let rule = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{flag} {value}: {rule}")
        }
        _ => first_paragraphs(&error.render().to_string()),
    }
}

/// clap's message in one line, without its hints on usage.
fn first_paragraphs(message: &str) -> String {
    let hint = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines: Vec<&str> = message.lines().map(str::trim).take_while(|line| !hint(line)).collect();
    let text = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let text = text.replace(":; ", ": ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}
