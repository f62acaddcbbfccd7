//! Names of places in the program: function, file and line, from the symbols and the DWARF of the
//! mapped files.

use super::record::Record;
use addr2line::Loader;
use epolyfill_facts::SiteId;
use epolyfill_facts::layout::word;
use object::{Object, ObjectSegment};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where separate debug information is installed.
const DEBUG: &str = "/usr/lib/debug/.build-id";

/// Libraries between the program and its system calls, by the beginnings of their files' names.
const BETWEEN_FILES: [&str; 12] = [
    "libc.so",
    "libc-",
    "libpthread",
    "ld-linux",
    "libepolyfill",
    "libuv.so",
    "libevent",
    "libev.so",
    "libstdc++",
    "libglib-",
    "libasan",
    "libtsan",
];
/// The same where they are linked statically, by the beginnings of their functions' names.
const BETWEEN_FUNCTIONS: [&str; 22] = [
    "uv_",
    "uv__",
    "event_add",
    "event_del",
    "event_base_",
    "evmap_",
    "epoll_nochangelist",
    "epoll_apply",
    "ev_",
    "epoll_modify",
    "mio::",
    "<mio::",
    "core::",
    "std::",
    "polling::",
    "<polling::",
    "syscall.",
    "internal/",
    "runtime.",
    "net.",
    "os.",
    "golang.org/x/sys/",
];

/// A return address in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub function: Option<String>,
    /// The source file and the line.
    pub source: Option<(String, u32)>,
    /// The mapped file and the offset in it.
    pub module: Option<(PathBuf, u64)>,
}

impl Frame {
    fn is_between(&self) -> bool {
        let file = self.module.as_ref().and_then(|(path, _)| path.file_name()).unwrap_or_default().to_string_lossy();
        let function = self.function.as_deref().unwrap_or_default();
        BETWEEN_FILES.iter().any(|beginning| file.starts_with(beginning))
            || BETWEEN_FUNCTIONS.iter().any(|beginning| function.starts_with(beginning))
    }

    /// The function, or the place in its file.
    pub fn name(&self) -> String {
        match (&self.function, &self.module) {
            (Some(function), _) => function.clone(),
            (None, Some((path, offset))) => {
                format!("{}+{offset:#x}", path.file_name().unwrap_or_default().to_string_lossy())
            }
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// A place: the innermost frame of the program's own code, and the one that called it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub frame: Frame,
    pub caller: Option<Frame>,
}

impl Site {
    /// The site of these frames, the innermost first.
    fn of(frames: &[Frame]) -> Option<Site> {
        let own = frames.iter().position(|frame| !frame.is_between()).unwrap_or(0);
        Some(Site { frame: frames.get(own)?.clone(), caller: frames.get(own + 1).cloned() })
    }
}

/// "server.c:214 accept_client <- 88 on_listen"; the caller's file is named if it is another one.
impl fmt::Display for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let file = self.frame.source.as_ref().map(|(path, _)| path);
        if let Some((path, line)) = &self.frame.source {
            write!(out, "{}:{line} ", base(path))?;
        }
        out.write_str(&self.frame.name())?;
        let Some(caller) = self.caller.as_ref().filter(|caller| !caller.is_between()) else { return Ok(()) };
        out.write_str(" <- ")?;
        match &caller.source {
            Some((path, line)) if Some(path) == file => write!(out, "{line} ")?,
            Some((path, line)) => write!(out, "{}:{line} ", base(path))?,
            None => {}
        }
        out.write_str(&caller.name())
    }
}

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    from: u64,
    to: u64,
    offset: u64,
    path: PathBuf,
}

/// A line of /proc/PID/maps.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (from, to) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = words.nth(2)?.trim_start().trim_end_matches(" (deleted)");
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping { from: number(from)?, to: number(to)?, offset: number(offset)?, path: path.into() })
}

/// A mapped file: its segments, and what names its addresses.
struct Module {
    /// Offset in the file, length, and address of each segment.
    segments: Vec<(u64, u64, u64)>,
    own: Option<Loader>,
    /// Separate debug information.
    debug: Option<Loader>,
}

impl Module {
    fn load(path: &Path) -> Option<Module> {
        let bytes = std::fs::read(path).ok()?;
        let file = object::File::parse(&*bytes).ok()?;
        let segment = |segment: object::Segment<'_, '_>| {
            let (offset, length) = segment.file_range();
            (offset, length, segment.address())
        };
        let segments = file.segments().map(segment).collect();
        let debug = file.build_id().ok().flatten().and_then(separate).and_then(|path| Loader::new(path).ok());
        Some(Module { segments, own: Loader::new(path).ok(), debug })
    }

