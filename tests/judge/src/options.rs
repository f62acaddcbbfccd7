//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::kinds::Kind;
use crate::profile::Profile;
use crate::world::Side;

pub const HELP: &str = "\
judge: the kernel's epoll and epolyfill's, on the same descriptors in the same process, in random histories; every answer is compared.

Usage: judge [OPTIONS]

What to do:
  --steps N            steps altogether [1000000]
  --minutes M          stop after so many minutes, whatever is left of the steps
  --seed N             what the histories are made of [a new one, which is printed]
  --jobs N             processes that work side by side [the number of processors]
  --kinds A,B          kinds of descriptors to choose from [all]
  --profiles A,B       what processes do besides: plain, nested, forking, threads [all]
  --history-length N   steps of a history [300]
  --listed             do also, and often, what is listed as lost: then a lost report is no surprise, and its row is printed
  --threads N          the most threads that sleep in a wait on one instance [3]
  --findings N         shrink and print so many differences, count the others [8]
  --replay FILE        do the history in FILE and show each step
  --shrink FILE        make the history in FILE as short as it can be and still differ
  --apart              with --replay: each side in a process of its own, so that neither disturbs the other
  -v, --verbose        with --replay: nothing more; else a line for each difference, and for each process that ends

Where things are:
  --library FILE       the library to judge [libepolyfill.so of the build that is found around this program; EPOLYFILL_LIBRARY]
  --out DIR            where the histories of differences are written [epolyfill-judge in the directory for temporary files]

  -h, --help

Differing reports are of three classes (docs/semantics.md):
  (a) lost news: the kernel reports something new to the program, and the library does not
  (b) wake-ups without news that the library does not report: no level rose, and no data came
  (c) reports too many: the library reports, and the kernel does not

A difference that no row of docs/differences.md lists is done again, with both sides in one process until it shows twice, and four
times as often with each in a process of its own. One that then never shows is counted as what one side does to the other, not as
lost or wrong. What sleeping threads found has to show again without them. What cannot be shown again is never taken for that.

Exit status: 0 when no news was lost, except of listed kinds, nothing else was wrong, and reports too many were listed ones and
not more than 1 in 10,000, with three standard deviations and two reports for chance; wake-ups without news do not count. 1 when there was such a difference; 2 for a command line, a library or a system that will not do.
";

/// The settings of the program.
#[derive(Clone, Debug)]
pub struct Options {
    pub steps: u64,
    pub minutes: Option<f64>,
    pub seed: Option<u64>,
    pub jobs: usize,
    pub kinds: Vec<Kind>,
    pub profiles: Vec<Profile>,
    pub history_length: usize,
    pub threads: usize,
    pub findings: usize,
    pub replay: Option<PathBuf>,
    pub shrink: Option<PathBuf>,
    pub apart: bool,
    pub listed: bool,
    pub verbose: bool,
    pub library: Option<PathBuf>,
    pub out: PathBuf,
    /// Internal: which epoll a worker tests.
    pub side: Side,
    /// Internal: only the last step waits for late reports.
    pub brisk: bool,
    /// Internal: this process runs histories and reports to another.
    pub worker: bool,
}

/// Parses the command line; `None` for help.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, String> {
    parse_all(args).map_err(|error| error.to_string())
}

fn parse_all(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        steps: 1_000_000,
        minutes: None,
        seed: None,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        kinds: Kind::ALL.into_iter().filter(|kind| kind.weight() > 0).collect(),
        profiles: Profile::ALL.to_vec(),
        history_length: 300,
        threads: 3,
        findings: 8,
        replay: None,
        shrink: None,
        apart: false,
        listed: false,
        verbose: false,
        library: std::env::var_os("EPOLYFILL_LIBRARY").filter(|path| !path.is_empty()).map(PathBuf::from),
        out: std::env::temp_dir().join("epolyfill-judge"),
        side: Side::Both,
        brisk: false,
        worker: false,
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("steps") => options.steps = parser.value()?.parse()?,
            Long("minutes") => options.minutes = Some(parser.value()?.parse()?),
            Long("seed") => options.seed = Some(parser.value()?.parse()?),
            Long("jobs") => options.jobs = parser.value()?.parse::<usize>()?.max(1),
            Long("kinds") => options.kinds = list(&parser.value()?.string()?, "kind", Kind::parse)?,
            Long("profiles") => options.profiles = list(&parser.value()?.string()?, "profile", Profile::parse)?,
            Long("history-length") => options.history_length = parser.value()?.parse::<usize>()?.max(1),
            Long("threads") => options.threads = parser.value()?.parse::<usize>()?.clamp(1, 8),
            Long("findings") => options.findings = parser.value()?.parse()?,
            Long("replay") => options.replay = Some(parser.value()?.into()),
            Long("shrink") => options.shrink = Some(parser.value()?.into()),
            Long("listed") => options.listed = true,
            Long("apart") => options.apart = true,
            Long("library") => options.library = Some(parser.value()?.into()),
            Long("out") => options.out = parser.value()?.into(),
            Long("side") => {
                options.side = match parser.value()?.string()?.as_str() {
                    "kernel" => Side::Kernel,
                    "ours" => Side::Ours,
                    _ => Side::Both,
                }
            }
            Long("brisk") => options.brisk = true,
            Long("worker") => options.worker = true,
            Short('v') | Long("verbose") => options.verbose = true,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn list<T>(words: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, lexopt::Error> {
    let each = words.split(',').map(|word| parse(word).ok_or_else(|| format!("no such {what}: {word}").into()));
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Option<Options>, String> {
        parse(["judge"].iter().chain(words).map(OsString::from))
    }

    #[test]
    fn options_are_understood() {
        let options = of(&["--seed=7", "--kinds", "tcp,udp", "--steps", "10", "-v"]).unwrap().unwrap();
        assert_eq!((options.seed, options.steps, options.verbose), (Some(7), 10, true));
        assert_eq!(options.kinds, [Kind::Tcp, Kind::Udp]);
        assert!(of(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(of(&["--kinds", "tcp,ucp"]).is_err());
        assert!(of(&["--steps", "many"]).is_err());
        assert!(of(&["file"]).is_err());
    }
}
