//! The filter of `--no-kernel-epoll`.

use crate::support::*;

const RAW_EPOLL_CREATE1: &str = r#"
#if defined __x86_64__
static long raw(long call, long a) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(call), "D"(a) : "rcx", "r11", "memory");
    return result;
}
enum { CREATE1 = 291 };
#elif defined __aarch64__
static long raw(long call, long a) {
    register long x8 __asm__("x8") = call, x0 __asm__("x0") = a;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
    return x0;
}
enum { CREATE1 = 20 };
#endif
int main(void) { long fd = raw(CREATE1, 0); return fd < 0 ? (int) -fd : 0; }
"#;

#[test]
fn no_kernel_epoll_makes_the_kernels_own_call_fail_with_enosys() {
    let room = room("filter");
    let program = compile(&room, "raw", RAW_EPOLL_CREATE1, &[]);
    let kernel = command(&program).status().unwrap().code();
    let unfiltered = run(launcher(["--"]).arg(&program));
    assert_eq!(unfiltered.status.code(), kernel, "without the option nothing changes");

    let filtered = run(launcher(["--no-kernel-epoll"]).arg(&program));
    assert_code(&filtered, libc::ENOSYS);
    // Programs that the program starts are under the filter too.
    let mut command = launcher(["--no-kernel-epoll", "sh", "-c", "\"$0\"; exit $?"]);
    assert_code(&run(command.arg(&program)), libc::ENOSYS);
}
