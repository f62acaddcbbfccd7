//! The command line. One table of options feeds the parsing, the help and the completions of the
//! shells (`completion`).
//!
//! Parsing ends at the first word that is not an option: everything from there on belongs to the
//! program, options of its own included.

use super::completion::{self, Shell};
use super::failure::{Failure, name};
use super::see::chaos::Chaos;
use super::see::{self, FORMATS, Format, Seeing, Style};
use crate::settings;
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::fmt::Write;

/// The effect of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Wish(Wish),
    NoKernelEpoll,
    Counters,
    Poller,
    NoChildren,
    Audit,
    Format,
    Exit,
    Suppress,
    Strace,
    Chaos,
    ChaosLog,
    ChaosHunt,
    Output,
    Summary,
    Trace,
    Durations,
    Descriptors,
    Edges,
    Timeline,
    Report,
    Completion,
    Why,
    Counts,
    Every,
}

/// The one purpose of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Launch,
    Check,
    Doctor,
    Demo,
    /// `--chaos-hunt`: many runs of the program.
    Hunt,
    /// `--audit-strace`: the audit of a text instead of a program.
    Judge,
    /// `--why`: explains the process of this id.
    Why(i32),
    /// `--counts`: prints the counters of the process of this id.
    Counts(i32),
    Completion(Shell),
    Help,
    Version,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub short: Option<char>,
    pub long: &'static str,
    pub argument: Option<Argument>,
    pub sentence: &'static str,
    effect: Effect,
}

/// The argument of an option, with its name in the help.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    name: &'static str,
    pub kind: Kind,
}

/// The values that an argument takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One of these words.
    Word(&'static [&'static str]),
    /// The path of a file.
    File,
    Number,
    /// Anything, which is judged later.
    Text,
    /// The id of a process.
    Process,
    /// A number of seconds.
    Seconds,
}

const fn row(short: Option<char>, long: &'static str, effect: Effect, sentence: &'static str) -> Row {
    Row { short, long, argument: None, sentence, effect }
}

