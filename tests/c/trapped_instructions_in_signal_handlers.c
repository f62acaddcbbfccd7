/* The same for instructions that are trapped, as those of programs in Rust. */
#define IS_RUST
#include "raw_instructions_in_signal_handlers.c"
