// With this file the program is one with cgo.
package main

// int answer(void) { return 42; }
import "C"

func init() { expect("cgo", C.answer() == 42) }