impl Row {
    const fn choosing(self, name: &'static str, words: &'static [&'static str]) -> Row {
        Row { argument: Some(Argument { name, kind: Kind::Word(words) }), ..self }
    }

    const fn taking(self, name: &'static str, kind: Kind) -> Row {
        Row { argument: Some(Argument { name, kind }), ..self }
    }
}

/// The pollers: those of the library, and the one that leaves epoll to the kernel.
const POLLERS: [&str; 5] = {
    let [auto, poll, uring, signal] = settings::POLLERS;
    [auto, poll, uring, signal, settings::KERNEL]
};

#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row(None, "no-kernel-epoll", Effect::NoKernelEpoll, "Make the kernel's epoll calls fail with ENOSYS (seccomp; sets no_new_privs)."),
    row(None, "counters", Effect::Counters, "Print the library's counters on standard error at exit."),
    row(None, "poller", Effect::Poller, "Choose how the library learns readiness.").choosing("NAME", &POLLERS),
    row(None, "no-children", Effect::NoChildren, "Serve only the program, not its children."),
    row(None, "audit", Effect::Audit, "Report faults in the program's use of epoll on standard error."),
    row(Some('c'), "summary", Effect::Summary, "Print a table of the calls of epoll, and the counts of each instance, at exit."),
    row(Some('t'), "trace", Effect::Trace, "Print the calls of epoll as strace does; -tt with the time of day, -ttt since 1970."),
    row(Some('T'), "syscall-times", Effect::Durations, "With -t: print the time in each call."),
    row(Some('y'), "decode-fds", Effect::Descriptors, "With -t: print the files of descriptors (-yy is the same)."),
    row(None, "edges", Effect::Edges, "With -t: print each edge, and why it was one."),
    row(None, "timeline", Effect::Timeline, "Write what happened to a file for Perfetto or Chrome.").taking("FILE", Kind::File),
    row(None, "report", Effect::Report, "Write a page about the run to a file of HTML.").taking("FILE", Kind::File),
    row(None, "audit-format", Effect::Format, "The form of the report.").choosing("FORMAT", &FORMATS),
    row(None, "audit-exit", Effect::Exit, "Exit with this status if there is a fault; the launcher stays as the parent.").taking("N", Kind::Number),
    row(None, "audit-suppress", Effect::Suppress, "Do not report what is listed in the file, RULE:FUNCTION on each line.").taking("FILE", Kind::File),
    row(None, "audit-strace", Effect::Strace, "Audit the output of strace(1) instead of a program.").taking("FILE", Kind::File),
    row(None, "chaos", Effect::Chaos, "End waits otherwise than usual, in ways that Linux could have chosen.").taking("SEED[,KIND[=RATE]...]|@LOG", Kind::Text),
    row(None, "chaos-log", Effect::ChaosLog, "Write what chaos perturbed to a file, to be taken again by --chaos=@LOG.").taking("FILE", Kind::File),
    row(None, "chaos-hunt", Effect::ChaosHunt, "Run the program under N seeds of chaos until its exit status changes, and find the waits that matter.").taking("N", Kind::Text),
    row(Some('o'), "output", Effect::Output, "Write the report to a file instead of standard error.").taking("FILE", Kind::File),
    row(None, "check", Effect::Wish(Wish::Check), "Report whether the program can be served, without running it."),
    row(None, "doctor", Effect::Wish(Wish::Doctor), "Report the system features that the library can use, and the pollers."),
    row(None, "demo", Effect::Wish(Wish::Demo), "Show epolyfill at work beside the kernel's epoll and plain poll."),
    row(None, "why", Effect::Why, "Explain what a running process waits for.").taking("PID", Kind::Process),
    row(None, "counts", Effect::Counts, "Print the library's counters in a running process.").taking("PID", Kind::Process),
    row(None, "every", Effect::Every, "With --counts: repeat after so many seconds, until the process ends.").taking("SECONDS", Kind::Seconds),
    row(None, "completion", Effect::Completion, "Print the completion script of a shell.").choosing("SHELL", &completion::SHELLS),
    row(Some('h'), "help", Effect::Wish(Wish::Help), "Print this help."),
    row(Some('V'), "version", Effect::Wish(Wish::Version), "Print the version."),
];

const USAGE: &str = "usage: epolyfill [options] [--] program args…";

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub wish: Wish,
    pub no_kernel_epoll: bool,
    pub counters: bool,
    pub no_children: bool,
    pub see: Seeing,
    pub poller: Option<&'static str>,
    /// The seconds between two tables of counters.
    pub every: Option<i32>,
    /// The program and its arguments; never empty when the wish is to launch or to check.
    pub program: Vec<OsString>,
}

impl Options {
    /// Applies the effect of an option, or returns its wish.
    fn set(&mut self, effect: Effect, value: Value) -> Option<Wish> {
        match effect {
            Effect::NoKernelEpoll => self.no_kernel_epoll = true,
            Effect::Counters => self.counters = true,
            Effect::NoChildren => self.no_children = true,
            Effect::Poller => self.poller = Some(value.word),
            Effect::Audit => self.see.audit = true,
            Effect::Format => (self.see.audit, self.see.format) = (true, Some(Format::named(value.word))),
            Effect::Exit => (self.see.audit, self.see.exit) = (true, Some(value.number)),
            Effect::Suppress => (self.see.audit, self.see.suppress) = (true, Some(value.text)),
            Effect::Summary => self.see.summary = true,
            Effect::Trace => self.see.style.times = (self.see.style.times + 1).min(3),
            Effect::Durations => self.see.style.durations = true,
            Effect::Descriptors => self.see.style.descriptors = true,
            Effect::Edges => self.see.style.edges = true,
            Effect::Timeline => self.see.timeline = Some(value.text),
            Effect::Report => self.see.report = Some(value.text),
            Effect::Chaos => self.see.chaos.plan = Some(value.text),
            Effect::ChaosLog => self.see.chaos.log = Some(value.text),
            Effect::ChaosHunt => {
                self.see.chaos.runs = Some(value.text);
                return Some(Wish::Hunt);
            }
            Effect::Output => self.see.output = Some(value.text),
            Effect::Strace => {
                self.see.strace = Some(value.text);
                return Some(Wish::Judge);
            }
            Effect::Every => self.every = Some(value.count),
            Effect::Why => return Some(Wish::Why(value.count)),
            Effect::Counts => return Some(Wish::Counts(value.count)),
            Effect::Completion => return Some(Wish::Completion(Shell::named(value.word))),
            Effect::Wish(wish) => return Some(wish),
        }
        None
    }
}