    /// The frames at an offset of the file, inlined functions first.
    fn frames(&self, offset: u64) -> Vec<Frame> {
        let found = self.segments.iter().find(|(from, length, _)| (*from..from + length).contains(&offset));
        let Some(address) = found.map(|(from, _, address)| offset - from + address) else { return Vec::new() };
        let loaders = || [&self.debug, &self.own].into_iter().flatten();
        let mut frames: Vec<Frame> =
            loaders().map(|loader| by_dwarf(loader, address)).find(|found| !found.is_empty()).unwrap_or_default();
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        let symbol = || loaders().find_map(|loader| loader.find_symbol(address)).map(demangled);
        if let Some(last) = frames.last_mut().filter(|last| last.function.is_none()) {
            last.function = symbol();
        }
        frames
    }
}

fn demangled(name: &str) -> String {
    addr2line::demangle_auto(name.into(), None).into_owned()
}

/// The frames of an address by DWARF, inlined functions first.
fn by_dwarf(loader: &Loader, address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut found) = loader.find_frames(address) else { return frames };
    while let Ok(Some(frame)) = found.next() {
        let function = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
        let source = frame.location.and_then(|at| Some((at.file?.to_owned(), at.line?)));
        if function.is_some() || source.is_some() {
            frames.push(Frame { function, source, module: None });
        }
    }
    frames
}

/// The separate debug information of a build-id.
fn separate(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first()?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Path::new(DEBUG).join(format!("{first:02x}")).join(format!("{rest}.debug"))).filter(|path| path.is_file())
}

/// Names sites. Files are read when something in them is named first.
#[derive(Default)]
pub struct Names {
    modules: HashMap<PathBuf, Option<Module>>,
    known: HashMap<(PathBuf, SiteId), Option<Site>>,
    maps: HashMap<PathBuf, (u64, Vec<Mapping>)>,
}

impl Names {
    /// The site of a record; `None` if it is not known.
    pub fn site(&mut self, record: &Record, site: SiteId) -> Option<Site> {
        let key = (record.path.clone(), site);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut frames = Vec::new();
        for address in record.site(site) {
            frames.extend(self.frames(record, address));
        }
        let found = Site::of(&frames);
        self.known.insert(key, found.clone());
        found
    }

    fn frames(&mut self, record: &Record, address: u64) -> Vec<Frame> {
        // A return address is after its call.
        let Some(address) = address.checked_sub(1) else { return Vec::new() };
        let length = record.load(word::MAPS);
        let maps = self.maps.entry(record.path.clone()).or_default();
        if maps.0 != length {
            *maps = (length, record.maps().lines().filter_map(mapping).collect());
        }
        // The last one: code that was loaded later can have the place of another.
        let found = maps.1.iter().rfind(|mapping| (mapping.from..mapping.to).contains(&address));
        let Some(Mapping { from, offset, path, .. }) = found.cloned() else { return vec![Frame::default()] };
        let offset = address - from + offset;
        let module = self.modules.entry(path.clone()).or_insert_with(|| Module::load(&path));
        let mut frames = module.as_ref().map_or(Vec::new(), |module| module.frames(offset));
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        frames.iter_mut().for_each(|frame| frame.module = Some((path.clone(), offset)));
        frames
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Names").field("modules", &self.modules.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, line: u32) -> Frame {
        let source = (line > 0).then(|| ("/src/server.c".to_owned(), line));
        Frame { function: Some(function.to_owned()), source, module: Some(("/bin/server".into(), 0x40)) }
    }

    #[test]
    fn a_site_begins_in_the_programs_own_code() {
        let frames = [frame("uv__io_poll", 0), frame("accept_client", 214), frame("on_listen", 88), frame("main", 9)];
        let site = Site::of(&frames).unwrap();
        assert_eq!(site.to_string(), "server.c:214 accept_client <- 88 on_listen");
        let unnamed = Frame { function: None, source: None, ..frame("", 0) };
        assert_eq!(Site { frame: unnamed, caller: None }.to_string(), "server+0x40");
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00-7f80 r-xp 00001000 08:01 1234      /usr/lib/a b.so (deleted)";
        let expected = Mapping { from: 0x7f00, to: 0x7f80, offset: 0x1000, path: "/usr/lib/a b.so".into() };
        assert_eq!(mapping(line), Some(expected));
        assert_eq!(mapping("nonsense"), None);
    }

    #[test]
    #[inline(never)]
    fn own_code_is_named() {
        let here = own_code_is_named as *const () as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let found = maps.lines().filter_map(mapping).find(|found| (found.from..found.to).contains(&here)).unwrap();
        let frames = Module::load(&found.path).unwrap().frames(here - found.from + found.offset);
        let last = frames.last().unwrap();
        assert!(last.name().contains("own_code_is_named"), "{frames:?}");
        assert!(last.source.as_ref().is_some_and(|(path, _)| path.ends_with("site.rs")), "{frames:?}");
    }
}
