//! The completion scripts for shells, generated from the table of options. `packaging/completions`
//! holds them as they are installed.
//!
//! A script completes the launcher's own options, and leaves the words from the program on to the
//! shell's completion of that program.

use super::options::{Kind, Row, TABLE};

/// A shell that has a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// The names of the shells.
pub const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

impl Shell {
    /// The shell of that name, which is one of `SHELLS`.
    pub fn named(name: &str) -> Self {
        match name {
            "fish" => Self::Fish,
            "zsh" => Self::Zsh,
            _ => Self::Bash,
        }
    }

    /// Its completion script.
    pub fn script(self) -> String {
        match self {
            Self::Bash => bash(),
            Self::Fish => fish(),
            Self::Zsh => zsh(),
        }
    }
}

/// The options that take an argument, and its kind.
fn taking() -> impl Iterator<Item = (&'static Row, Kind)> {
    TABLE.iter().filter_map(|row| Some((row, row.argument?.kind)))
}

/// The words before an argument: "-o | --output".
fn heads(row: &Row) -> String {
    row.short.map_or(String::new(), |letter| format!("-{letter} | ")) + &format!("--{}", row.long)
}

fn bash() -> String {
    let words = TABLE.iter().flat_map(|row| {
        let short = row.short.map(|letter| format!("-{letter}"));
        let equals = if row.argument.is_some() { "=" } else { "" };
        short.into_iter().chain([format!("--{}{equals}", row.long)])
    });
    let words: Vec<String> = words.collect();
    let takers: Vec<String> = taking().map(|(row, _)| heads(row)).collect();
    let choices: String = taking()
        .map(|(row, kind)| {
            let generated = match kind {
                Kind::Word(words) => format!("$(compgen -W '{}' -- \"$current\")", words.join(" ")),
                Kind::File => "$(compgen -f -- \"$current\")".to_owned(),
                Kind::Process => "$(compgen -W \"$(cd /proc && echo [0-9]*)\" -- \"$current\")".to_owned(),
                Kind::Number | Kind::Seconds | Kind::Text => String::new(),
            };
            format!("    {}) COMPREPLY=({generated}) ;;\n", heads(row))
        })
        .collect();
    include_str!("completion.bash")
        .replace("@TAKERS@", &takers.join(" | "))
        .replace("@CHOICES@", &choices)
        .replace("@WORDS@", &words.join(" "))
}

fn fish() -> String {
    let mut script = "# fish completion for epolyfill, printed by: epolyfill --completion=fish\n\n".to_owned();
    for row in TABLE {
        let short = row.short.map_or(String::new(), |letter| format!(" -s {letter}"));
        let words = match row.argument.map(|argument| argument.kind) {
            Some(Kind::Word(words)) => format!(" -x -a '{}'", words.join(" ")),
            Some(Kind::File) => " -r -F".to_owned(),
            Some(Kind::Process) => " -x -a '(__fish_complete_pids)'".to_owned(),
            Some(Kind::Number | Kind::Seconds | Kind::Text) => " -x".to_owned(),
            None => String::new(),
        };
        let sentence = row.sentence.replace('\\', "\\\\").replace('\'', "\\'");
        script += &format!("complete -c epolyfill{short} -l {}{words} -d '{sentence}'\n", row.long);
    }
    let takers: String = taking().map(|(row, _)| format!(" --{}", row.long)).collect();
    script += &format!("complete -c epolyfill -x -a '(__fish_complete_subcommand --{takers})'\n");
    script
}

fn zsh() -> String {
    let mut script = "#compdef epolyfill\n# zsh completion for epolyfill, printed by: epolyfill --completion=zsh\n\n\
         _arguments -s -S \\\n"
        .to_owned();
    for row in TABLE {
        let sentence = row.sentence.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]");
        let long = row.long;
        let argument = match row.argument.map(|argument| argument.kind) {
            Some(Kind::Word(words)) => format!(":{long}:({})", words.join(" ")),
            Some(Kind::File) => format!(":{long}:_files"),
            Some(Kind::Process) => format!(":{long}:_pids"),
            Some(Kind::Number | Kind::Seconds | Kind::Text) => format!(":{long}:"),
            None => String::new(),
        };
        let equals = if row.argument.is_some() { "=" } else { "" };
        script += &match row.short {
            Some(letter) => {
                let plus = if row.argument.is_some() { "+" } else { "" };
                format!("    '(-{letter} --{long})'{{-{letter}{plus},--{long}{equals}}}'[{sentence}]{argument}' \\\n")
            }
            None => format!("    '--{long}{equals}[{sentence}]{argument}' \\\n"),
        };
    }
    script += "    '(-)1:program:_command_names -e' \\\n    '*::arguments:_normal'\n";
    script
}
