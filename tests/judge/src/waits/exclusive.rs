//! Exclusive registrations, which sweeps judge together.

use std::time::Duration;

use super::judgement::PATIENCE_US;
use super::{Wait, bits};
use crate::compare::What;
use crate::kinds::Kind;
use crate::known::{Case, Fact};
use crate::world::{Exclusive, World};

impl World<'_> {
    pub fn exclusive_entry(&mut self, file: usize) -> &mut Exclusive {
        let at = self.exclusive.iter().position(|entry| entry.file == file).unwrap_or_else(|| {
            self.exclusive.push(Exclusive { file, kernel: 0, ours: false, changed: false, overfull: false });
            self.exclusive.len() - 1
        });
        &mut self.exclusive[at]
    }

    /// Waits on every instance; then at least one of each description's exclusive registrations
    /// must have reported (X1).
    pub fn sweep(&mut self) {
        self.sweeping = true;
        for name in 0..self.pairs.len() {
            self.judge_wait(name, Wait::LOOK);
        }
        let missed = |world: &World<'_>| {
            let entries = world.exclusive.iter();
            entries.filter(|entry| entry.kernel != 0 && !entry.ours && !entry.changed).copied().collect::<Vec<_>>()
        };
        for us in PATIENCE_US {
            if missed(self).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_micros(us));
            for name in 0..self.pairs.len() {
                self.judge_wait(name, Wait::LOOK);
            }
        }
        for entry in missed(self) {
            if self.exclusive_on(entry.file) > 1 {
                let kind = self.files[entry.file].kind;
                let rivals = self.registrations.iter().filter(|one| one.alive && one.file == entry.file);
                let since = rivals.map(|one| one.reported).min().unwrap_or(0);
                let mut facts = self.facts_since(since.min(self.swept), entry.file);
                facts[Fact::Brimful as usize] |= entry.overfull;
                let case = Case { what: What::Lost, kind, edge: true, inside: false, bits: entry.kernel, facts };
                let text = format!("no exclusive registration of the description reported {}", bits(entry.kernel));
                self.find(case, None, case.row(), text);
            }
        }
        // The kernel's side has yet to report a terminal's delivery between the two waits of this
        // sweep.
        let files = &self.files;
        self.exclusive.retain(|one| one.ours && one.kernel == 0 && files[one.file].kind == Kind::Pty);
        self.sweeping = false;
        self.swept = self.step;
    }
}
