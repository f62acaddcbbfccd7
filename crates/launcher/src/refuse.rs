//! The seccomp filter of `--no-kernel-epoll`: every epoll call of the kernel fails with ENOSYS, and
//! all other calls are unaffected.
//!
//! All programs that the program starts inherit it. A program of a foreign architecture, which the
//! library cannot serve, gets ENOSYS too: a kernel without epoll has none for foreign programs
//! either. seccompiler's own program would kill it, hence the prefix.

use super::failure::Failure;

/// Installs the filter for this process and its descendants. It cannot be removed.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub fn refuse_kernel_epoll() -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::own(format!(
            "--no-kernel-epoll cannot install its seccomp filter: {error}; run the program without it"
        ))
    };
    let filter = filter::program().map_err(|error| failed(&error))?;
    seccompiler::apply_filter(&filter).map_err(|error| failed(&error))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub fn refuse_kernel_epoll() -> Result<(), Failure> {
    let sentence = "--no-kernel-epoll does not support this architecture; run the program without it";
    Err(Failure::own(sentence))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod filter {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long};
    use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};

    const ENOSYS: u32 = libc::ENOSYS as u32;

    #[cfg(target_arch = "x86_64")]
    mod table {
        use super::*;
        pub const NATIVE: TargetArch = TargetArch::x86_64;
        pub const NATIVE_AUDIT: u32 = 0xc000_003e;

        /// x32 programs have the native architecture and their calls this bit; epoll's have the
        /// native numbers otherwise.
        const X32: c_long = 0x4000_0000;

        const EPOLL_CTL_OLD: c_long = 214;
        const EPOLL_WAIT_OLD: c_long = 215;

        #[rustfmt::skip]
        pub const EPOLL: &[c_long] = &[
            libc::SYS_epoll_create, libc::SYS_epoll_create1, libc::SYS_epoll_ctl,
            libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
            EPOLL_CTL_OLD, EPOLL_WAIT_OLD,
            X32 | libc::SYS_epoll_create, X32 | libc::SYS_epoll_create1, X32 | libc::SYS_epoll_ctl,
            X32 | libc::SYS_epoll_wait, X32 | libc::SYS_epoll_pwait, X32 | libc::SYS_epoll_pwait2,
        ];

        /// i386: create, ctl, wait, pwait, create1, pwait2.
        pub const FOREIGN_AUDIT: u32 = 0x4000_0003;
        pub const FOREIGN_EPOLL: &[u32] = &[254, 255, 256, 319, 329, 441];
    }

    #[cfg(target_arch = "aarch64")]
    mod table {
        use super::*;
        pub const NATIVE: TargetArch = TargetArch::aarch64;
        pub const NATIVE_AUDIT: u32 = 0xc000_00b7;

        #[rustfmt::skip]
        pub const EPOLL: &[c_long] = &[
            libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
        ];

        /// 32-bit ARM: create, ctl, wait, pwait, create1, pwait2.
        pub const FOREIGN_AUDIT: u32 = 0x4000_0028;
        pub const FOREIGN_EPOLL: &[u32] = &[250, 251, 252, 346, 357, 441];
    }

    #[cfg(target_arch = "riscv64")]
    mod table {
        use super::*;
        pub const NATIVE: TargetArch = TargetArch::riscv64;
        pub const NATIVE_AUDIT: u32 = 0xc000_00f3;

        #[rustfmt::skip]
        pub const EPOLL: &[c_long] = &[
            libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
        ];

        /// riscv32: create1, ctl, pwait, pwait2.
        pub const FOREIGN_AUDIT: u32 = 0x4000_00f3;
        pub const FOREIGN_EPOLL: &[u32] = &[20, 21, 22, 441];
    }

    /// Offsets into struct seccomp_data.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;

    pub fn program() -> Result<BpfProgram, BackendError> {
        let rules = table::EPOLL.iter().map(|call| (*call, Vec::new()));
        let native =
            SeccompFilter::new(rules.collect(), SeccompAction::Allow, SeccompAction::Errno(ENOSYS), table::NATIVE)?;
        let mut program = foreign();
        program.extend(BpfProgram::try_from(native)?);
        Ok(program)
    }

    /// Handles the calls of every architecture except the native one, whose calls fall through to
    /// the instructions that follow.
    fn foreign() -> BpfProgram {
        let calls = table::FOREIGN_EPOLL;
        let count = calls.len() as u8;
        let mut prefix = vec![
            load(ARCHITECTURE),
            jump_if(table::NATIVE_AUDIT, count + 4, 0),
            jump_if(table::FOREIGN_AUDIT, 0, count + 1),
            load(NUMBER),
        ];
        // Each jumps over those after it and over the "allow".
        let jumps = calls.iter().zip((1..=count).rev());
        prefix.extend(jumps.map(|(call, over)| jump_if(*call, over, 0)));
        prefix.push(answer(libc::SECCOMP_RET_ALLOW));
        prefix.push(answer(libc::SECCOMP_RET_ERRNO | ENOSYS));
        prefix
    }

    fn load(offset: u32) -> sock_filter {
        instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
    }

    fn jump_if(equal: u32, jt: u8, jf: u8) -> sock_filter {
        instruction(BPF_JMP | BPF_JEQ | BPF_K, equal, jt, jf)
    }

    fn answer(action: u32) -> sock_filter {
        instruction(BPF_RET | BPF_K, action, 0, 0)
    }

    fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code: code as u16, jt, jf, k }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Runs a filter on a call, as the kernel does; supports only the instructions of this
        /// filter.
        fn verdict(program: &[sock_filter], architecture: u32, number: u32) -> u32 {
            let (mut at, mut accumulator) = (0, 0);
            loop {
                let step = &program[at];
                at += 1;
                match u32::from(step.code) {
                    code if code == BPF_LD | BPF_W | BPF_ABS => {
                        accumulator = if step.k == NUMBER { number } else { architecture };
                    }
                    code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                        let equal = accumulator == step.k;
                        at += usize::from(if equal { step.jt } else { step.jf });
                    }
                    code if code == BPF_JMP | libc::BPF_JA => at += step.k as usize,
                    code if code == BPF_RET | BPF_K => return step.k,
                    code => panic!("instruction {code:#x} is not known here"),
                }
            }
        }

        #[test]
        fn every_epoll_call_of_every_architecture_is_refused_and_no_other() {
            let program = program().unwrap();
            let refused = libc::SECCOMP_RET_ERRNO | ENOSYS;
            for number in 0..1024 {
                for (architecture, x32, epoll) in [
                    (table::NATIVE_AUDIT, 0, table::EPOLL.contains(&number)),
                    (table::FOREIGN_AUDIT, 0, table::FOREIGN_EPOLL.contains(&(number as u32))),
                    (0x1234_5678, 0, false),
                    #[cfg(target_arch = "x86_64")]
                    (table::NATIVE_AUDIT, 0x4000_0000, table::EPOLL.contains(&(number | 0x4000_0000))),
                ] {
                    let expected = if epoll { refused } else { libc::SECCOMP_RET_ALLOW };
                    let call = number as u32 | x32;
                    assert_eq!(verdict(&program, architecture, call), expected, "call {call:#x} of {architecture:#x}");
                }
            }
        }
    }
}
