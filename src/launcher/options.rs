//! The command line. One table of options feeds both the parsing and the help.
//!
//! Parsing ends at the first word that is no option: everything from there on belongs to the program, options of its own included.

use super::failure::{Failure, name};
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::fmt::Write;

/// What the options of one row do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Wish(Wish),
    NoKernelEpoll,
    Counters,
    Poller,
    NoChildren,
}

/// The one thing that a command line asks for; of several the last one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Launch,
    Check,
    Demo,
    Help,
    Version,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    short: Option<char>,
    long: &'static str,
    argument: Option<&'static str>,
    sentence: &'static str,
    effect: Effect,
}

const fn row(
    short: Option<char>,
    long: &'static str,
    argument: Option<&'static str>,
    effect: Effect,
    sentence: &'static str,
) -> Row {
    Row { short, long, argument, sentence, effect }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(None, "no-kernel-epoll", None, Effect::NoKernelEpoll, "Make every epoll call of the kernel fail with ENOSYS (seccomp)."),
    row(Some('c'), "counters", None, Effect::Counters, "Print the library's counters on standard error at exit."),
    row(None, "poller", Some("NAME"), Effect::Poller, "How the library learns readiness: "),
    row(None, "no-children", None, Effect::NoChildren, "Serve the program alone, and nothing that it starts."),
    row(None, "check", None, Effect::Wish(Wish::Check), "Say whether the program can be served, and do not run it."),
    row(None, "demo", None, Effect::Wish(Wish::Demo), "Show epolyfill at work beside the kernel's epoll and plain poll."),
    row(Some('h'), "help", None, Effect::Wish(Wish::Help), "Print this help."),
    row(Some('V'), "version", None, Effect::Wish(Wish::Version), "Print the version."),
];

/// The pollers that the library knows by name.
const POLLERS: &[&str] = &["auto", "poll", "uring"];

const USAGE: &str = "usage: epolyfill [options] [--] program args…";

/// A command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub wish: Wish,
    pub no_kernel_epoll: bool,
    pub counters: bool,
    pub no_children: bool,
    pub poller: Option<&'static str>,
    /// The program and its arguments; never empty when the wish is to launch or to check.
    pub program: Vec<OsString>,
}

/// Reads the words after the launcher's own name.
pub fn parse(words: Vec<OsString>) -> Result<Options, Failure> {
    let mut options = Options {
        wish: Wish::Launch,
        no_kernel_epoll: false,
        counters: false,
        no_children: false,
        poller: None,
        program: Vec::new(),
    };
    let mut parser = Parser::from_args(words);
    while let Some(arg) = parser.next().map_err(misuse)? {
        let found = match arg {
            Arg::Value(program) => {
                options.program.push(program);
                options.program.extend(parser.raw_args().map_err(misuse)?);
                break;
            }
            Arg::Short(letter) => TABLE.iter().find(|row| row.short == Some(letter)),
            Arg::Long(word) => TABLE.iter().find(|row| row.long == word),
        };
        let Some(row) = found else {
            return Err(misuse(arg.unexpected()));
        };
        match row.effect {
            Effect::NoKernelEpoll => options.no_kernel_epoll = true,
            Effect::Counters => options.counters = true,
            Effect::NoChildren => options.no_children = true,
            Effect::Poller => options.poller = Some(poller(&parser.value().map_err(misuse)?)?),
            // Help and version hold whatever else is on the line, right or wrong.
            Effect::Wish(wish @ (Wish::Help | Wish::Version)) => {
                options.wish = wish;
                return Ok(options);
            }
            Effect::Wish(wish) => options.wish = wish,
        }
    }
    if options.wish == Wish::Demo {
        if options.no_kernel_epoll || options.counters || options.no_children || !options.program.is_empty() {
            let sentence = "--demo runs programs of its own, and goes with no option but --poller";
            return Err(Failure::own(sentence));
        }
    } else if options.program.is_empty() {
        let sentence = format!("no program given; {USAGE} (--help says more)");
        return Err(Failure::own(sentence));
    }
    Ok(options)
}

fn poller(value: &OsString) -> Result<&'static str, Failure> {
    let known = POLLERS.iter().find(|known| value == *known);
    known.copied().ok_or_else(|| {
        let known = POLLERS.join(", ");
        Failure::own(format!("unknown poller {}; known are: {known}", name(value)))
    })
}

/// lexopt's complaint in the words of the house.
fn misuse(error: lexopt::Error) -> Failure {
    use lexopt::Error;
    let what = match error {
        Error::UnexpectedOption(option) => format!("unknown option {}", name(&option)),
        Error::MissingValue { option: Some(option) } => format!("option {} needs an argument", name(&option)),
        Error::UnexpectedValue { option, .. } => {
            format!("option {} takes no argument", name(&option))
        }
        other => other.to_string(),
    };
    Failure::own(format!("{what} (--help lists the options)"))
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = format!(
        "{USAGE}\n\
         \n\
         Runs a program with libepolyfill.so in front of libc, so that its epoll calls are served from userspace, on poll(2).\n\
         The process becomes the program: process id, exit status and signals are the program's own.\n\
         \n\
         options, which end at the first word that is no option:\n"
    );
    let heads: Vec<String> = TABLE.iter().map(head).collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0);
    for (row, head) in TABLE.iter().zip(&heads) {
        let values = match row.effect {
            Effect::Poller => format!("{}.", POLLERS.join(", ")),
            _ => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {head:width$}  {}{values}", row.sentence);
    }
    text.push_str(
        "\n\
         environment:\n  \
         EPOLYFILL_LIBRARY  The library to load. Without it: libepolyfill.so beside the launcher, or in ../lib.\n  \
         LD_PRELOAD         What it names already is kept, behind the library.\n\
         \n\
         exit status: the program's own; 125 if epolyfill fails or refuses, 126 if the program cannot be run, 127 if it is not found.\n",
    );
    text
}

fn head(row: &Row) -> String {
    let short = row.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
    let argument = row.argument.map_or(String::new(), |name| format!("={name}"));
    format!("{short}--{}{argument}", row.long)
}