/// The argument of an option.
#[derive(Debug, Default)]
struct Value {
    /// One of the words of its row.
    word: &'static str,
    number: u8,
    /// A process id or a number of seconds; above 0.
    count: i32,
    text: OsString,
}

/// Reads the words after the launcher's own name.
pub fn parse(words: Vec<OsString>) -> Result<Options, Failure> {
    let mut options = Options {
        wish: Wish::Launch,
        no_kernel_epoll: false,
        counters: false,
        no_children: false,
        see: Seeing::default(),
        poller: None,
        every: None,
        program: Vec::new(),
    };
    let mut asked: Option<&Row> = None;
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
        let value = match row.argument {
            Some(argument) => value(row, argument, parser.value().map_err(misuse)?)?,
            None => Value::default(),
        };
        let Some(wish) = options.set(row.effect, value) else {
            continue;
        };
        // Help and version take effect whatever else is on the line, right or wrong.
        if matches!(wish, Wish::Help | Wish::Version) {
            options.wish = wish;
            return Ok(options);
        }
        if let Some(before) = asked.filter(|before| before.long != row.long) {
            let (one, other) = (before.long, row.long);
            return Err(Failure::own(format!("--{one} and --{other} are mutually exclusive; use one of them")));
        }
        (asked, options.wish) = (Some(row), wish);
    }
    agree(&options, asked)?;
    Ok(options)
}

/// Checks that the parts of a command line go together. `asked` is the row of its wish.
fn agree(options: &Options, asked: Option<&Row>) -> Result<(), Failure> {
    if let (Wish::Launch | Wish::Check | Wish::Hunt, _) | (_, None) = (options.wish, asked) {
        return agree_on_launch(options);
    }
    let (wish, long) = (options.wish, asked.map_or("", |row| row.long));
    if let Some(program) = options.program.first() {
        let sentence = format!("--{long} takes no program; remove {}", name(program));
        return Err(Failure::own(sentence));
    }
    let sees = options.see.strace.is_none();
    let other = match options {
        Options { no_kernel_epoll: true, .. } => "no-kernel-epoll",
        Options { counters: true, .. } => "counters",
        Options { no_children: true, .. } => "no-children",
        Options { see: Seeing { audit: true, .. }, .. } if sees => "audit",
        Options { see: Seeing { summary: true, .. }, .. } => "summary",
        Options { see: Seeing { style, .. }, .. } if *style != Style::default() => "trace",
        Options { see: Seeing { timeline: Some(_), .. }, .. } => "timeline",
        Options { see: Seeing { report: Some(_), .. }, .. } => "report",
        Options { see: Seeing { output: Some(_), .. }, .. } if sees => "output",
        Options { see: Seeing { chaos, .. }, .. } if *chaos != Chaos::default() => "chaos",
        Options { poller: Some(_), .. } if wish != Wish::Demo => "poller",
        Options { poller: Some(settings::KERNEL), .. } => "poller=kernel",
        Options { every: Some(_), .. } if !matches!(wish, Wish::Counts(_)) => "every",
        _ => return Ok(()),
    };
    Err(Failure::own(format!("--{other} has no effect with --{long}; remove it")))
}

