//! Findings as SARIF 2.1.0, for code review. A finding is at the place where its descriptor was
//! registered; paths below the working directory are relative to it.

use super::audit::{Case, Totals};
use super::object::Json;
use super::site::Site;
use super::wording::{about, words};
use epolyfill_audit::{Grade, Rule};
use std::fmt::Write;
use std::path::Path;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

fn level(grade: Grade) -> &'static str {
    match grade {
        Grade::Fault => "error",
        Grade::Suspect => "warning",
        Grade::Note => "note",
    }
}

/// The log of a run.
pub fn log(cases: &[&Case], totals: &Totals, unused: &[String], command: &str, directory: &Path) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let uri = if HOME.is_empty() { String::new() } else { format!(",\"informationUri\":{}", Json(HOME)) };
    let mut log = format!(
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{{\"driver\":{{\"name\":\"epolyfill\",\
         \"version\":\"{version}\"{uri},\"rules\":["
    );
    for (at, rule) in Rule::ALL.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            log,
            "{comma}{{\"id\":\"{}\",\"shortDescription\":{{\"text\":{}}}}}",
            rule.name(),
            Json(about(*rule))
        );
    }
    let _ = write!(
        log,
        "]}}}},\"columnKind\":\"unicodeCodePoints\",\"originalUriBaseIds\":{{\"SRCROOT\":{{\"uri\":{}}}}},\
         \"invocations\":[{{\"commandLine\":{},\"executionSuccessful\":true,\"toolExecutionNotifications\":[",
        Json(&format!("file://{}/", encoded(&directory.to_string_lossy()).trim_end_matches('/'))),
        Json(command),
    );
    let notes: Vec<String> =
        unused.iter().map(|text| notification(text, "warning")).chain([notification(&totals.line(), "note")]).collect();
    log += &notes.join(",");
    log += "]}],\"results\":[";
    let results: Vec<String> = cases.iter().map(|case| result(case, directory)).collect();
    log += &results.join(",\n");
    log + "]}]}\n"
}

fn notification(text: &str, level: &str) -> String {
    format!("{{\"level\":\"{level}\",\"message\":{{\"text\":{}}}}}", Json(text))
}

fn result(case: &Case, directory: &Path) -> String {
    let finding = &case.finding;
    let rule = finding.rule;
    let said = words(finding);
    let text = format!("{} {} {}", said.fact, said.consequence, said.remedy);
    let location = |site: &Site| location(site, directory);
    let locations = case.place().map_or(String::new(), location);
    let related = case.deed.as_ref().filter(|_| case.site.is_some()).map_or(String::new(), location);
    let index = Rule::ALL.iter().position(|known| *known == rule).unwrap_or_default();
    format!(
        "{{\"ruleId\":\"{}\",\"ruleIndex\":{index},\"level\":\"{}\",\"message\":{{\"text\":{}}},\
         \"locations\":[{locations}],\"relatedLocations\":[{related}],\"occurrenceCount\":{},\
         \"partialFingerprints\":{{\"ruleAndFunction/v1\":{}}},\
         \"properties\":{{\"pid\":{},\"fd\":{},\"descriptor\":{}}}}}",
        rule.name(),
        level(finding.grade),
        Json(&text),
        finding.count.max(1),
        Json(&case.suppression()),
        case.pid,
        finding.fd,
        Json(finding.who.text()),
    )
}

fn location(site: &Site, directory: &Path) -> String {
    let mut members = Vec::new();
    if let Some((file, line)) = &site.frame.source {
        let artifact = match Path::new(file).strip_prefix(directory) {
            Ok(relative) => {
                format!("{{\"uri\":{},\"uriBaseId\":\"SRCROOT\"}}", Json(&encoded(&relative.to_string_lossy())))
            }
            Err(_) if file.starts_with('/') => format!("{{\"uri\":{}}}", Json(&format!("file://{}", encoded(file)))),
            Err(_) => format!("{{\"uri\":{}}}", Json(&encoded(file))),
        };
        let line = (*line).max(1);
        members.push(format!(
            "\"physicalLocation\":{{\"artifactLocation\":{artifact},\"region\":{{\"startLine\":{line}}}}}"
        ));
    }
    let function = Json(&site.frame.name()).to_string();
    members.push(format!("\"logicalLocations\":[{{\"fullyQualifiedName\":{function},\"kind\":\"function\"}}]"));
    format!("{{{}}}", members.join(","))
}

/// A path within a URI.
fn encoded(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::see::site::Frame;
    use epolyfill_audit::Finding;
    use serde_json::Value;

    #[test]
    fn a_log_has_what_the_standard_requires() {
        let source = |file: &str| {
            let frame = Frame { function: Some("f".into()), source: Some((file.into(), 7)), module: None };
            Some(Site { frame, caller: None })
        };
        let finding = Finding::new(Rule::Spin, Grade::Fault);
        let below = Case { site: source("/work/a b.c"), ..Case::bare(1, finding) };
        let outside = Case { deed: source("/usr/c.c"), ..Case::bare(1, finding) };
        let text = log(&[&below, &outside], &Totals::default(), &["x".into()], "prog \"x\"", Path::new("/work"));
        let log: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["name"], "epolyfill");
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
        let results = run["results"].as_array().unwrap();
        for result in results {
            assert!(result["message"]["text"].is_string());
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
        let place = |at: usize| &results[at]["locations"][0]["physicalLocation"];
        assert_eq!(place(0)["artifactLocation"]["uri"], "a%20b.c");
        assert_eq!(place(0)["artifactLocation"]["uriBaseId"], "SRCROOT");
        assert_eq!(place(0)["region"]["startLine"], 7);
        assert_eq!(place(1)["artifactLocation"]["uri"], "file:///usr/c.c");
    }
}
