//! The completion scripts for shells, generated from the table of options. `packaging/completions`
//! holds them as they are installed.
//!
//! A script completes the launcher's own options, and leaves the words from the program on to the
//! shell's completion of that program.

use super::options::{Row, TABLE};

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

/// The options that take one of a list of words.
fn choosing() -> impl Iterator<Item = (&'static Row, String)> {
    TABLE.iter().filter_map(|row| Some((row, row.argument?.words.join(" "))))
}

fn bash() -> String {
    let words = TABLE.iter().flat_map(|row| {
        let short = row.short.map(|letter| format!("-{letter}"));
        let equals = if row.argument.is_some() { "=" } else { "" };
        short.into_iter().chain([format!("--{}{equals}", row.long)])
    });
    let words: Vec<String> = words.collect();
    let takers: Vec<String> = choosing().map(|(row, _)| format!("--{}", row.long)).collect();
    let choices: String = choosing()
        .map(|(row, words)| format!("    --{}) COMPREPLY=($(compgen -W '{words}' -- \"$current\")) ;;\n", row.long))
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
        let words = row.argument.map_or(String::new(), |argument| format!(" -x -a '{}'", argument.words.join(" ")));
        let sentence = row.sentence.replace('\\', "\\\\").replace('\'', "\\'");
        script += &format!("complete -c epolyfill{short} -l {}{words} -d '{sentence}'\n", row.long);
    }
    let takers: String = choosing().map(|(row, _)| format!(" --{}", row.long)).collect();
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
        script += &match (row.short, row.argument) {
            (Some(letter), None) => format!("    '(-{letter} --{long})'{{-{letter},--{long}}}'[{sentence}]' \\\n"),
            (_, Some(argument)) => format!("    '--{long}=[{sentence}]:{long}:({})' \\\n", argument.words.join(" ")),
            (None, None) => format!("    '--{long}[{sentence}]' \\\n"),
        };
    }
    script += "    '(-)1:program:_command_names -e' \\\n    '*::arguments:_normal'\n";
    script
}