fn agree_on_launch(options: &Options) -> Result<(), Failure> {
    if options.program.is_empty() {
        let sentence = format!("no program given; {USAGE} (--help lists the options)");
        return Err(Failure::own(sentence));
    }
    let see = &options.see;
    if see.output.is_some() && !see.audit && !see.summary && see.style.times == 0 {
        return Err(Failure::own("--output has no effect without --audit, -c or -t; remove it"));
    }
    if see.style.times == 0 && see.style != Style::default() {
        return Err(Failure::own("-T, -y and --edges have no effect without -t; add it"));
    }
    see::chaos::check(&options.see.chaos)?;
    if options.wish == Wish::Hunt && options.see.is_on() {
        return Err(Failure::own(
            "--chaos-hunt does not observe its runs otherwise; remove --audit, -c, --timeline and --report",
        ));
    }
    if options.every.is_some() {
        return Err(Failure::own("--every has no effect without --counts; remove it"));
    }
    if options.no_kernel_epoll && options.poller == Some(settings::KERNEL) {
        return Err(Failure::own("--poller=kernel and --no-kernel-epoll are mutually exclusive; use one of them"));
    }
    Ok(())
}

/// The argument of an option, which must be of its kind.
fn value(row: &Row, argument: Argument, text: OsString) -> Result<Value, Failure> {
    let refused = |what: &str| Failure::own(format!("--{} does not accept {}; {what}", row.long, name(&text)));
    match argument.kind {
        Kind::Word(words) => match words.iter().find(|known| text == **known) {
            Some(word) => Ok(Value { word, ..Value::default() }),
            None => Err(refused(&format!("use one of: {}", words.join(", ")))),
        },
        Kind::Number => match text.to_str().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Value { number, ..Value::default() }),
            None => Err(refused("use a number from 0 to 255")),
        },
        Kind::Process | Kind::Seconds => match text.to_str().and_then(|text| text.parse().ok()) {
            Some(count @ 1..) => Ok(Value { count, ..Value::default() }),
            _ if matches!(argument.kind, Kind::Process) => Err(refused("use the id of a process")),
            _ => Err(refused("use a whole number of seconds")),
        },
        Kind::File if text.is_empty() => Err(refused("name a file")),
        Kind::File | Kind::Text => Ok(Value { text, ..Value::default() }),
    }
}

/// An error of lexopt as a failure.
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
         Runs a program with libepolyfill.so loaded before libc, so that its epoll calls are served in user space, by poll(2).\n\
         The launcher's process becomes the program, so process id, signals and exit status are the program's own\n\
         (with --audit-exit and --chaos it stays as the parent, and passes signals and the exit status on).\n\
         \n\
         options (they end at the first argument that is not an option):\n"
    );
    let options: Vec<(String, String)> = TABLE.iter().map(|row| (head(row), sentence(row))).collect();
    columns(&mut text, &options);
    text.push_str("\nenvironment:\n");
    let mut variables: Vec<(String, String)> = settings::ALL
        .iter()
        .map(|setting| (setting.name.to_string_lossy().into_owned(), setting.sentence.to_owned()))
        .collect();
    variables.push(("LD_PRELOAD".to_owned(), "Libraries that it already lists are loaded after this one.".to_owned()));
    columns(&mut text, &variables);
    text.push_str(
        "\n\
         exit status: the program's own; 125 if epolyfill fails or refuses the program, 126 if the program cannot be run, 127 if it is not found.\n",
    );
    text
}

fn columns(text: &mut String, lines: &[(String, String)]) {
    let width = lines.iter().map(|(head, _)| head.len()).max().unwrap_or(0);
    for (head, sentence) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {head:width$}  {sentence}");
    }
}

fn head(row: &Row) -> String {
    let short = row.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
    let argument = row.argument.map_or(String::new(), |argument| format!("={}", argument.name));
    format!("{short}--{}{argument}", row.long)
}

fn sentence(row: &Row) -> String {
    match row.argument {
        Some(Argument { kind: Kind::Word(words), .. }) => {
            format!("{}: {}.", row.sentence.trim_end_matches('.'), words.join(", "))
        }
        _ => row.sentence.to_owned(),
    }
}
