//! Descriptors that are closed, duplicated, and opened again.

use crate::calls;
use crate::fleeting;
use crate::kinds::Kind;
use crate::op::Op;
use crate::world::{DESCS, Desc, File, World};

impl World<'_> {
    pub(super) fn close(&mut self, desc: Desc, op: Op) {
        self.close_twin(desc);
        let answer = match op.args[1] {
            1 => calls::close_range(desc.fd),
            2 => calls::close_by_syscall(desc.fd),
            3 => calls::close_stream(desc.fd),
            _ => calls::close(desc.fd),
        };
        if answer.is_err() {
            // This descriptor cannot be closed in that way. Its number would also be open if a
            // thread of the library had it for a moment.
            let _ = calls::close(desc.fd);
        }
        self.descs[op.index(0)] = None;
        self.exclusive_changed(Some(desc.file));
        self.release(desc.file);
        self.say(|| {
            format!(
                "{}({}) = {answer:?}",
                ["close", "close_range", "syscall close", "fclose"][op.index(1).min(3)],
                desc.fd
            )
        });
    }

    pub(super) fn duplicate(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        if name >= DESCS || self.descs[name].is_some() {
            return;
        }
        let answer = match op.args[2] {
            1 => calls::dup_from(desc.fd),
            2 => calls::dup_from_cloexec(desc.fd),
            _ => calls::dup(desc.fd),
        };
        if let Ok(new) = answer {
            if self.kind(desc).is_fleeting() && fleeting::duplicate_twin(desc.fd, new).is_err() {
                let _ = calls::close(new);
                return;
            }
            self.adopt_twin(name, new, desc.file);
        }
        self.say(|| format!("dup({}) = {answer:?}", desc.fd));
    }

    pub(super) fn duplicate_over(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        let Some(over) = self.desc(name) else { return };
        if over.fd == desc.fd {
            return;
        }
        self.close_twin(over);
        if self.kind(desc).is_fleeting() && fleeting::duplicate_twin(desc.fd, over.fd).is_err() {
            return;
        }
        let answer = if op.args[2] == 1 { calls::dup3(desc.fd, over.fd) } else { calls::dup2(desc.fd, over.fd) };
        if answer.is_ok() {
            self.exclusive_changed(Some(over.file));
            self.adopt_twin(name, over.fd, desc.file);
            self.release(over.file);
        }
        self.say(|| format!("dup2({}, {}) = {answer:?}", desc.fd, over.fd));
    }

    pub(super) fn open_again(&mut self, desc: Desc, op: Op) {
        let name = op.index(1);
        let File { kind: Kind::Fifo, path: Some(path), .. } = &self.files[desc.file] else { return };
        if name >= DESCS || self.descs[name].is_some() {
            return;
        }
        let mode = [libc::O_WRONLY, libc::O_RDONLY, libc::O_RDWR][op.index(2) % 3];
        let path = path.clone();
        let answer = calls::open(&path, mode);
        if let Ok(fd) = answer {
            let file = self.adopt(name, fd, Kind::Fifo);
            self.files[file].path = Some(path);
        }
        self.say(|| format!("open the FIFO of {} again, mode {}: {answer:?}", desc.fd, op.args[2]));
    }
}
